//! Messages that can be had again: where they are kept, in which order, and for how long.
//!
//! One counter numbers the messages of all channels with history. So a pattern has one order, as a channel
//! has, and a client that names the last number it had says where it is, whatever it is subscribed to.

mod retention;
pub mod sqlite;
mod store;

pub use retention::{Policy, Retention};
pub use sqlite::SqliteStore;
pub use store::{
    Body, Entry, Epoch, Failed, Figures, Kept, Page, Place, Query, Saved, Selection, Store, Survey,
    Want,
};
