//! The store in a directory, by itself: what the suite for all stores does not show.

mod bounds;
mod damage;
mod files;
mod full;
mod kill;
mod model;
mod suite;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use bytesize::ByteSize;

use super::{OpenError, SqliteStore};
use crate::bayeux::{ChannelName, ChannelPattern, Limits};
use crate::history::{
    Body, Entry, Kept, Place, Policy, Query, Retention, Selection, Settings, Store, Sync, Want,
};

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mirant-history-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn open(&self) -> SqliteStore {
        self.open_with(&settings(), policy())
    }

    fn open_with(&self, settings: &Settings, policy: Policy) -> SqliteStore {
        open(&self.0, settings, policy).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(directory: &Path, settings: &Settings, policy: Policy) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(directory, settings, policy, Arc::default())
}

fn settings() -> Settings {
    Settings {
        max_bytes: ByteSize::mib(64),
        max_channels: 1000,
        ..Settings::default()
    }
}

/// Keeps three messages of channels below `/last`, all of others.
fn policy() -> Policy {
    Policy::new(|name| Retention {
        messages: Some(if name.as_str().starts_with("/last/") {
            3
        } else {
            u64::MAX
        }),
        ..Retention::default()
    })
}

fn entry(channel: &str, data: &str) -> Entry {
    Entry {
        channel: ChannelName::parse(channel, &Limits::default()).unwrap(),
        at: SystemTime::now(),
        body: Body {
            data: data.to_owned().into(),
            ext: None,
            custom: None,
        },
    }
}

fn want(pattern: &str, after: u64) -> Want {
    Want {
        pattern: ChannelPattern::parse(pattern, &Limits::default()).unwrap(),
        after,
    }
}

fn query(pattern: &str, after: u64) -> Query {
    Query {
        wants: vec![want(pattern, after)],
        selection: Selection::All,
        position: 0,
        max_messages: 100,
        max_bytes: usize::MAX,
    }
}

/// Reads all there is, page after page.
async fn read(store: &dyn Store, mut query: Query) -> Vec<Kept> {
    let mut all = Vec::new();
    loop {
        let page = store.read(query.clone()).await.unwrap();
        assert!(page.messages.len() <= query.max_messages);
        assert!(page.is_end || page.position > query.position, "{page:?}");
        query.position = page.position;
        all.extend(page.messages);
        if page.is_end {
            return all;
        }
    }
}

async fn ids(store: &dyn Store, pattern: &str, after: u64) -> Vec<u64> {
    let all = read(store, query(pattern, after)).await;
    all.iter().map(|kept| kept.place.id).collect()
}

async fn append(store: &dyn Store, channels: &[&str]) -> Vec<Place> {
    let batch = channels
        .iter()
        .map(|channel| entry(channel, r#"{"a":"ö"}"#));
    store.append(batch.collect()).await.unwrap()
}
