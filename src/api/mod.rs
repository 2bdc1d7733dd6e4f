//! What requests reach that speak no Bayeux: channels as resources, and their history.

pub mod history;
pub mod resources;
