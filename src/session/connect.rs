//! A connect as the session sees it.

use std::time::Duration;

use crate::bayeux::{ClientAdvice, RandomId};

/// What a client asks with a connect, and how it came.
#[derive(Debug, Clone, Copy)]
pub struct Connect {
    /// What the client asks, if it sent advice.
    pub advice: Option<ClientAdvice>,
    /// Whether it may be held at all.
    pub may_be_held: bool,
    /// How long it is held at most, if its transport bounds that.
    pub lifetime: Option<Duration>,
    /// How events leave from now on.
    pub events_by: EventsBy,
    /// The browser it came from, if its cookie names one and its connections are few.
    pub browser: Option<RandomId>,
}

/// How the events of a session leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventsBy {
    /// With the replies of its requests. A stream that the session had is displaced.
    Replies,
    /// By the stream that the message came by.
    ThisStream,
    /// By a stream beside the message's own request. A connect is answered at once; the next is
    /// asked for when it would have timed out.
    OtherStream,
}
