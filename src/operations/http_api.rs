//! What an application server has done that has no session: it publishes, and sends to sessions. Its key says
//! what it may do, so access rules are not asked; the extensions are.

use std::sync::Arc;

use super::extensions::Denied;
use super::kept::Unavailable;
use super::publish::{self, Publishing, draft};
use super::{Actor, Scope};
use crate::bayeux::{ChannelName, Draft, Event, EventFields, Limits, Message};
use crate::extensions::{Refusal, Wait};
use crate::sequence::Reached;
use crate::session::{Delivered, Session};

/// Why something was not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// An extension refuses it, or there is no memory.
    #[error("{0}")]
    Denied(Denied),
    /// An extension took its data away.
    #[error("an extension has left no data to be sent")]
    NoData,
    /// Only the server itself tells what happens.
    #[error("nobody else sends on the channel of events (backends.events_channel)")]
    ChannelOfEvents,
    /// Something else was sent under its key, by way of another node.
    #[error("something else was sent under this idempotency key")]
    Reused,
    /// The session that it is for is not there.
    #[error("there is no such session")]
    NoSession,
    /// The session is at another node, which does not answer.
    #[error("the node that has the session does not answer")]
    NoAnswer,
}

impl From<Refusal> for NotSent {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.into())
    }
}

/// Publishes a message on a broadcast channel; returns what becomes of it, and what its receipt has to wait for.
///
/// # Errors
/// An extension refuses it, or there is no memory.
pub fn publish(
    message: &mut Message<'_>,
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<(Publishing, Vec<Wait>), NotSent> {
    pass(message, actor, scope)?;
    let event = draft(message, channel, scope).ok_or(NotSent::NoData)?;
    scope.metrics().published.increment();
    tracing::trace!(?channel, "published by an application server");
    let publishing = publish::publish(event, None, scope)?;
    Ok((publishing, scope.settle(message, None, actor)))
}

/// Returns why a message was not sent that could not be kept.
#[must_use]
pub fn not_kept(channel: &ChannelName, unavailable: Unavailable) -> NotSent {
    unavailable.of(channel).into()
}

/// Makes what sessions are sent of a message, be they subscribed to its channel or not; `send` finds and reaches them. Returns
/// what that does, and what the receipt has to wait for.
///
/// # Errors
/// An extension refuses it, there is no memory, or there is no such session.
pub fn deliver<T>(
    message: &mut Message<'_>,
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
    send: impl FnOnce(&Arc<Event>, &Scope<'_>) -> Result<T, NotSent>,
) -> Result<(T, Vec<Wait>), NotSent> {
    if scope.connected.is_of_events(channel) {
        return Err(NotSent::ChannelOfEvents);
    }
    pass(message, actor, scope)?;
    let mut event = draft(message, channel, scope).ok_or(NotSent::NoData)?;
    let event = scope.encode(&mut event, scope.delivery(channel).bound);
    let sent = send(&event, scope)?;
    tracing::trace!(?channel, "delivered by an application server");
    Ok((sent, scope.settle(message, None, actor)))
}

impl Scope<'_> {
    /// Hands an event to sessions of this node, and tells how far it came.
    pub fn hand_all(
        &self,
        sessions: &[Arc<Session>],
        channel: &ChannelName,
        event: &Arc<Event>,
    ) -> Reached {
        let lazy = self.delivery(channel).lazy;
        let mut reached = Reached::default();
        for session in sessions {
            let delivered = session.deliver(event, lazy, || self.now);
            if delivered == Delivered::Queued {
                reached.receivers += 1;
            } else {
                reached.dropped += 1;
            }
            if let Some(reason) = delivered.end() {
                self.end(session, reason);
            }
        }
        self.note_work(sessions.len());
        self.metrics().delivered.add(reached.receivers);
        reached
    }

    /// Makes the event again that another node has made of a message for sessions; nothing if it is none.
    #[must_use]
    pub fn event_again(&self, json: &str) -> Option<(ChannelName, Arc<Event>)> {
        let message: Message<'_> = serde_json::from_str(json).ok()?;
        let channel: String = serde_json::from_str(message.channel?.get()).ok()?;
        let channel = ChannelName::parse(&channel, &Limits::of_known_channels()).ok()?;
        let all = EventFields {
            ext: true,
            custom: true,
        };
        let draft = Draft::of(&message, &channel, all)?;
        let event = self.encoded(&draft, self.delivery(&channel).bound);
        Some((channel.clone(), event))
    }
}

/// Lets the extensions look at a message, and memory.
fn pass(message: &mut Message<'_>, actor: &Actor<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    scope.note_work(1);
    scope.incoming(message, None, actor)?;
    scope.has_memory()
}
