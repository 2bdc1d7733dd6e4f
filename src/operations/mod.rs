//! What each kind of message does, one file a kind.

mod access;
mod ack;
mod connect;
mod connected;
mod disconnect;
pub mod event_stream;
mod extensions;
mod handshake;
pub mod http_api;
mod implied;
mod incoming;
mod kept;
mod memory;
mod pace;
mod publish;
mod refused_users;
mod renewal;
pub mod replay;
pub mod resources;
mod room;
mod subscribe;
mod taking_up;
mod terms;
mod unsubscribe;

use core::net::IpAddr;
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use indexmap::IndexSet;
use serde_json::value::RawValue;

use crate::access::Identity;
use crate::authentication::{Known, Shown};
use crate::bayeux::{
    Advice, BayeuxError, ChannelBound, ChannelKind, ChannelName, ChannelPattern, ClientId, Draft,
    Event, Limits, Message, RandomId, Reply, Transport, meta, text,
};
use crate::cluster::{Links, Once};
use crate::extensions::Refusal;
use crate::history::History;
use crate::live::Current;
use crate::metrics::{Limit, Metrics};
use crate::resources::Resources;
use crate::router::{Delivery, Router};
use crate::sequence::Sequence;
use crate::services::connected::Connected;
use crate::session::{EndReason, Session, Sessions, Shared};

pub use ack::NAME as ACK;
pub use connect::ended as connect_of_ended;
pub use event_stream::NotOpened;
pub use extensions::{Denied, refused};
pub use handshake::apply as handshake;
pub use implied::Implied;
use pace::milliseconds;
pub use publish::{Publishing, publish};
pub use refused_users::{RefusedUsers, TooManyRefused};
pub use taking_up::Revived;
pub use terms::Terms;

/// What operations work on.
#[derive(Debug)]
pub struct Scope<'s> {
    /// The sessions of this node.
    pub sessions: &'s Sessions,
    /// Who is subscribed to what.
    pub router: &'s Router,
    /// The last messages of channels that are resources.
    pub resources: &'s Arc<Resources>,
    /// What is kept of channels with history.
    pub history: &'s History,
    /// On which terms.
    pub terms: Current<Terms>,
    /// Who may do nothing for a while.
    pub refused_users: &'s RefusedUsers,
    /// The application servers that take calls.
    pub connected: &'s Connected,
    /// What all sessions share.
    pub shared: &'s Arc<Shared>,
    /// The connection types that are on.
    pub connection_types: &'s [&'static str],
    /// Whether clients may acknowledge what they receive.
    pub has_ack: bool,
    /// The time of this batch.
    pub now: Instant,
    /// Tells the time of day, to whoever needs it.
    pub time_of_day: fn() -> SystemTime,
    /// Tells the time now, by the clock that measures and of day.
    pub clocks: fn() -> (Instant, SystemTime),
    /// How much was done: messages, the sessions they were offered to, and subscriptions.
    pub work: Cell<usize>,
    /// Messages on their way to be kept, or through a cluster.
    pub sequence: &'s Sequence,
    /// The cluster that the server is a node of.
    pub cluster: Option<&'s Links>,
    /// What the next message is to be published only once under, in a cluster.
    pub once: RefCell<Option<Once>>,
    /// What the reply to the message that is being done waits for.
    pub kept_back: RefCell<Vec<Later>>,
}

/// What a reply waits for: that something is kept, or read. It ends in an entry for the reply's `ext`, if there is
/// one to be added.
pub struct Later {
    later: Pin<Box<dyn Future<Output = Result<Option<Extra>, Refusal>> + Send>>,
    too_late: Option<Refusal>,
}

impl Later {
    fn new(later: impl Future<Output = Result<Option<Extra>, Refusal>> + Send + 'static) -> Self {
        Self {
            later: Box::pin(later),
            too_late: None,
        }
    }

    /// Has the reply say this if it would have to wait for too long.
    fn or(self, too_late: Refusal) -> Self {
        Self {
            too_late: Some(too_late),
            ..self
        }
    }

    /// Takes what the reply says if it would have to wait for too long, if that is something of its own.
    pub fn take_too_late(&mut self) -> Option<Refusal> {
        self.too_late.take()
    }

