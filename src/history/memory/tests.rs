//! The store in memory passes the suite, whichever way it reads; and what it takes is counted.

use super::*;
use crate::history::suite::{self, Bounds, Factory, append, entry, messages, trim, wait};
use crate::metrics::Limit;

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
