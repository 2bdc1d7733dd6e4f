//! Extensions: what looks at messages on their way in and out, and may change or refuse them.
//!
//! They sit in one row. What comes in passes it from the first to the last, the server's before a
//! session's own; what goes out passes it the other way. A new one is a file here that implements
//! [`Extension`], and a line in [`Settings::build`].
//!
//! All of that is done at once. What has to ask somebody outside first returns a [`Wait`]:
//! [`Extension::admit`] before a message is processed, [`Extension::settle`] before its reply leaves.

mod activity;
pub mod settings;
mod timestamp;
mod timesync;
mod webhook;

use core::net::IpAddr;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde_json::value::RawValue;

use crate::access::Identity;
use crate::authentication::{Fault, Shown};
use crate::bayeux::{ClientId, Draft, Event, Message, Reply};
pub use activity::Activity;
pub use settings::{Settings, WaitBounds};
pub use timestamp::Timestamp;
pub use webhook::AskingWebhook;

/// What a message waits for: a future that ends when it may go on, or is refused. It runs on the task of
/// its client's connection, so it may not block; it is dropped when the client goes away, or after
/// `extensions.max_wait`.
pub type Wait = Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>;

/// Something that looks at messages on their way. Every function has a default that changes nothing.
///
/// Event streams and resources have clients that send none: they are seen as the messages that their
/// requests stand for. An event stream is a handshake and a subscribe, who reads a resource subscribes to its
/// channel, and who changes it publishes there, without a session: the new representation, or without data
/// who deletes it.
///
/// None of them may block: they are called while messages are processed, [`deliver`](Self::deliver)
/// once for each receiver. Two may return a [`Wait`].
pub trait Extension: fmt::Debug + Send + Sync {
    /// Looks at a session that begins, and may give it times, events and extensions of its own.
    fn begin(&self, _handshake: &Message<'_>, _begun: &mut Begun) {}

    /// Of a session's own extension: returns what it has to know if the session goes on in another process
    /// (`history.directory`), as JSON, under a name that no other extension has. Without that nothing of it is
    /// there after a restart.
    fn save(&self, _now: Instant) -> Option<(&'static str, Box<RawValue>)> {
        None
    }

    /// Looks at a session that another process has begun, and may give it an extension of its own again: from
    /// what [`save`](Self::save) has returned there, by its name. Nothing else of `begun` is taken.
    fn resume(&self, _saved: &BTreeMap<String, Box<RawValue>>, _begun: &mut Begun) {}

    /// Looks at a message that came in, before anything is done for it.
    ///
    /// # Errors
    /// The message is refused; the extensions behind do not see it.
    fn incoming(&self, _message: &mut Message<'_>, _info: &MessageInfo) -> Result<(), Refusal> {
        Ok(())
    }

    /// Tells whether [`admit`](Self::admit) and [`settle`](Self::settle) are to be called at all; asked
    /// once, at the start.
    fn may_wait(&self) -> bool {
        false
    }

    /// Tells what a message has to wait for before anything is done for it, such as somebody outside who
    /// says whether it may be. Only the server's extensions are asked, not a session's own; for each
    /// message of a batch, before the first of them passes [`incoming`](Self::incoming), and of a batch
    /// with a handshake for that alone. All waits of a batch go on at once.
    ///
    /// An event stream asks for its handshake and its subscribe before the session begins, and a resource
    /// for a change by a part without its data, as what comes of that is not known yet.
    fn admit(&self, _message: &Message<'_>, _info: &MessageInfo) -> Option<Wait> {
        None
    }

    /// Tells what the reply to a message has to wait for, such as that the message is stored. Only the
    /// server's extensions are asked, not a session's own; for each message that succeeded but connects,
    /// right after it was processed. The replies of a batch leave together, when all of them may. It
    /// is asked for a change of a resource, whose response waits, but not for event streams and those who read.
    ///
    /// A refusal makes the reply a failure, and undoes nothing: what was published is published. But the
    /// session of a handshake that is refused ends.
    fn settle(&self, _message: &Message<'_>, _info: &MessageInfo) -> Option<Wait> {
        None
    }

    /// Looks at the reply to a message, right before it is written; of the message, a connect that was
    /// held, and one whose batch had to wait for [`settle`](Self::settle), has only `id`, `channel` and
    /// `ext` left.
    fn reply(&self, _reply: &mut Reply<'_>, _to: &Message<'_>, _info: &MessageInfo) {}

    /// Looks at an event before it is encoded, once for all its receivers. Of a resource its data is
    /// the representation too; a change that fails for a condition may have been looked at before.
    fn publish(&self, _event: &mut Draft<'_>, _now: SystemTime) {}

    /// Tells whether [`deliver`](Self::deliver) is to be called at all.
    fn sees_deliveries(&self) -> bool {
        false
    }

    /// Looks at an event on its way to one session; without a result it does not get there.
    fn deliver(&self, event: Arc<Event>, _to: ClientId, _now: Instant) -> Option<Arc<Event>> {
        Some(event)
    }
}

/// A message's way through the server.
#[derive(Debug, Clone)]
pub struct MessageInfo {
    /// The session it is of, if there is one.
    pub client_id: Option<ClientId>,
    /// Who its session's client has shown to be, or without a session its request.
    pub identity: Option<Arc<Identity>>,
    /// What the head of its request shows that the configuration asks for.
    pub shown: Option<Arc<Shown>>,
    /// The address of its client, if it has one and it is known.
    pub address: Option<IpAddr>,
    /// Whether an application server sends it by the HTTP API: its key says what it may do.
    pub is_backend: bool,
    /// When it came in, by the clock that measures.
    pub at: Instant,
    /// Tells the time now, by that clock and of day: for a reply, when it is written. Few ask, and
    /// clocks cost time.
    pub clocks: fn() -> (Instant, SystemTime),
}

impl MessageInfo {
    /// Returns the time of day now.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        (self.clocks)().1
    }

    /// Returns the time of day when the message came in, and how long ago that is.
    #[must_use]
    pub fn received(&self) -> (SystemTime, Duration) {
        let (instant, time) = (self.clocks)();
        let ago = instant.saturating_duration_since(self.at);
        (time - ago, ago)
    }
}

/// Why a message is not processed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It fails with this error, as `code:arguments:text`, such as `403:/vip:not_for_you`.
    Failed(Cow<'static, str>),
    /// It fails with such an error, and may succeed after this time: a handshake's client is advised to
    /// come back then, and HTTP says so by `Retry-After`.
    Later(Cow<'static, str>, Duration),
    /// Its session ends, as if the client had disconnected.
    Disconnect,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault.retry {
            None => Self::Failed(fault.text().into()),
            Some(retry) => Self::Later(fault.text().into(), retry),
        }
    }
}

/// A session that begins, and what is its own.
#[derive(Debug)]
pub struct Begun {
    /// The time of its handshake.
    pub now: Instant,
    /// How long its connects are held, instead of `bayeux.timeout`.
    pub timeout: Option<Duration>,
    /// How long its client is advised to wait between two connects, instead of `bayeux.interval`.
    pub interval: Option<Duration>,
    /// How long it lives without a connect, instead of `bayeux.max_interval`.
    pub max_interval: Option<Duration>,
    /// Who its client has shown to be; without it, whom its request says, or nobody.
    pub identity: Option<Arc<Identity>>,
    /// The extensions of this session only, behind the server's.
    pub extensions: Vec<Box<dyn Extension>>,
    /// What it has to receive first.
    pub events: Vec<Arc<Event>>,
}

impl Begun {
    /// Makes what is like every other session.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            timeout: None,
            interval: None,
            max_interval: None,
            identity: None,
            extensions: Vec::new(),
            events: Vec::new(),
        }
    }
}