    /// Returns what is waited for; an error is what the reply says.
    pub fn into_future(self) -> impl Future<Output = Result<Option<Extra>, Refusal>> + Send {
        self.later
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

/// An entry of `ext`: its name, and its JSON.
pub type Extra = (&'static str, String);

/// After which time what does not work now may work.
pub const RETRY: Duration = Duration::from_secs(1);

impl Scope<'_> {
    fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Notes that so much was done.
    pub fn note_work(&self, work: usize) {
        self.work.set(self.work.get() + work);
    }

    /// Encodes an event, after the extensions have looked at it.
    #[must_use]
    pub fn encode(&self, event: &mut Draft<'_>, bound: Option<ChannelBound>) -> Arc<Event> {
        self.shared.extensions.publish(event, self.time_of_day);
        self.encoded(event, bound)
    }

    fn encoded(&self, event: &Draft<'_>, bound: Option<ChannelBound>) -> Arc<Event> {
        let event = event.encode().bounded(bound);
        Arc::new(event.counted(&self.metrics().memory))
    }

    /// Lets the reply to the message that is being done wait for something.
    fn keep_back(&self, later: Later) {
        self.kept_back.borrow_mut().push(later);
    }

    /// Returns how events of a channel are delivered.
    #[must_use]
    pub fn delivery(&self, channel: &ChannelName) -> Delivery {
        self.router.delivery(channel, &self.shared.settings.get())
    }

    /// Returns why the session of a connect has ended lately, if that could not be said before.
    fn lately_ended(&self, id: ClientId) -> Option<EndReason> {
        if self.sessions.take_overtaken(id, self.now) {
            Some(EndReason::Disconnect)
        } else if self.sessions.take_outlived(id, self.now) {
            Some(EndReason::IdentityExpired)
        } else if self.cluster.is_some() && self.sessions.take_moved(id, self.now) {
            Some(EndReason::Moved)
        } else {
            None
        }
    }

    /// Ends a session and removes every trace of it; does nothing if it had ended before.
    pub fn end(&self, session: &Arc<Session>, reason: EndReason) {
        if reason == EndReason::IdentityExpired && !session.holds_connect() {
            self.sessions.outlive(session.id(), self.now);
        }
        if reason == EndReason::Moved {
            self.sessions.move_away(session.id(), self.now);
        }
        let Some(subscriptions) = session.end(reason) else {
            return;
        };
        self.router.forget(session, &subscriptions);
        if self.connected.is_on() {
            self.connected.remove_all(session.id());
        }
        self.sessions.remove(session);
        self.shared.browsers.remove_session(session.browser().id());
        if let Some(share) = session.share() {
            self.shared.shares.remove(share);
        }
        self.metrics().sessions.decrement();
        self.metrics().ended(reason);
        if self.shared.feeds.has_of_sessions() {
            self.shared.feeds.ended(session.id());
        }
        tracing::debug!(client_id = ?session.id(), reason = reason.label(), "session ended");
    }
}

/// Who asks for an operation, and how that came, as far as the operation has to know.
#[derive(Debug, Clone, Copy, Default)]
pub struct Actor<'a> {
    /// The address that its client has, if it has one and it is known.
    pub address: Option<IpAddr>,
    /// Who it is, as far as its request shows that; a session's client is whom its handshake has shown.
    pub who: Who<'a>,
    /// What the head of its request shows that the configuration asks for.
    pub shown: Option<&'a Arc<Shown>>,
    /// The transport it came by, if it is of a session.
    pub transport: Option<Transport>,
    /// The browser cookies of its request that have the form of this server's.
    pub cookies: &'a [RandomId],
    /// Whether a connect may be held, as far as its transport can.
    pub may_be_held: bool,
    /// Whether it came by the stream that the session's events leave by.
    pub is_streamed: bool,
    /// How long a connect is held at most, if its transport bounds that.
    pub lifetime: Option<Duration>,
    /// Whether it came by a request of its own, of which browsers allow few at once to a host.
    pub is_request: bool,
    /// Whether that came by HTTP/2, by which they allow many.
    pub by_http2: bool,
    /// Whether a publish may come without a session, if that is allowed at all: not by a GET, which any
    /// page can have a browser send.
    pub may_publish_without_session: bool,
    /// Whether its client would not see that nothing listens any more, as by scripts of a page.
    pub is_blind: bool,
    /// Whether it is an application server that has no session, of which its key says what it may do.
    pub is_backend: bool,
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, Default)]
pub enum Who<'a> {
    /// It shows nothing.
    #[default]
    Anonymous,
    /// It shows who it is.
    Known(&'a Known),
    /// What it shows is not valid, or could not be checked.
    Unknown(&'a Refusal),
}

impl<'a> Who<'a> {
    /// Returns who it is, if that is known.
    #[must_use]
    pub fn identity(self) -> Option<&'a Arc<Identity>> {
        match self {
            Self::Known(known) => Some(&known.identity),
            Self::Anonymous | Self::Unknown(_) => None,
        }
    }
}

