//! What requests reach that speak no Bayeux: channels as resources, their history, and what `mirant doctor` asks.

pub mod doctor;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod history;
pub mod resources;
