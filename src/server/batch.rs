//! How one batch of messages is processed: each message through the extensions to its operation, and
//! the replies, with the events that may go with them, through the extensions back.

use std::sync::Arc;
use std::time::Instant;

use super::admit::{handshake_in, size};
use super::outcome::{Departure, Outcome};
use super::request::{Request, is_of};
use super::verdicts::Verdicts;
use super::waits::Asked;
use super::{BayeuxServer, HeldConnect, held, random_id};
use crate::authentication::Known;
use crate::bayeux::{Advice, ChannelName, Message, Reply, meta};
use crate::extensions::Refusal;
use crate::operations::{self, Actor, Effect, Scope, Who};
use crate::services::{Call, Sender};
use crate::session::{Carrier, Session, Taken};

/// How much may be done for a client before others have their turn: as many deliveries take one or two
/// milliseconds.
pub const STEP: usize = 10_000;
/// What a call counts for: how much its handler does is not known.
const CALL: usize = STEP / 8;

/// A batch of a session's own messages, which holds wake-ups back. It ends also if an extension or a
/// handler panics, or its session would never be woken again.
struct Batching<'s>(Option<&'s Arc<Session>>);

impl<'s> Batching<'s> {
    fn begin(session: &'s Arc<Session>, now: Instant) -> Self {
        session.begin_batch(now);
        Self(Some(session))
    }

    /// Ends it, and takes the events that its response may carry.
    fn end(mut self, carrier: Carrier) -> Taken {
        let session = self.0.take();
        session.map_or_else(Taken::default, |session| session.end_batch(carrier))
    }
}

impl Drop for Batching<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.end_batch(Carrier::Other);
        }
    }
}

/// A batch in the middle of its way.
struct Pass<'p> {
    server: &'p BayeuxServer,
    scope: Scope<'p>,
    actor: Actor<'p>,
}

impl BayeuxServer {
    /// Takes the messages of one request, in order.
    ///
    /// A handshake has to be alone: other messages of its batch are passed over (section 4.1).
    pub fn process<'a>(
        &self,
        batch: &mut [Message<'a>],
        mut request: Request<'_>,
        now: Instant,
    ) -> Outcome<'a> {
        let may_be_held = request.actor.may_be_held && batch.len() == 1 && !self.is_stopping();
        let actor = Actor {
            may_be_held,
            is_streamed: request.stream.is_some(),
            ..request.actor
        };
        let scope = self.core.scope(now);
        let handshake = handshake_in(batch);
        if let Some(index) = handshake {
            let admitted = request.admitted.take(index);
            let known = request.admitted.take_known(index);
            let who = known.as_ref().map_or(actor.who, Who::Known);
            let pass = Pass {
                server: self,
                scope,
                actor: Actor { who, ..actor },
            };
            let outcome = pass.handshake(&mut batch[index], admitted);
            let session = outcome.session.as_ref();
            // Else the stream has its events only after the reply.
            let session = session.filter(|_| outcome.unsettled.is_none());
            if let Some((stream, session)) = request.stream.zip(session) {
                stream.attach(session, now);
            }
            return outcome;
        }
        let session = self.session_of(batch, &request, now);
        if let Some((stream, session)) = request.stream.take().zip(session.as_ref()) {
            stream.attach(session, now);
        }
        let shown = request.admitted.take_request();
        let who = Who::from(shown.as_ref().map(Result::as_ref));
        if let Some((identity, session)) = who.identity().zip(session.as_ref()) {
            // Who somebody is to others does not matter to a session.
            let _ = scope.renew(session, identity);
        }
        let pass = Pass {
            server: self,
            scope,
            actor: Actor { who, ..actor },
        };
        pass.messages(batch, session.as_ref(), &mut request)
    }
}

