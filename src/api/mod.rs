//! What requests reach that speak no Bayeux: channels as resources, their history, and what `mirant doctor` asks.

pub mod doctor;
pub mod history;
pub mod resources;
