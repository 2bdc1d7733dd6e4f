//! Who is shown what, how much of it, and until when.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::bayeux::{ChannelName, Draft, Limits, RandomId};

const BOUNDS: Bounds = Bounds {
    feeds: 3,
    bytes: 1000,
};

fn event(channel: &str, data: &str) -> Event {
    let channel = ChannelName::parse(channel, &Limits::default()).expect("a channel");
    let data = serde_json::from_str(data).expect("JSON");
    Draft::new(&channel, data).encode()
}

fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect("a pattern")
}

fn id(byte: u8) -> ClientId {
    ClientId(RandomId::from_random([byte; 16]))
}

fn taken(feed: &Feed) -> Option<Taken> {
    match feed.poll(usize::MAX, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(taken) => Some(taken),
        Poll::Pending => None,
    }
}

/// What was taken, as texts.
fn texts(feed: &Feed) -> Vec<String> {
    let items = taken(feed).unwrap_or_default().items;
    let text = |item: &Item| {
        let json = std::str::from_utf8(&item.json).expect("text");
        format!("{} {json}", item.kind.name())
    };
    items.iter().map(text).collect()
}

#[test]
fn each_feed_has_what_it_is_about() {
    let feeds = Arc::new(Feeds::default());
    let watch = |topic| feeds.watch(topic, BOUNDS).expect("a feed");
    assert!(!feeds.has_of_messages());
    let channels = watch(Topic::Channels(pattern("/a/**")));
    let session = watch(Topic::Session(id(1), vec![pattern("/a/*")]));
    let figures = watch(Topic::Figures);
    assert!(feeds.has_of_messages() && feeds.has_of_sessions());
    feeds.published(&event("/a/b", "1"), Some(id(1)));
    feeds.published(&event("/a/b/c", "2"), Some(id(1)));
    feeds.published(&event("/b", "3"), None);
    feeds.delivered(id(1), &event("/a/d", "4"));
    feeds.delivered(id(1), &event("/b", "5"));
    feeds.delivered(id(2), &event("/a/d", "6"));
    feeds.counted(&Bytes::from_static(b"{}"));
    let shown = |kind: &str, channel: &str, data: u8| {
        format!(r#"{kind} {{"channel":"{channel}","data":{data}}}"#)
    };
    assert_eq!(
        texts(&channels),
        [
            shown("published", "/a/b", 1),
            shown("published", "/a/b/c", 2)
        ]
    );
    assert_eq!(
        texts(&session),
        [shown("sent", "/a/b", 1), shown("delivered", "/a/d", 4)]
    );
    assert_eq!(texts(&figures), ["figures {}"]);
    assert_eq!(taken(&channels), None);
    drop((channels, session));
    assert!(!feeds.has_of_messages() && !feeds.has_of_sessions());
}

#[test]
fn there_are_so_many_and_another_when_one_is_dropped() {
    let feeds = Arc::new(Feeds::default());
    let watch = || feeds.watch(Topic::Figures, BOUNDS);
    let first: Vec<Feed> = (0..3).map(|_| watch().expect("a feed")).collect();
    assert_eq!(watch().err(), Some(TooMany));
    drop(first);
    assert!(watch().is_ok());
}

#[test]
fn who_reads_too_slowly_loses_the_oldest_and_is_told() {
    let feeds = Arc::new(Feeds::default());
    let feed = feeds.watch(Topic::Figures, BOUNDS).expect("a feed");
    let json: Vec<Bytes> = (0..10_u8)
        .map(|number| Bytes::from(vec![number; 136]))
        .collect();
    for json in &json {
        feeds.counted(json);
    }
    let first = taken(&feed).expect("something");
    let kept: Vec<&Bytes> = first.items.iter().map(|item| &item.json).collect();
    assert_eq!(first.missed, 5);
    assert_eq!(kept, json[5..].iter().collect::<Vec<_>>());
    feeds.counted(&Bytes::from(vec![0; 2000]));
    let too_large = taken(&feed).expect("something");
    assert_eq!((too_large.missed, too_large.items.len()), (1, 0));
    assert_eq!(taken(&feed), None);
}

#[test]
fn the_feed_of_a_session_ends_after_the_last_that_it_had() {
    let feeds = Arc::new(Feeds::default());
    let topic = Topic::Session(id(1), vec![pattern("/**")]);
    let feed = feeds.watch(topic, BOUNDS).expect("a feed");
    feeds.delivered(id(1), &event("/a", "1"));
    feeds.ended(id(2));
    feeds.ended(id(1));
    let last = taken(&feed).expect("something");
    assert_eq!((last.items.len(), last.is_over), (1, true));
}
