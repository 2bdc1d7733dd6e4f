//! Messages that can be had again: where they are kept, in which order, and for how long.
//!
//! One counter numbers the messages of all channels with history. So a pattern has one order, as a channel
//! has, and a client that names the last number it had says where it is, whatever it is subscribed to.

mod retention;
mod store;

pub use retention::{Policy, Retention};
pub use store::{
    Body, Entry, Epoch, Failed, Figures, Kept, Page, Place, Query, Saved, Selection, Store, Survey,
    Want,
};

use std::sync::Arc;

/// What is kept, for all that publish and read; without a store no channel has history.
#[derive(Debug, Clone, Default)]
pub struct History {
    store: Option<Arc<dyn Store>>,
}

impl History {
    /// Makes one that keeps messages in a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store: Some(store) }
    }

    /// Returns where messages are kept, if any are.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<dyn Store>> {
        self.store.as_ref()
    }
}
