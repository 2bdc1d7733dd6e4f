//! Service channels: what is published on `/service/**` goes to handlers, and to nobody else.
//!
//! Handlers stand in an order; the first that takes a call has it: those of the configuration, then application
//! servers that are connected ([`connected`]), then all others. A handler may answer at once or, from a task of
//! its own, later. Clients of CometD make such calls by `remoteCall`, and know the answer by the `id` of what
//! they published.

mod broadcast;
mod caller;
pub mod connected;
mod direct;
mod echo;
pub mod settings;

use core::net::IpAddr;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::access::Identity;
use crate::alias::Alias;
use crate::bayeux::{
    BayeuxError, ChannelName, ChannelPattern, ClientId, Draft, Event, Limits, Message,
};
pub use caller::Caller;
pub use settings::Settings;

/// What takes calls.
pub trait Handler: fmt::Debug + Send + Sync {
    /// Takes a call; it must not wait, but may keep the call and answer later.
    ///
    /// # Errors
    /// It gives the call back, which is then the next handler's.
    #[expect(
        clippy::result_large_err,
        reason = "a call is moved once, and given back rarely"
    )]
    fn handle(&self, call: Call) -> Result<(), Call>;
}

/// What a handler can do to others than the caller.
pub trait Reach: fmt::Debug + Send + Sync {
    /// Encodes an event, after the extensions have looked at it.
    fn encode(&self, event: &Draft<'_>) -> Arc<Event>;
    /// Hands an event to one session.
    fn hand(&self, to: ClientId, event: &Arc<Event>) -> Handed;
    /// Hands an event to one session if it takes at most a part of what that may have queued, such as 4 for a
    /// quarter; nothing else has to go for it.
    fn offer(&self, to: ClientId, event: &Arc<Event>, part: usize) -> Handed;
    /// Sends an event to all subscribers of its channel.
    fn publish(&self, event: Draft<'_>);
    /// Returns the bounds of names.
    fn limits(&self) -> Arc<Limits>;
}

/// What became of an event that was handed to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Handed {
    /// It is queued.
    Queued,
    /// The session may not have more of them queued.
    Full,
    /// There is no such session, or not any more.
    Gone,
}

/// A message that a client published on a service channel.
#[derive(Debug)]
pub struct Call {
    /// The channel.
    pub channel: ChannelName,
    /// The client's session, which others than its client are not told.
    pub client_id: ClientId,
    /// What others may call it.
    pub alias: Alias,
    /// Who the client has shown to be.
    pub identity: Option<Arc<Identity>>,
    /// The client's address, if it has one and it is known.
    pub address: Option<IpAddr>,
    /// `id`, if the message has one.
    pub id: Option<Box<RawValue>>,
    /// `data`.
    pub data: Box<RawValue>,
    /// `ext`, if the message has one.
    pub ext: Option<Box<RawValue>>,
    reach: Arc<dyn Reach>,
}

/// Who makes a call.
#[derive(Debug)]
pub struct Sender {
    /// Its session.
    pub client_id: ClientId,
    /// What others may call that.
    pub alias: Alias,
    /// Who it has shown to be.
    pub identity: Option<Arc<Identity>>,
    /// Its address, if it has one and it is known.
    pub address: Option<IpAddr>,
}

impl Call {
    /// Makes a call of a message; nothing if it has no data.
    #[must_use]
    pub fn new(
        message: &Message<'_>,
        channel: ChannelName,
        sender: Sender,
        reach: Arc<dyn Reach>,
    ) -> Option<Self> {
        let Sender {
            client_id,
            alias,
            identity,
            address,
        } = sender;
        Some(Self {
            channel,
            client_id,
            alias,
            identity,
            address,
            id: message.id.map(ToOwned::to_owned),
            data: message.data.clone()?.into_owned(),
            ext: message.ext.clone().map(Cow::into_owned),
            reach,
        })
    }

    /// Returns what it takes to answer, without what the call holds.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            channel: self.channel.clone(),
            client_id: self.client_id,
            id: self.id.clone(),
            reach: Arc::clone(&self.reach),
        }
    }

    /// Answers the caller; false if it is gone.
    pub fn reply(&self, data: &RawValue) -> bool {
        self.caller().reply(data)
    }

    /// Tells the caller that the call failed, and why; false if it is gone.
    pub fn fail(&self, data: &RawValue) -> bool {
        self.caller().fail(data)
    }

    /// Tells the caller in words that the call failed.
    fn fail_with(&self, error: &str) -> bool {
        let error = serde_json::json!({ "error": error });
        serde_json::value::to_raw_value(&error).is_ok_and(|data| self.fail(&data))
    }

    /// Sends data to another client on this channel; false if it is not there.
    #[must_use]
    pub fn deliver(&self, to: ClientId, data: &RawValue) -> bool {
        let event = self.reach.encode(&Draft::new(&self.channel, data));
        self.reach.hand(to, &event) != Handed::Gone
    }

    /// Publishes data to all subscribers of a channel.
    pub fn publish(&self, channel: &ChannelName, data: &RawValue) {
        self.reach.publish(Draft::new(channel, data));
    }

    /// Returns the bounds of names.
    #[must_use]
    pub fn limits(&self) -> Arc<Limits> {
        self.reach.limits()
    }
}

/// The handlers, in order.
#[derive(Debug, Default)]
pub struct Services {
    handlers: Vec<(ChannelPattern, Arc<dyn Handler>)>,
    /// Whether callers are told that nobody takes their calls.
    are_answered: bool,
}

impl Services {
    /// Adds a handler for the service channels that match a pattern, behind those that are there.
    pub fn add(&mut self, pattern: ChannelPattern, handler: Arc<dyn Handler>) {
        self.handlers.push((pattern, handler));
    }

    /// Adds handlers, each for the service channels that match its pattern, behind those that are there.
    pub fn extend(&mut self, handlers: Vec<(ChannelPattern, Arc<dyn Handler>)>) {
        self.handlers.extend(handlers);
    }

    /// Has callers told from now on if nobody takes their calls: there are application servers that should.
    pub fn answer_all(&mut self) {
        self.are_answered = true;
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    /// Gives a call to the first handler that takes it.
    pub fn call(&self, mut call: Call) {
        for (pattern, handler) in &self.handlers {
            if !pattern.matches(&call.channel) {
                continue;
            }
            match handler.handle(call) {
                Ok(()) => return,
                Err(passed) => call = passed,
            }
        }
        if self.are_answered {
            call.caller().refuse(BayeuxError::NoBackend);
        }
    }
}
