//! What goes with a response: whose it is, and the events in flight in it.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::Delivery;
use crate::bayeux::Event;
use crate::cluster::wire::Receipt;
use crate::session::{BeingWritten, InFlight, Session};

/// Whose response it is, and the events in flight in it.
#[derive(Debug)]
pub struct Carried {
    session: Option<Arc<Session>>,
    delivery: Option<Delivery>,
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
            delivery: in_flight.map(Delivery::Here),
            events,
        })
    }

    /// Makes one of a response that another node has made, and has to hear of.
    #[must_use]
    pub fn elsewhere(receipt: Receipt) -> Self {
        Self {
            session: None,
            delivery: Some(Delivery::elsewhere(receipt)),
            events: Vec::new(),
        }
    }

    /// Returns the session, the events, and what has to hear what becomes of them.
    #[must_use]
    pub fn into_parts(self) -> (Option<Arc<Session>>, Option<Delivery>, Vec<Arc<Event>>) {
        (self.session, self.delivery, self.events)
    }

    /// Tells whether it is the reply to a connect of a session of this node that it goes with.
    #[must_use]
    pub fn is_to_connect(&self) -> bool {
        self.delivery.as_ref().is_some_and(Delivery::is_to_connect)
    }

    /// Keeps the session as long as the response is written.
    #[must_use]
    pub fn writing(&self) -> Option<BeingWritten> {
        let session = self.session.as_ref()?;
        Some(BeingWritten::of(session, self.is_to_connect()))
    }

    /// Waits, while the response is written, until there is no use in that.
    pub fn poll_displaced(&self, context: &mut Context<'_>) -> Poll<()> {
        let delivery = self.delivery.as_ref();
        delivery.map_or(Poll::Pending, |delivery| delivery.poll_useless(context))
    }

    /// Ends the way of the events, because nobody will say whether the response was written.
    pub fn lose(self) {
        if let Some(delivery) = self.delivery {
            delivery.lose(&self.events);
        }
    }

    /// Gives the events back to their session, because the response could not be written.
    pub fn restore(self) {
        if let Some(delivery) = self.delivery {
            delivery.give_back(self.events);
        }
    }
}