/// Extensions in their order.
#[derive(Debug, Default)]
pub struct Pipeline {
    extensions: Vec<Box<dyn Extension>>,
    sees_deliveries: bool,
    may_wait: bool,
}

impl From<Vec<Box<dyn Extension>>> for Pipeline {
    fn from(extensions: Vec<Box<dyn Extension>>) -> Self {
        let sees_deliveries = extensions
            .iter()
            .any(|extension| extension.sees_deliveries());
        let may_wait = extensions.iter().any(|extension| extension.may_wait());
        Self {
            extensions,
            sees_deliveries,
            may_wait,
        }
    }
}

impl Pipeline {
    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extensions.is_empty()
    }

    /// Lets all of them look at a session that begins.
    pub fn begin(&self, handshake: &Message<'_>, begun: &mut Begun) {
        for extension in &self.extensions {
            extension.begin(handshake, begun);
        }
    }

    /// Returns what those of a session have to know in another process, by their names.
    #[must_use]
    pub fn save(&self, now: Instant) -> BTreeMap<String, Box<RawValue>> {
        let saved = self.extensions.iter();
        let saved = saved.filter_map(|extension| extension.save(now));
        saved.map(|(name, json)| (name.to_owned(), json)).collect()
    }

    /// Lets all of them look at a session that another process has begun.
    pub fn resume(&self, saved: &BTreeMap<String, Box<RawValue>>, begun: &mut Begun) {
        for extension in &self.extensions {
            extension.resume(saved, begun);
        }
    }

    /// Lets all of them look at a message that came in, from the first on.
    ///
    /// # Errors
    /// One refuses it.
    pub fn incoming(&self, message: &mut Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        self.extensions
            .iter()
            .try_for_each(|extension| extension.incoming(message, info))
    }

    /// Tells whether one of them may let messages or replies wait.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Returns what a message has to wait for before it is processed, in the order of the row.
    #[must_use]
    pub fn admit(&self, message: &Message<'_>, info: &MessageInfo) -> Vec<Wait> {
        self.waits(|extension| extension.admit(message, info))
    }

    /// Returns what the reply to a message has to wait for, in the order of the row.
    #[must_use]
    pub fn settle(&self, message: &Message<'_>, info: &MessageInfo) -> Vec<Wait> {
        self.waits(|extension| extension.settle(message, info))
    }

    fn waits(&self, ask: impl Fn(&dyn Extension) -> Option<Wait>) -> Vec<Wait> {
        let row = self.extensions.iter();
        row.filter_map(|extension| ask(&**extension)).collect()
    }

    /// Lets all of them look at a reply, from the last on.
    pub fn reply(&self, reply: &mut Reply<'_>, to: &Message<'_>, info: &MessageInfo) {
        for extension in self.extensions.iter().rev() {
            extension.reply(reply, to, info);
        }
    }

    /// Lets all of them look at an event that is to be encoded, from the last on.
    pub fn publish(&self, event: &mut Draft<'_>, now: impl FnOnce() -> SystemTime) {
        if self.extensions.is_empty() {
            return;
        }
        let now = now();
        for extension in self.extensions.iter().rev() {
            extension.publish(event, now);
        }
    }

    /// Tells whether one of them looks at deliveries.
    #[must_use]
    pub fn sees_deliveries(&self) -> bool {
        self.sees_deliveries
    }

    /// Lets all of them look at an event on its way to a session, from the last on.
    #[must_use]
    pub fn deliver(&self, event: Arc<Event>, to: ClientId, now: Instant) -> Option<Arc<Event>> {
        self.extensions
            .iter()
            .rev()
            .try_fold(event, |event, extension| extension.deliver(event, to, now))
    }
}

#[cfg(test)]
mod tests;
