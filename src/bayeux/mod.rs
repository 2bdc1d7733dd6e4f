//! The Bayeux 1.0 protocol as values: messages, channels, advice, errors; no I/O, no clock.

mod advice;
mod bound;
mod channel;
mod client_id;
mod error;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod json;
mod limits;
mod message;
mod parts;
mod replay;
mod replay_id;
mod reply;
mod transport;
mod value;

pub use advice::{Advice, ClientAdvice, Reconnect};
pub use bound::{ChannelBound, MaxQueuePolicy};
pub use channel::{ChannelKind, ChannelName, ChannelPattern, InvalidChannel, each_pattern};
pub use client_id::{ClientId, NotAnId, RandomId};
pub use error::BayeuxError;
pub use event::{Draft, Event, EventFields, Framing};
pub use json::{BatchError, DataError, parse_batches, parse_body, parse_data};
pub use limits::Limits;
pub use message::{AUTHENTICATION, Message};
pub use parts::Parts;
pub use replay::{NotRecovered, Outcome, Positions, REPLAY, Since};
pub use replay_id::ReplayId;
pub use reply::{Field, Reply};
pub use transport::Transport;
pub use value::{Name, entries, fields, number, text, whole, without};

/// The channel names of the protocol's own messages (specification section 5).
pub mod meta {
    /// Asks for a session.
    pub const HANDSHAKE: &str = "/meta/handshake";
    /// Asks for events, and keeps the session alive.
    pub const CONNECT: &str = "/meta/connect";
    /// Asks for the events of one or more channels.
    pub const SUBSCRIBE: &str = "/meta/subscribe";
    /// Takes that back.
    pub const UNSUBSCRIBE: &str = "/meta/unsubscribe";
    /// Ends the session.
    pub const DISCONNECT: &str = "/meta/disconnect";

    /// All of them: the meta channels that exist.
    pub const ALL: [&str; 5] = [HANDSHAKE, CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT];

    /// Returns the one that a text names, be there a slash behind it or not.
    pub(super) fn named(text: &str) -> Option<&'static str> {
        let name = text.strip_suffix('/').unwrap_or(text);
        ALL.into_iter().find(|meta| *meta == name)
    }
}
