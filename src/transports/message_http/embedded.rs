//! The way in: requests that come in the body of a request, and who answers them.

use std::fmt::Debug;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::requests::{Bounds, Next, Requests};
use crate::memory::{Charge, Kind};
use crate::metrics::Metrics;
use crate::transports::answer::Answer;
use crate::transports::gate::{Decision, Sender};
use crate::transports::runtime::now;
use crate::web::{Request, Socket, Transfer};

/// Who answers requests that are embedded in another.
pub trait AnswerEmbedded: Debug + Send + Sync {
    /// Answers one, which has the sender of the outer one if it says nothing of that.
    fn answer(&self, request: Request, outer: &Sender, socket: &Socket) -> Answer;

    /// Returns the figures.
    fn metrics(&self) -> &Metrics;
}

/// The requests of a body that may go on for ever.
#[derive(Debug)]
pub(super) struct Embedded {
    answers: Arc<dyn AnswerEmbedded>,
    requests: Requests,
    /// The outer request's target, for what is of no other.
    pub(super) location: Box<str>,
    /// The outer request's sender, for requests that say nothing of that.
    sender: Sender,
    /// Since when a request has begun to arrive.
    pub(super) begun: Option<Instant>,
    /// Since when nothing has happened.
    pub(super) idle: Option<Instant>,
    /// The body has ended, or is not read any more.
    pub(super) has_ended: bool,
    /// What of a request has come that is not whole.
    partial: Charge,
}

impl Embedded {
    pub(super) fn new(
        answers: Arc<dyn AnswerEmbedded>,
        decision: &Decision<'_>,
        body: Transfer,
        bounds: Bounds,
    ) -> Self {
        let partial = Charge::new(&answers.metrics().memory, Kind::Requests, 0);
        Self {
            partial,
            answers,
            requests: Requests::new(body, bounds),
            location: decision.location(),
            sender: decision.sender(),
            begun: None,
            idle: None,
            has_ended: false,
        }
    }

    /// Takes what comes next of what has arrived.
    pub(super) fn next(&mut self, socket: &mut Socket) -> Next {
        let next = self.requests.next(socket.arrived_bytes());
        match &next {
            Next::More if self.requests.is_begun() => {
                self.begun.get_or_insert_with(now);
            }
            Next::Fault(fault) if fault.is_last => self.end(),
            Next::End => self.end(),
            Next::More => self.begun = None,
            Next::Request(..) | Next::Fault(_) => {
                self.begun = None;
                self.idle = None;
            }
        }
        next
    }

    /// Counts what has come of a request; ready if that has to go, because there is no memory for it.
    pub(super) fn poll_cut(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<()> {
        self.partial.set(socket.memory() + self.requests.memory());
        if self.partial.may_grow() {
            self.partial.poll_cut(context)
        } else {
            Poll::Ready(())
        }
    }

    /// Reads no more.
    pub(super) fn end(&mut self) {
        self.begun = None;
        self.has_ended = true;
    }

    pub(super) fn metrics(&self) -> &Metrics {
        self.answers.metrics()
    }

    /// Has a request answered.
    pub(super) fn answer(&self, request: Request, socket: &Socket) -> Answer {
        self.answers.answer(request, &self.sender, socket)
    }
}
