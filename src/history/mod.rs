//! Messages that can be had again: where they are kept, in which order, and for how long.
//!
//! One counter numbers the messages of all channels with history. So a pattern has one order, as a channel
//! has, and a client that names the last number it had says where it is, whatever it is subscribed to.

mod memory;
mod names;
mod retention;
pub mod settings;
mod sqlite;
mod store;
#[cfg(test)]
pub(crate) mod suite;

pub use memory::MemoryStore;
pub use retention::{Policy, Retention};
pub use settings::{Settings, Sync};
pub use sqlite::{OpenError, SqliteStore};
pub use store::{
    Body, Entry, Epoch, Failed, Figures, Kept, Page, Place, Query, Saved, Selection, Store, Survey,
    Want,
};

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use dashmap::DashMap;

use crate::bayeux::Event;

/// How many events that are read are remembered before those that are gone are forgotten, at least.
const REMEMBERED: usize = 1024;

/// The events that sessions read and that are not written yet, by their numbers.
#[derive(Debug, Default)]
struct Read {
    events: DashMap<u64, Weak<Event>>,
    /// How many more may be made until those that are gone are forgotten.
    left: AtomicUsize,
}

/// What is kept, for all that publish and read; without a store no channel has history.
#[derive(Debug, Clone, Default)]
pub struct History {
    store: Option<Arc<dyn Store>>,
    settings: Settings,
    read: Arc<Read>,
}

impl History {
    /// Makes one that keeps messages in a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, settings: Settings) -> Self {
        Self {
            store: Some(store),
            settings,
            read: Arc::default(),
        }
    }

    /// Returns where messages are kept, if any are.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }

    /// Returns the settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the event of a message that is read, which is made if nobody has it: those who read the same share
    /// it.
    pub fn event(&self, id: u64, make: impl FnOnce() -> Arc<Event>) -> Arc<Event> {
        let Read { events, left } = &*self.read;
        if let Some(event) = events.get(&id).and_then(|event| event.upgrade()) {
            return event;
        }
        let event = make();
        events.insert(id, Arc::downgrade(&event));
        if left.fetch_sub(1, Relaxed) == 0 {
            events.retain(|_, event| event.strong_count() > 0);
            // What is looked through is paid for by what was made.
            left.store(events.len().max(REMEMBERED), Relaxed);
        }
        event
    }
}
