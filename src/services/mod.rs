//! Service channels: what is published on `/service/**` goes to handlers, and to nobody else.
//!
//! Handlers stand in the order of the configuration; the first that takes a call has it. A handler may
//! answer at once or, from a task of its own, later. Clients of CometD make such calls by
//! `remoteCall`, and know the answer by the `id` of what they published.

mod broadcast;
mod direct;
mod echo;
pub mod settings;

use core::net::IpAddr;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::bayeux::{ChannelName, ChannelPattern, ClientId, Draft, Limits, Message};
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
    /// Sends an event to one session; false if it is not there.
    fn deliver(&self, to: ClientId, event: &Draft<'_>) -> bool;
    /// Sends an event to all subscribers of its channel.
    fn publish(&self, event: Draft<'_>);
    /// Returns the bounds of names.
    fn limits(&self) -> &Limits;
}

/// A message that a client published on a service channel.
#[derive(Debug)]
pub struct Call {
    /// The channel.
    pub channel: ChannelName,
    /// The client's session.
    pub client_id: ClientId,
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

impl Call {
    /// Makes a call of a message; nothing if it has no data.
    #[must_use]
    pub fn new(
        message: &Message<'_>,
        channel: ChannelName,
        client_id: ClientId,
        address: Option<IpAddr>,
        reach: Arc<dyn Reach>,
    ) -> Option<Self> {
        Some(Self {
            channel,
            client_id,
            address,
            id: message.id.map(ToOwned::to_owned),
            data: message.data.clone()?.into_owned(),
            ext: message.ext.clone().map(Cow::into_owned),
            reach,
        })
    }

    /// Answers the caller; false if it is gone.
    pub fn reply(&self, data: &RawValue) -> bool {
        self.answer(data, "true")
    }

    /// Tells the caller that the call failed, and why; false if it is gone.
    pub fn fail(&self, data: &RawValue) -> bool {
        self.answer(data, "false")
    }

    /// Tells the caller in words that the call failed; false if it is gone.
    pub fn fail_with(&self, error: &str) -> bool {
        let error = serde_json::json!({ "error": error });
        serde_json::value::to_raw_value(&error).is_ok_and(|data| self.fail(&data))
    }

    fn answer(&self, data: &RawValue, successful: &str) -> bool {
        let mut event = Draft::new(&self.channel, data);
        if let Some(id) = &self.id {
            event.set("id", id.get());
        }
        event.set("successful", successful);
        self.reach.deliver(self.client_id, &event)
    }

    /// Sends data to another client on this channel; false if it is not there.
    #[must_use]
    pub fn deliver(&self, to: ClientId, data: &RawValue) -> bool {
        self.reach.deliver(to, &Draft::new(&self.channel, data))
    }

    /// Publishes data to all subscribers of a channel.
    pub fn publish(&self, channel: &ChannelName, data: &RawValue) {
        self.reach.publish(Draft::new(channel, data));
    }

    /// Returns the bounds of names.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.reach.limits()
    }
}

/// The handlers, in order.
#[derive(Debug, Default)]
pub struct Services {
    handlers: Vec<(ChannelPattern, Arc<dyn Handler>)>,
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

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.handlers.is_empty()
    }

    /// Gives a call to the first handler that takes it; false if none does.
    pub fn call(&self, mut call: Call) -> bool {
        for (pattern, handler) in &self.handlers {
            if !pattern.matches(&call.channel) {
                continue;
            }
            match handler.handle(call) {
                Ok(()) => return true,
                Err(passed) => call = passed,
            }
        }
        false
    }
}
