//! A connect as the session sees it.

use std::sync::Arc;
use std::time::Duration;

use super::{Browser, InFlight};
use crate::bayeux::{ClientAdvice, Event};

/// What a client asks with a connect, and how it came.
#[derive(Debug, Clone)]
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
    pub browser: Option<Arc<Browser>>,
    /// Whether it came by HTTP/2.
    pub by_http2: bool,
    /// The number of the last reply to a connect that its client has received, if it says.
    pub ack: Option<u64>,
}

/// The events that go with the reply to a connect.
#[derive(Debug, Default)]
pub struct Taken {
    /// In order.
    pub events: Vec<Arc<Event>>,
    /// The reply's number, if its client acknowledges.
    pub number: Option<u64>,
    /// So many of them, the first, were sent before.
    pub resent: usize,
    /// The channels of which messages may be missing, as JSON, if there are such.
    pub gap: Option<String>,
    /// What tells the session whether they were written, if there are some.
    pub in_flight: Option<InFlight>,
}

impl Taken {
    /// Takes events that nobody acknowledges.
    #[must_use]
    pub fn of(events: Vec<Arc<Event>>) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }
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
