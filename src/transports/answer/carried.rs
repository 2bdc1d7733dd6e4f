//! What goes with a response: whose it is, and the events in flight in it.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::bayeux::Event;
use crate::session::{BeingWritten, InFlight, Session};

/// Whose response it is, and the events in flight in it.
#[derive(Debug)]
pub struct Carried {
    session: Option<Arc<Session>>,
    in_flight: Option<InFlight>,
    events: Vec<Arc<Event>>,
}

impl Carried {
    /// Makes one of a response; nothing if it is of no session.
    #[must_use]
    pub fn of(
        session: Option<Arc<Session>>,
        in_flight: Option<InFlight>,
        events: Vec<Arc<Event>>,
    ) -> Option<Self> {
        (session.is_some() || in_flight.is_some()).then_some(Self {
            session,
            in_flight,
            events,
        })
    }

    /// Returns the session, the events, and what has to hear what becomes of them.
    #[must_use]
    pub fn into_parts(self) -> (Option<Arc<Session>>, Option<InFlight>, Vec<Arc<Event>>) {
        (self.session, self.in_flight, self.events)
    }

    /// Keeps the session as long as the response is written.
    #[must_use]
    pub fn writing(&self) -> Option<BeingWritten> {
        let in_flight = self.in_flight.as_ref();
        let to_connect = in_flight.is_some_and(InFlight::is_to_connect);
        let session = self.session.as_ref()?;
        Some(BeingWritten::of(session, to_connect))
    }

    /// Waits, while the response is written, until there is no use in that.
    pub fn poll_displaced(&self, context: &mut Context<'_>) -> Poll<()> {
        let in_flight = self.in_flight.as_ref();
        in_flight.map_or(Poll::Pending, |in_flight| in_flight.poll_displaced(context))
    }

    /// Gives the events back to their session, because the response could not be written.
    pub fn restore(self) {
        if let Some(in_flight) = self.in_flight {
            in_flight.give_back(self.events);
        }
    }
}
