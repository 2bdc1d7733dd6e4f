//! What happens after a batch was processed, if its replies have to wait until something is stored, or
//! replicated.
//!
//! Meanwhile the session goes on: what is published to it is queued, and leaves by other ways. The events
//! that go with the replies are taken when these leave.

use core::net::IpAddr;
use std::borrow::Cow;
use std::time::Instant;

use super::outcome::{Departure, Kept, KeptMessage, Outcome, Settled, Settlement};
use super::request::is_of;
use super::waits::Waits;
use super::{BayeuxServer, held};
use crate::bayeux::{Advice, Message, Reply, meta};
use crate::extensions::Refusal;
use crate::operations::{Actor, Scope, refused};
use crate::session::{BeingWritten, Carrier, EndReason, Stream};

impl Departure {
    /// Keeps the replies of a batch, and the rest of what it led to, until the waits are over.
    pub(super) fn keep_back<'a>(
        self,
        outcome: Outcome<'a>,
        batch: &[Message<'_>],
        came: (Instant, Option<IpAddr>),
        waits: Waits,
    ) -> Outcome<'a> {
        let Outcome {
            session,
            replies,
            new_cookie,
            delay,
            work,
            ..
        } = outcome;
        let messages = batch.iter().map(KeptMessage::of).collect();
        let replies = replies.into_iter().map(Reply::into_owned).collect();
        let alive = session
            .as_ref()
            .map(|session| BeingWritten::of(session, self.is_connect()));
        let kept = Kept {
            outcome: Outcome {
                replies,
                new_cookie,
                delay,
                ..Outcome::of(session.clone())
            },
            messages,
            departure: self,
            came,
            alive,
        };
        Outcome {
            unsettled: Some(Box::new(Settlement::new(waits, kept))),
            work,
            ..Outcome::of(session)
        }
    }

    /// Tells whether the client begins to count the time to its next connect when it has the replies.
    fn is_connect(self) -> bool {
        match self {
            Self::Handshake => true,
            Self::Messages { carrier, .. } => matches!(carrier, Carrier::Connect(_)),
        }
    }
}

impl KeptMessage {
    fn of(message: &Message<'_>) -> Self {
        Self {
            id: message.id.map(ToOwned::to_owned),
            channel: message.channel.map(ToOwned::to_owned),
            meta: message.meta,
            client_id: message.client_id,
            ext: message.ext.as_deref().map(ToOwned::to_owned),
            refused: Reply::to(message).into_owned(),
        }
    }

    fn message(&self) -> Message<'_> {
        Message {
            id: self.id.as_deref(),
            channel: self.channel.as_deref(),
            meta: self.meta,
            client_id: self.client_id,
            ext: self.ext.as_deref().map(Cow::Borrowed),
            ..Message::default()
        }
    }
}

impl BayeuxServer {
    /// Makes the outcome of a batch whose replies may leave: with the refusals in their places, and with
    /// the events that are there now. `stream` is that by which the batch came.
    pub fn conclude(
        &self,
        settled: Settled,
        is_client_gone: &dyn Fn() -> bool,
        stream: Option<&mut Stream>,
        now: Instant,
    ) -> Outcome<'static> {
        let Settled {
            mut verdicts,
            mut kept,
        } = settled;
        let scope = self.core.scope(now);
        for (index, (name, json)) in verdicts.take_extras() {
            kept.outcome.replies[index].extend(name, json);
        }
        for (index, refusal) in verdicts {
            kept.refuse(index, refusal, &scope);
        }
        match kept.departure {
            Departure::Handshake => kept.begin(stream, &scope),
            Departure::Messages { carrier, connects } => {
                let carries = carrier != Carrier::Other && !is_client_gone();
                kept.add_events(if carries { carrier } else { Carrier::Other }, connects);
            }
        }
        let (at, address) = kept.came;
        kept.dress(address, &self.core.scope(at));
        // Its time to the next connect begins now.
        drop(kept.alive);
        kept.outcome
    }
}

impl Kept {
    /// Makes the reply to a message a refusal. What the message did is done, but a session does not begin.
    fn refuse(&mut self, index: usize, refusal: Refusal, scope: &Scope<'_>) {
        let message = &self.messages[index];
        let is_handshake = matches!(self.departure, Departure::Handshake);
        let ends = is_handshake || refusal == Refusal::Disconnect;
        let reply = message.refused.clone();
        let reply = if is_handshake {
            scope.handshake_refused(reply, refusal, &Actor::default())
        } else if message.meta == Some(meta::DISCONNECT) {
            // There is no session to go on with.
            refused(reply, refusal).advised(Advice::none())
        } else {
            refused(reply, refusal)
        };
        let own = self.outcome.session.as_ref();
        let own = own.filter(|session| is_handshake || message.client_id == Some(session.id()));
        if let Some(session) = own.filter(|_| ends) {
            scope.end(session, EndReason::Refused);
        }
        self.outcome.replies[index] = reply;
        if is_handshake {
            self.outcome.session = None;
            self.outcome.new_cookie = None;
        }
    }

    /// Lets the session of a handshake begin, unless that was refused.
    fn begin(&mut self, stream: Option<&mut Stream>, scope: &Scope<'_>) {
        if let Some((stream, session)) = stream.zip(self.outcome.session.as_ref()) {
            stream.attach(session, scope.now);
        }
        let settings = scope.shared.settings.get();
        if settings.allow_message_delivery_during_handshake {
            self.outcome.deliver_during_handshake();
        }
    }

    fn add_events(&mut self, carrier: Carrier, connects: Option<usize>) {
        let Some(session) = &self.outcome.session else {
            return;
        };
        let mut taken = session.take_events(carrier);
        let connect = connects.and_then(|connect| self.outcome.replies.get_mut(connect));
        if let Some(reply) = connect {
            held::tell(reply, &mut taken);
        }
        self.outcome.events = taken.events;
        self.outcome.in_flight = taken.in_flight;
    }

    /// Lets the extensions look at the replies.
    fn dress(&mut self, address: Option<IpAddr>, scope: &Scope<'_>) {
        let is_handshake = matches!(self.departure, Departure::Handshake);
        let actor = Actor {
            address,
            ..Actor::default()
        };
        let session = self.outcome.session.as_ref();
        for (reply, kept) in self.outcome.replies.iter_mut().zip(&self.messages) {
            let message = kept.message();
            let own = session.filter(|session| is_handshake || is_of(&message, session));
            scope.outgoing(reply, &message, own, &actor);
        }
    }
}
