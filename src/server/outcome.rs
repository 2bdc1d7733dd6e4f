//! What a batch led to.

use std::sync::Arc;
use std::time::Duration;

use super::HeldConnect;
use crate::bayeux::{Event, Field, RandomId, Reply};
use crate::operations;
use crate::session::{InFlight, Session};

/// What a batch led to.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The session it was of.
    pub session: Option<Arc<Session>>,
    /// The events of the response; they come before the replies.
    pub events: Vec<Arc<Event>>,
    /// What tells the session whether they were written.
    pub in_flight: Option<InFlight>,
    /// The replies, in the order of the messages.
    pub replies: Vec<Reply<'a>>,
    /// The browser cookie to set.
    pub new_cookie: Option<RandomId>,
    /// The connect is held: there is no response yet.
    pub held: Option<HeldConnect>,
    /// The response is to be kept back so long; it holds no events.
    pub delay: Option<Duration>,
    /// The replies come before the events: they are what a client has to have first.
    pub replies_first: bool,
    /// How much was done for it, in what a [`STEP`](super::STEP) counts.
    pub work: usize,
}

impl Outcome<'_> {
    pub(super) fn of(session: Option<Arc<Session>>) -> Self {
        Self {
            session,
            events: Vec::new(),
            in_flight: None,
            replies: Vec::new(),
            new_cookie: None,
            held: None,
            delay: None,
            replies_first: false,
            work: 0,
        }
    }

    /// Adds what the new session has queued, and tells its client how many events that are.
    pub(super) fn deliver_during_handshake(&mut self) {
        let (Some(session), Some(reply)) = (&self.session, self.replies.last_mut()) else {
            return;
        };
        let taken = session.take_events(0);
        if let Some(number) = taken.number {
            let batch = format!(r#"{{"enabled":true,"batch":{number}}}"#);
            reply.extend(operations::ACK, batch);
        }
        reply.add(Field::Custom("x-messages", taken.events.len().to_string()));
        self.events = taken.events;
        self.in_flight = taken.in_flight;
        self.replies_first = true;
    }
}
