//! What a batch led to: at once, or when its replies may leave.

use core::net::IpAddr;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::HeldConnect;
use super::verdicts::Verdicts;
use super::waits::Waits;
use serde_json::value::RawValue;

use crate::bayeux::{ClientId, Event, Field, RandomId, Reply};
use crate::operations;
use crate::session::{BeingWritten, Carrier, InFlight, Session};

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
    /// The replies have to wait: there is no response yet. Of the rest only `session` and `work` are there.
    pub unsettled: Option<Box<Settlement>>,
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
            unsettled: None,
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
        let taken = session.take_events(Carrier::Connect(0));
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

/// The replies of a batch, until they may leave; it holds nothing of the batch. Dropped, because the client
/// went away, it ends whatever they wait for.
#[derive(Debug)]
#[must_use = "the replies leave when it is over"]
pub struct Settlement {
    waits: Waits,
    kept: Option<Box<Kept>>,
}

impl Settlement {
    pub(super) fn new(waits: Waits, kept: Kept) -> Self {
        let kept = Some(Box::new(kept));
        Self { waits, kept }
    }
}

impl Future for Settlement {
    type Output = Settled;

    /// Waits until the replies may leave.
    ///
    /// # Panics
    /// It is over already.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Settled> {
        self.waits.poll(context).map(|verdicts| Settled {
            verdicts,
            kept: self.kept.take().expect("it is polled until it is over"),
        })
    }
}

/// The replies of a batch that may leave, once [`conclude`](super::BayeuxServer::conclude) has made an
/// outcome of them.
#[derive(Debug)]
pub struct Settled {
    pub(super) verdicts: Verdicts,
    pub(super) kept: Box<Kept>,
}

/// What is kept of a batch that was processed.
#[derive(Debug)]
pub(super) struct Kept {
    /// What it led to, without events.
    pub(super) outcome: Outcome<'static>,
    /// Its messages, as far as there are replies.
    pub(super) messages: Vec<KeptMessage>,
    pub(super) departure: Departure,
    /// When they came, and from where.
    pub(super) came: (Instant, Option<IpAddr>),
    /// The session lives as if the client were reading the replies.
    pub(super) alive: Option<BeingWritten>,
}

/// What is kept of a message.
#[derive(Debug)]
pub(super) struct KeptMessage {
    pub(super) id: Option<Box<RawValue>>,
    pub(super) channel: Option<Box<RawValue>>,
    pub(super) meta: Option<&'static str>,
    pub(super) client_id: Option<ClientId>,
    pub(super) ext: Option<Box<RawValue>>,
    /// The reply if it is refused, but for the reason.
    pub(super) refused: Reply<'static>,
}

/// How the replies of a batch leave.
#[derive(Debug, Clone, Copy)]
pub(super) enum Departure {
    /// It is a handshake's.
    Handshake,
    /// With what events.
    Messages {
        /// Which reply carries them.
        carrier: Carrier,
        /// Where the reply to the last connect stands.
        connects: Option<usize>,
    },
}
