//! What requests reach that speak no Bayeux: channels as resources.

pub mod resources;
