//! The store in memory passes the suite, whichever way it reads; and what it takes is counted.

use super::*;
use crate::history::suite::{self, Bounds, Factory, append, entry, messages, pattern, trim, wait};

/// Opens stores that merge up to so many channels.
struct Memory(usize);

impl Factory for Memory {
    fn open(&self, bounds: Bounds) -> Arc<dyn Store> {
        Arc::new(open(bounds, self.0, &Arc::default()))
    }

    fn reopen(&self, _bounds: Bounds) -> Arc<dyn Store> {
        unreachable!("it is not durable");
    }
}

fn open(bounds: Bounds, few: usize, metrics: &Arc<Metrics>) -> MemoryStore {
    let metrics = Arc::clone(metrics);
    let Bounds {
        max_bytes,
        max_channels,
        policy,
    } = bounds;
    let mut store = MemoryStore::new(max_bytes, max_channels, policy, metrics);
    store.few = Few(few);
    store
}

#[test]
fn it_does_what_every_store_does() {
    for few in [0, 2, 64] {
        suite::all(&Memory(few));
    }
}

#[test]
fn it_does_what_plain_lists_do() {
    for few in [0, 2, 64] {
        suite::model::check(&Memory(few), 150);
    }
}

#[test]
fn what_it_takes_is_counted_and_given_back() {
    let metrics = Arc::<Metrics>::default();
    let counted = || metrics.memory.of(Kind::History);
    let bounds = || Bounds {
        max_bytes: ByteSize::kib(64),
        max_channels: 10,
        ..Bounds::of(|_| messages(1000))
    };
    let store = open(bounds(), 64, &metrics);
    assert_eq!(counted(), 0);
    append(&store, &["/a", "/b"]);
    let two = store.figures().bytes;
    assert!(two > 2 * 4, "{two}");
    assert_eq!(counted(), two);
    for number in 0..100 {
        let data = "x".repeat(2000);
        let entries = [entry(&format!("/c/{number}"), number, &data)];
        wait(store.append(entries.into())).expect("appended");
        assert_eq!(counted(), store.figures().bytes);
        assert!(counted() <= 64 * 1024, "{}", counted());
        assert!(store.figures().channels <= 10);
    }
    trim(&store, 100);
    wait(store.remove(pattern("/**"), u64::MAX)).expect("removed");
    let rest = counted();
    assert!(
        rest > 0 && rest < 10 * 1024,
        "channels are still known: {rest}"
    );
    assert_eq!(rest, store.figures().bytes);
    drop(store);
    assert_eq!(counted(), 0);
}

#[test]
fn a_page_of_one_channel_does_not_look_at_others() {
    let metrics = Arc::<Metrics>::default();
    let store = open(Bounds::of(|_| messages(1_000_000)), 64, &metrics);
    let names: Vec<String> = (0..100).map(|number| format!("/c/{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for _ in 0..200 {
        append(&store, &names);
    }
    let rare = append(&store, &["/rare", "/c/0"])[0].id;
    // More than may be looked at for a page that walks over all of them.
    let query = suite::query(vec![suite::want("/rare", 0)]);
    let page = suite::page(&store, &query);
    assert_eq!(page.messages.len(), 1);
    assert!(page.is_end);
    let query = suite::query(vec![suite::want("/**", 0)]);
    let mut walked = suite::query(vec![suite::want("/rare", 0), suite::want("/c/*", rare)]);
    assert_eq!(suite::read(&store, &query).len(), 20_002);
    walked.max_messages = 1;
    let found = suite::read(&store, &walked);
    assert_eq!(found.len(), 2);
}
