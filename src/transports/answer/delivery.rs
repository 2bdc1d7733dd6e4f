//! What hears whether a response was written: a session, or the node of the cluster that has it.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::bayeux::Event;
use crate::cluster::wire::Receipt;
use crate::session::InFlight;

/// What hears whether a response was written. Dropped, it was.
#[derive(Debug)]
pub enum Delivery {
    /// The session of the events in it.
    Here(InFlight),
    /// The node that has made it.
    Elsewhere(Told),
}

/// A receipt that tells that a response was written when it is dropped.
#[derive(Debug)]
pub struct Told(Option<Receipt>);

impl Delivery {
    /// Makes one that tells another node.
    #[must_use]
    pub fn elsewhere(receipt: Receipt) -> Self {
        Self::Elsewhere(Told(Some(receipt)))
    }

    /// Tells whether it is of events that go with the reply to a connect of a session of this node.
    #[must_use]
    pub fn is_to_connect(&self) -> bool {
        match self {
            Self::Here(in_flight) => in_flight.is_to_connect(),
            Self::Elsewhere(_) => false,
        }
    }

    /// Waits, while the response is written, until there is no use in that.
    pub fn poll_useless(&self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Here(in_flight) => in_flight.poll_displaced(context),
            Self::Elsewhere(Told(Some(receipt))) => receipt.poll_useless(context),
            Self::Elsewhere(Told(None)) => Poll::Pending,
        }
    }

    /// Tells that the response was not written, and these events of it were not: all of them, if another node has
    /// them.
    pub fn give_back(self, events: Vec<Arc<Event>>) {
        match self {
            Self::Here(in_flight) => in_flight.give_back(events),
            // Dropped, a receipt says so.
            Self::Elsewhere(mut told) => drop(told.0.take()),
        }
    }

    /// Tells that nobody knows whether the response was written, with these events.
    pub fn lose(self, events: &[Arc<Event>]) {
        match self {
            Self::Here(in_flight) => in_flight.lose(events),
            Self::Elsewhere(mut told) => drop(told.0.take()),
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(receipt) = self.0.take() {
            receipt.written();
        }
    }
}