impl Who<'_> {
    /// Returns for how long it is known who it is, if there is an end to that.
    #[must_use]
    pub fn left(self, now: SystemTime) -> Option<Duration> {
        let expires = self.identity()?.expires?;
        Some(expires.duration_since(now).unwrap_or_default())
    }
}

impl<'a> From<Option<Result<&'a Known, &'a Refusal>>> for Who<'a> {
    fn from(shown: Option<Result<&'a Known, &'a Refusal>>) -> Self {
        match shown {
            None => Self::Anonymous,
            Some(Ok(known)) => Self::Known(known),
            Some(Err(refusal)) => Self::Unknown(refusal),
        }
    }
}

/// What a message did, beside its reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that matters for the response.
    None,
    /// It was published: the response may carry events.
    Published,
    /// It was published on a service channel, whose handlers are to be called.
    Called(ChannelName),
    /// It was a connect, of this number: the response carries events.
    Connected(u64),
    /// It is a connect that is held; the reply is not sent.
    Held {
        /// Under this ticket.
        ticket: u64,
        /// Its number.
        connect: u64,
    },
    /// It repeats the id of an unknown session, and is to be answered so late.
    Late(Duration),
    /// The session ended.
    Ended,
}

/// Takes one message of a session; without a session it is one that no session was found for.
pub fn apply<'a>(
    message: &Message<'a>,
    session: Option<&Arc<Session>>,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> (Reply<'a>, Effect) {
    let reply = Reply::to(message);
    if let Err(error) = checked_id(message, scope) {
        return (reply.failed(error), Effect::None);
    }
    let Some(name) = message.meta else {
        return on_channel(message, reply, session, actor, scope);
    };
    let Some(session) = session else {
        return without_session(message, reply, name, actor, scope);
    };
    match name {
        meta::CONNECT => connect::apply(message, reply, session, actor, scope),
        meta::SUBSCRIBE => (
            subscribe::apply(message, reply, session, actor, scope),
            Effect::None,
        ),
        meta::UNSUBSCRIBE => (
            reply.outcome(unsubscribe::apply(message, session, scope)),
            Effect::None,
        ),
        meta::DISCONNECT => (disconnect::apply(message, session, scope), Effect::Ended),
        _ => (reply.failed(BayeuxError::ChannelCreateDenied), Effect::None),
    }
}

/// Answers a message on a meta channel that no session was found for.
fn without_session<'a>(
    message: &Message<'a>,
    reply: Reply<'a>,
    name: &str,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> (Reply<'a>, Effect) {
    if name != meta::CONNECT {
        return (reply.failed(BayeuxError::SessionUnknown), Effect::None);
    }
    let (shared, now) = (scope.shared, scope.now);
    if let Some(reason) = message.client_id.and_then(|id| scope.lately_ended(id)) {
        let advice = || shared.handshake_advice(actor.is_blind, now);
        let reply = connect::ended(reply, reason, advice);
        return (reply, Effect::None);
    }
    let id = (
        message.client_id.map(|id| id.0.hash_bits()),
        message.foreign_id.map(RawValue::get),
    );
    // Who names none cannot be told from others who name none.
    let delay = if id == (None, None) {
        Duration::ZERO
    } else {
        let max = shared.settings.get().max_unknown_delay;
        scope.sessions.delay_unknown(id, now, max)
    };
    let advice = || {
        if delay.is_zero() {
            shared.handshake_advice(actor.is_blind, now)
        } else {
            // It has had its place among those that come back, and waits already.
            Advice::handshake(Duration::ZERO, shared.settings.get().timeout)
        }
    };
    let reply = connect::ended(reply, EndReason::Expired, advice);
    if delay.is_zero() {
        return (reply, Effect::None);
    }
    scope.metrics().delayed_unknown.increment();
    (reply, Effect::Late(delay))
}