impl Pass<'_> {
    fn handshake<'a>(
        &self,
        message: &mut Message<'a>,
        admitted: Result<(), Refusal>,
    ) -> Outcome<'a> {
        let mut outcome = Outcome::of(None);
        let begun = admitted.and_then(|()| self.scope.begin(message, &self.actor));
        let reply = match begun {
            Ok(begun) => {
                let (actor, scope) = (&self.actor, &self.scope);
                let (reply, handshaken) =
                    operations::handshake(message, actor, begun, scope, random_id);
                if let Some(handshaken) = handshaken {
                    outcome.new_cookie = handshaken.new_cookie;
                    outcome.session = Some(handshaken.session);
                }
                reply
            }
            Err(refusal) => self
                .scope
                .handshake_refused(Reply::to(message), refusal, &self.actor),
        };
        let mut unsettled = Asked::default();
        if self.scope.shared.extensions.may_wait() {
            self.settle(message, 0, outcome.session.as_ref(), &reply, &mut unsettled);
        }
        outcome.replies.push(reply);
        if !unsettled.is_empty() {
            let batch = std::slice::from_ref(message);
            return self.keep_back(outcome, batch, Departure::Handshake, unsettled);
        }
        if self
            .scope
            .shared
            .settings
            .get()
            .allow_message_delivery_during_handshake
        {
            outcome.deliver_during_handshake();
        }
        self.dress(&mut outcome, std::slice::from_ref(message), |_, _| true);
        outcome
    }

    fn messages<'a>(
        &self,
        batch: &mut [Message<'a>],
        session: Option<&Arc<Session>>,
        request: &mut Request<'_>,
    ) -> Outcome<'a> {
        let is_lone_connect = batch.len() == 1 && batch[0].is_on(meta::CONNECT);
        let batching = session
            .filter(|_| !is_lone_connect)
            .map(|session| Batching::begin(session, self.scope.now));
        let mut progress = Progress {
            outcome: Outcome::of(session.cloned()),
            current: session,
            carrier: Carrier::Other,
            connects: None,
            has_published: false,
            delivers_on_publish: request.delivers_on_publish,
            admitted: std::mem::take(&mut request.admitted),
            unsettled: Asked::default(),
        };
        let mut messages = batch.iter_mut();
        let mut is_over = self.go_on(&mut messages, &mut progress, STEP);
        if !is_over {
            (request.aside)(&mut || {
                is_over = self.go_on(&mut messages, &mut progress, usize::MAX);
            });
        }
        let Progress {
            mut outcome,
            mut carrier,
            connects,
            has_published,
            unsettled,
            ..
        } = progress;
        outcome.work = self.scope.work.get();
        // Each message counts for one, and each session that is given something.
        if has_published && outcome.work > batch.len() {
            let took = self.scope.now.elapsed();
            self.scope.shared.metrics.latency.observe(took);
        }
        if outcome.held.is_some() {
            return outcome;
        }
        if !unsettled.is_empty() {
            // The batch is over; its events leave with the replies, or before by another way.
            drop(batching);
            let departure = Departure::Messages { carrier, connects };
            return self.keep_back(outcome, batch, departure, unsettled);
        }
        if carrier != Carrier::Other && (request.is_client_gone)() {
            carrier = Carrier::Other;
        }
        let mut taken = match (batching, session, carrier) {
            (Some(batching), ..) => batching.end(carrier),
            (None, Some(session), Carrier::Connect(_)) => session.take_events(carrier),
            _ => Taken::default(),
        };
        if let Some(reply) = connects.and_then(|connect| outcome.replies.get_mut(connect)) {
            held::tell(reply, &mut taken);
        }
        outcome.events = taken.events;
        outcome.in_flight = taken.in_flight;
        self.dress(&mut outcome, batch, is_of);
        outcome
    }

    /// Takes messages until there is none, or so much was done; tells whether that was all.
    fn go_on<'a>(
        &self,
        messages: &mut std::slice::IterMut<'_, Message<'a>>,
        progress: &mut Progress<'_, 'a>,
        enough: usize,
    ) -> bool {
        for message in messages.by_ref() {
            let own = progress.current.filter(|session| is_of(message, session));
            let (reply, effect) = self.message(message, own, progress);
            self.scope.note_work(1);
            match effect {
                Effect::None => {}
                Effect::Published => progress.publish(),
                Effect::Called(_) => {
                    self.scope.note_work(CALL);
                    progress.publish();
                }
                Effect::Connected(connect) => {
                    progress.carrier = Carrier::Connect(connect);
                    progress.connects = Some(progress.outcome.replies.len());
                }
                // What is of a session is not late.
                Effect::Late(delay) if progress.outcome.session.is_none() => {
                    progress.outcome.delay = progress.outcome.delay.max(Some(delay));
                }
                Effect::Late(_) => {}
                Effect::Ended => progress.current = None,
                // It is the only message.
                Effect::Held { ticket, connect } => {
                    progress.outcome.held = own.map(|session| {
                        HeldConnect::new(session, ticket, connect, message, self.scope.now)
                            .asked_by(&self.actor)
                    });
                    return true;
                }
            }
            progress.outcome.replies.push(reply);
            if self.scope.work.get() >= enough {
                break;
            }
        }
        messages.len() == 0
    }

    /// Takes one message through the extensions to its operation.
    fn message<'a>(
        &self,
        message: &mut Message<'a>,
        session: Option<&Arc<Session>>,
        progress: &mut Progress<'_, 'a>,
    ) -> (Reply<'a>, Effect) {
        let index = progress.outcome.replies.len();
        let known = progress.admitted.take_known(index);
        let who = known.as_ref().map_or(self.actor.who, Who::Known);
        let actor = &Actor { who, ..self.actor };
        let passed = match progress.admitted.take(index) {
            Ok(()) => self
                .renew(known.as_ref(), session)
                .and_then(|()| self.scope.incoming(message, session, actor)),
            Err(refusal) => Err(self.scope.ended_by(refusal, session)),
        };
        if let Err(refusal) = passed {
            let has_ended = refusal == Refusal::Disconnect && session.is_some();
            let mut reply = operations::refused(Reply::to(message), refusal.clone());
            if let Refusal::Later(_, wait) = refusal
                && progress.admitted.is_absent()
            {
                // The session may be well, and is not to be given up.
                let timeout = self.scope.shared.settings.get().timeout;
                reply = reply.advised(Advice::retry(wait, timeout));
            }
            let effect = if has_ended {
                Effect::Ended
            } else {
                Effect::None
            };
            return (reply, effect);
        }
        let applied = operations::apply(message, session, actor, &self.scope);
        if let ((_, Effect::Called(channel)), Some(session)) = (&applied, session) {
            self.call(message, channel, session);
        }
        if !self.scope.kept_back.borrow().is_empty() {
            let later = self.scope.kept_back.take();
            progress.unsettled.note_later(index, later);
        }
        if self.scope.shared.extensions.may_wait() {
            self.settle(message, index, session, &applied.0, &mut progress.unsettled);
        }
        applied
    }

    /// Takes what a message shows of who the client of its session is.
    fn renew(&self, known: Option<&Known>, session: Option<&Arc<Session>>) -> Result<(), Refusal> {
        match known.zip(session) {
            Some((known, session)) => self.scope.renew(session, &known.identity),
            None => Ok(()),
        }
    }

    /// Asks the extensions what the reply to a message has to wait for. A connect may be held, or not, for
    /// reasons of its own; so none is asked for.
    #[cold]
    fn settle(
        &self,
        message: &Message<'_>,
        index: usize,
        session: Option<&Arc<Session>>,
        reply: &Reply<'_>,
        unsettled: &mut Asked,
    ) {
        if !reply.is_successful() || message.is_on(meta::CONNECT) {
            return;
        }
        unsettled.note(index, self.scope.settle(message, session, &self.actor));
    }

    /// Keeps the replies back until what they wait for is over.
    #[cold]
    fn keep_back<'a>(
        &self,
        outcome: Outcome<'a>,
        batch: &[Message<'_>],
        departure: Departure,
        unsettled: Asked,
    ) -> Outcome<'a> {
        let (now, address) = (self.scope.now, self.actor.address);
        let waits = self
            .server
            .waiting
            .enter(unsettled, Verdicts::default(), size(batch), now);
        departure.keep_back(outcome, batch, (now, address), waits)
    }

    /// Gives a message on a service channel to its handler, or if it is the answer to a call, to its caller.
    fn call(&self, message: &Message<'_>, channel: &ChannelName, session: &Session) {
        let services = &self.server.services;
        if services.is_empty() {
            return;
        }
        let reach = Arc::clone(&self.server.reach);
        let sender = Sender {
            client_id: session.id(),
            alias: session.alias(),
            identity: session.granted().identity().cloned(),
            address: self.actor.address,
        };
        if let Some(call) = Call::new(message, channel.clone(), sender, reach)
            && let Err(call) = self.scope.connected.answer(call)
        {
            services.call(call);
        }
    }

    /// Lets the extensions look at the replies, and those of the session at its own.
    fn dress(
        &self,
        outcome: &mut Outcome<'_>,
        batch: &[Message<'_>],
        is_of: impl Fn(&Message<'_>, &Session) -> bool,
    ) {
        let session = outcome.session.as_ref();
        if !self.scope.has_extensions(session) {
            return;
        }
        for (reply, message) in outcome.replies.iter_mut().zip(batch) {
            let own = session.filter(|session| is_of(message, session));
            self.scope.outgoing(reply, message, own, &self.actor);
        }
    }
}

/// What has become of the messages taken so far.
struct Progress<'s, 'a> {
    outcome: Outcome<'a>,
    /// The session, if it has not ended.
    current: Option<&'s Arc<Session>>,
    carrier: Carrier,
    /// Where the reply to the last connect stands.
    connects: Option<usize>,
    has_published: bool,
    delivers_on_publish: bool,
    /// What became of the messages that had to wait.
    admitted: Verdicts,
    /// Which replies have to wait.
    unsettled: Asked,
}

impl Progress<'_, '_> {
    fn publish(&mut self) {
        self.has_published = true;
        if self.delivers_on_publish {
            self.carrier = self.carrier.max(Carrier::Publish);
        }
    }
}
