//! Applications that the server calls by HTTP: what they are told, what they answer, and all that can go wrong.

pub(crate) mod application;
mod calls;
mod events;
mod settings;