/// Takes a message on a channel that is none of the protocol's own.
fn on_channel<'a>(
    message: &Message<'a>,
    reply: Reply<'a>,
    session: Option<&Arc<Session>>,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> (Reply<'a>, Effect) {
    let channel = match checked_channel(message, &scope.terms.limits) {
        Ok(channel) => channel,
        Err(error) => return (reply.failed(error), Effect::None),
    };
    let Some(session) = session else {
        let is_broadcast = channel.kind() == ChannelKind::Broadcast;
        let reply = if message.names_client() || !is_broadcast || !actor.may_publish_without_session
        {
            reply.failed(BayeuxError::SessionUnknown)
        } else if !scope.router.may_publish_without_session() {
            reply.failed(BayeuxError::SessionMissing)
        } else if let Who::Unknown(refusal) = actor.who {
            refused(reply, refusal.clone())
        } else if let Err(refusal) = scope
            .may_publish(&channel, None, actor)
            .and_then(|()| scope.has_memory())
        {
            refused(reply, refusal)
        } else {
            publish::apply(message, &channel, None, scope)
        };
        return (reply, Effect::None);
    };
    let effect = match channel.kind() {
        ChannelKind::Meta => {
            return (reply.failed(BayeuxError::ChannelCreateDenied), Effect::None);
        }
        ChannelKind::Service => Effect::Called(channel.clone()),
        ChannelKind::Broadcast => Effect::Published,
    };
    if scope.connected.is_of_events(&channel) {
        let error = BayeuxError::PublishForbidden.about(&[channel.as_str()]);
        return (reply.refused(error.into()), Effect::None);
    }
    let permitted = scope.may_publish(&channel, Some(session), actor);
    if let Err(refusal) = permitted.and_then(|()| scope.has_memory()) {
        return (refused(reply, refusal), Effect::None);
    }
    (
        publish::apply(message, &channel, Some(session), scope),
        effect,
    )
}

/// Checks a message's id, of which a held connect keeps a copy.
fn checked_id(message: &Message<'_>, scope: &Scope<'_>) -> Result<(), BayeuxError> {
    let limits = &scope.terms.limits;
    let length = message.id.map_or(0, |id| id.get().len());
    if length > limits.max_message_id_length {
        scope.metrics().limited(Limit::MaxMessageIdLength);
        return Err(BayeuxError::MessageIdInvalid);
    }
    if !message.has_valid_id(limits.strict_message_ids) {
        return Err(BayeuxError::MessageIdInvalid);
    }
    Ok(())
}

fn checked_channel(message: &Message<'_>, limits: &Limits) -> Result<ChannelName, BayeuxError> {
    if message.channel.is_none() {
        return Err(BayeuxError::ChannelMissing);
    }
    let text = message.channel_text().ok_or(BayeuxError::ChannelInvalid)?;
    ChannelName::parse(&text, limits).map_err(|_| BayeuxError::ChannelInvalid)
}

/// Reads a `subscription`: one channel or pattern, or an array of them, each taken once.
fn subscriptions(
    message: &Message<'_>,
    limits: &Limits,
) -> Result<Vec<ChannelPattern>, BayeuxError> {
    let raw = message
        .subscription
        .ok_or(BayeuxError::SubscriptionMissing)?;
    let texts = texts(raw).ok_or(BayeuxError::SubscriptionInvalid)?;
    if texts.is_empty() {
        return Err(BayeuxError::SubscriptionMissing);
    }
    let patterns: Result<IndexSet<_>, _> = texts
        .iter()
        .map(|text| ChannelPattern::parse(text, limits))
        .collect();
    let patterns = patterns.map_err(|_| BayeuxError::SubscriptionInvalid)?;
    Ok(patterns.into_iter().collect())
}

/// Reads a string, or an array of strings.
fn texts(raw: &RawValue) -> Option<Vec<Cow<'_, str>>> {
    if raw.get().starts_with('"') {
        return text(raw).map(|text| vec![text]);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    elements.into_iter().map(text).collect()
}
