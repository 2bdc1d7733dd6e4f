//! What every store does, as tests: each of a function over whatever opens the store. A store's own tests call
//! [`all`], and [`model::check`].

pub(crate) mod cases;
pub(crate) mod model;

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use bytesize::ByteSize;
use tokio::runtime::Runtime;

use super::{
    Body, Entry, Kept, Page, Place, Policy, Query, Retention, Selection, Store, Survey, Want,
};
use crate::bayeux::{ChannelName, ChannelPattern, Limits};

/// What a store is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) max_bytes: ByteSize,
    pub(crate) max_channels: usize,
    pub(crate) policy: Policy,
}

impl Bounds {
    /// Much of everything, and of each channel what a function says.
    pub(crate) fn of(policy: impl Fn(&str) -> Retention + Send + Sync + 'static) -> Self {
        Self {
            max_bytes: ByteSize::mib(256),
            max_channels: 10_000,
            policy: Policy::new(move |channel| policy(channel.as_str())),
        }
    }

    /// Much of everything, all channels with a thousand messages.
    pub(crate) fn ample() -> Self {
        Self::of(|_| messages(1000))
    }
}

/// What opens stores of a kind. It is called outside of any task.
pub(crate) trait Factory {
    /// Opens a store that is new.
    fn open(&self, bounds: Bounds) -> Arc<dyn Store>;

    /// Opens what was closed, which nobody has any more, again. (Of durable stores only.)
    fn reopen(&self, bounds: Bounds) -> Arc<dyn Store>;

    /// Tells whether they keep sessions.
    fn has_sessions(&self) -> bool {
        true
    }
}

/// Checks all that stores do, but for what [`model::check`] does.
pub(crate) fn all(factory: &dyn Factory) {
    for (name, case) in cases::ALL {
        eprintln!("{name}");
        case(factory);
    }
}

/// Waits for a store, whatever that runs on.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Runtime::new().expect("the system has threads"));
    RUNTIME.block_on(future)
}

pub(crate) fn messages(count: u64) -> Retention {
    Retention {
        messages: Some(count),
        ..Retention::default()
    }
}

pub(crate) fn channel(text: &str) -> ChannelName {
    ChannelName::parse(text, &Limits::default()).expect(text)
}

pub(crate) fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect(text)
}

/// So many seconds after some day.
pub(crate) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

pub(crate) fn entry(channel_text: &str, seconds: u64, data: &str) -> Entry {
    Entry {
        channel: channel(channel_text),
        at: time(seconds),
        body: Body {
            data: Bytes::copy_from_slice(data.as_bytes()),
            ext: None,
            custom: None,
        },
    }
}

/// Appends messages of these channels; their data counts from 0, and is as long whatever the number.
pub(crate) fn append(store: &dyn Store, channels: &[&str]) -> Vec<Place> {
    let entries = channels.iter().enumerate();
    let entries = entries.map(|(number, channel)| entry(channel, 0, &format!("{number:04}")));
    let places = wait(store.append(entries.collect())).expect("appended");
    assert_eq!(places.len(), channels.len());
    places
}

pub(crate) fn want(text: &str, after: u64) -> Want {
    Want {
        pattern: pattern(text),
        after,
    }
}

/// All of these, in one page if it has room.
pub(crate) fn query(wants: Vec<Want>) -> Query {
    Query {
        wants,
        selection: Selection::All,
        position: 0,
        max_messages: 1000,
        max_bytes: 1_000_000,
    }
}

pub(crate) fn page(store: &dyn Store, query: &Query) -> Page {
    wait(store.read(query.clone())).expect("read")
}

/// Reads page after page, and checks what is true of each.
pub(crate) fn pages(store: &dyn Store, query: &Query) -> Vec<Page> {
    let head = survey(store, want("/**", 0), 1).head;
    let mut query = query.clone();
    let mut pages = Vec::new();
    loop {
        let page = page(store, &query);
        assert!(page.messages.len() <= query.max_messages, "{page:?}");
        let bytes: usize = page.messages.iter().map(|kept| kept.entry.body.len()).sum();
        assert!(
            page.messages.len() == 1 || bytes <= query.max_bytes,
            "{page:?}"
        );
        assert!(page.position >= query.position, "{query:?} {page:?}");
        let ids = page.messages.iter().map(|kept| kept.place.id);
        let ids: Vec<_> = [query.position].into_iter().chain(ids).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{query:?} {page:?}");
        assert!(*ids.last().expect("one") <= page.position, "{page:?}");
        let is_end = page.is_end;
        assert!(
            is_end || page.position > query.position,
            "{query:?} {page:?}"
        );
        assert!(!is_end || page.position >= head, "{page:?}");
        query.position = page.position;
        pages.push(page);
        assert!(pages.len() <= 10_000, "{query:?} has no end");
        if is_end {
            return pages;
        }
    }
}

/// Reads all that a query asks for.
pub(crate) fn read(store: &dyn Store, query: &Query) -> Vec<Kept> {
    let pages = pages(store, query).into_iter();
    pages.flat_map(|page| page.messages).collect()
}

/// Returns the numbers of the messages of a channel or pattern that are kept.
pub(crate) fn ids(store: &dyn Store, text: &str) -> Vec<u64> {
    let kept = read(store, &query(vec![want(text, 0)]));
    kept.into_iter().map(|kept| kept.place.id).collect()
}

pub(crate) fn survey(store: &dyn Store, want: Want, max: usize) -> Survey {
    wait(store.survey(want, max)).expect("surveyed")
}

pub(crate) fn trim(store: &dyn Store, seconds: u64) {
    wait(store.trim(time(seconds))).expect("trimmed");
}
