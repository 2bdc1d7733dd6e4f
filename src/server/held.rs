//! A connect between its request and its reply.

use core::net::IpAddr;
use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::value::{RawValue, to_raw_value};

use super::core::clocks;
use crate::bayeux::{Message, Reply, meta};
use crate::extensions::MessageInfo;
use crate::operations::{self, Actor};
use crate::session::{Carrier, Resume, Session, Taken};

/// The entry of `ext` that names channels of which messages may be missing.
const GAP: &str = "gap";
/// The channel of almost every connect, as JSON.
static CONNECT: LazyLock<Box<RawValue>> =
    LazyLock::new(|| to_raw_value(meta::CONNECT).expect("a string is JSON"));

/// A connect that waits for its reply; dropped, it counts as one whose client went away.
#[derive(Debug)]
pub struct HeldConnect {
    session: Arc<Session>,
    ticket: u64,
    /// Which connect of the session it is.
    connect: u64,
    /// What is kept of the message.
    id: Option<Box<RawValue>>,
    channel: Option<Cow<'static, RawValue>>,
    /// If there are extensions, which alone look at it.
    ext: Option<Box<RawValue>>,
    at: Instant,
    is_resumed: bool,
    /// Its client would not see that nothing listens any more.
    is_blind: bool,
    /// The address of its client.
    address: Option<IpAddr>,
}

impl HeldConnect {
    pub(super) fn new(
        session: &Arc<Session>,
        ticket: u64,
        connect: u64,
        message: &Message<'_>,
        at: Instant,
    ) -> Self {
        let ext = message.ext.as_deref().filter(|_| session.has_extensions());
        Self {
            session: Arc::clone(session),
            ticket,
            connect,
            id: message.id.map(ToOwned::to_owned),
            channel: message.channel.map(kept),
            ext: ext.map(ToOwned::to_owned),
            at,
            is_resumed: false,
            is_blind: false,
            address: None,
        }
    }

    /// Notes what has to be known at the end of who asked.
    pub(super) fn asked_by(mut self, actor: &Actor<'_>) -> Self {
        self.address = actor.address;
        self.is_blind = actor.is_blind;
        self
    }

    /// Returns its session.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Waits until the connect is to be answered.
    pub fn poll_resumed(
        &mut self,
        now: impl FnOnce() -> Instant,
        context: &mut Context<'_>,
    ) -> Poll<Resume> {
        let resumed = self.session.poll_resumed(self.ticket, now, context);
        self.is_resumed |= resumed.is_ready();
        resumed
    }

    /// Has it answered now, although its session goes on.
    pub fn resume(&self) {
        self.session.resume(self.ticket);
    }

    /// Gives the connect up because its client went away; what is queued stays queued.
    pub fn release(&mut self, now: Instant) {
        self.is_resumed = true;
        self.session.release(self.ticket, now);
    }

    /// Returns the reply, and the events that go with it; nothing if a newer connect took its place.
    #[must_use]
    pub fn answer(&self, resume: Resume) -> Option<(Taken, Reply<'_>)> {
        let (taken, mut reply) = self.bare_answer(resume)?;
        self.dress(&mut reply);
        Some((taken, reply))
    }

    fn bare_answer(&self, resume: Resume) -> Option<(Taken, Reply<'_>)> {
        let reply = self.bare_reply();
        match resume {
            Resume::Answer { advise: false } => Some(self.with_events(reply)),
            Resume::Answer { advise: true } => {
                let advice = self.session.advice(self.is_blind, Instant::now());
                Some(self.with_events(reply.advised(advice)))
            }
            Resume::Displaced => None,
            Resume::Ended(reason) => {
                let shared = self.session.shared();
                let advice = || shared.handshake_advice(self.is_blind, Instant::now());
                Some((
                    Taken::default(),
                    operations::connect_of_ended(reply, reason, advice),
                ))
            }
        }
    }

    fn with_events<'r>(&self, mut reply: Reply<'r>) -> (Taken, Reply<'r>) {
        let mut taken = self.session.take_events(Carrier::Connect(self.connect));
        tell(&mut reply, &mut taken);
        (taken, reply)
    }

    /// Returns a successful reply, for a client that may have closed only its side for writing.
    #[must_use]
    pub fn reply(&self) -> Reply<'_> {
        let mut reply = self.bare_reply();
        self.dress(&mut reply);
        reply
    }

    fn bare_reply(&self) -> Reply<'_> {
        Reply::to_connect(self.id.as_deref(), self.channel.as_deref())
    }

    /// Lets the extensions look at the reply.
    fn dress(&self, reply: &mut Reply<'_>) {
        if !self.session.has_extensions() {
            return;
        }
        let message = Message {
            id: self.id.as_deref(),
            channel: self.channel.as_deref(),
            meta: Some(meta::CONNECT),
            ext: self.ext.as_deref().map(Cow::Borrowed),
            ..Message::default()
        };
        let info = MessageInfo {
            client_id: Some(self.session.id()),
            identity: self.session.granted().identity().cloned(),
            shown: None,
            address: self.address,
            is_backend: false,
            at: self.at,
            clocks,
        };
        self.session.reply(reply, &message, &info);
    }
}

fn kept(channel: &RawValue) -> Cow<'static, RawValue> {
    if channel.get() == CONNECT.get() {
        Cow::Borrowed(&CONNECT)
    } else {
        Cow::Owned(channel.to_owned())
    }
}

/// Gives the reply to a connect its number, if its client acknowledges, and tells what may be missing.
pub(super) fn tell(reply: &mut Reply<'_>, taken: &mut Taken) {
    if let Some(number) = taken.number {
        reply.extend(operations::ACK, number.to_string());
    }
    if let Some(gap) = taken.gap.take() {
        reply.extend(GAP, gap);
    }
}

impl Drop for HeldConnect {
    fn drop(&mut self) {
        if !self.is_resumed {
            self.session.release(self.ticket, Instant::now());
        }
    }
}
