//! What an application server has done that has no session: it publishes, and sends to sessions. Its key says
//! what it may do, so access rules are not asked; the extensions are.

use super::extensions::Denied;
use super::kept::Unavailable;
use super::publish::{self, Publishing, draft};
use super::{Actor, Scope};
use crate::bayeux::{ChannelName, ClientId, Message};
use crate::extensions::{Refusal, Wait};
use crate::sequence::Reached;
use crate::session::Delivered;

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
    /// The session that it is for is not there.
    #[error("there is no such session")]
    NoSession,
}

impl From<Refusal> for NotSent {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.into())
    }
}

/// Whom something is for.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// A session.
    Session(ClientId),
    /// All sessions of a user.
    User(&'a str),
}

/// What becomes of something, and what its receipt has to wait for.
pub type Sent = (Publishing, Vec<Wait>);

/// Publishes a message on a broadcast channel.
///
/// # Errors
/// An extension refuses it, or there is no memory.
pub fn publish(
    message: &mut Message<'_>,
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Sent, NotSent> {
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

/// Sends a message to sessions, be they subscribed to its channel or not.
///
/// # Errors
/// An extension refuses it, there is no memory, or there is no such session.
pub fn deliver(
    to: To<'_>,
    message: &mut Message<'_>,
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Sent, NotSent> {
    if scope.connected.is_of_events(channel) {
        return Err(NotSent::ChannelOfEvents);
    }
    pass(message, actor, scope)?;
    let sessions = match to {
        To::Session(id) => vec![scope.sessions.find(id).ok_or(NotSent::NoSession)?],
        To::User(user) => scope.sessions.of_user(user),
    };
    let mut event = draft(message, channel, scope).ok_or(NotSent::NoData)?;
    let delivery = scope.delivery(channel);
    let event = scope.encode(&mut event, delivery.bound);
    let mut reached = Reached::default();
    for session in &sessions {
        let delivered = session.deliver(&event, delivery.lazy, || scope.now);
        if delivered == Delivered::Queued {
            reached.receivers += 1;
        } else {
            reached.dropped += 1;
        }
        if let Some(reason) = delivered.end() {
            scope.end(session, reason);
        }
    }
    scope.note_work(sessions.len());
    scope.metrics().delivered.add(reached.receivers);
    tracing::trace!(?channel, "delivered by an application server");
    let publishing = Publishing::Done(reached);
    Ok((publishing, scope.settle(message, None, actor)))
}

/// Lets the extensions look at a message, and memory.
fn pass(message: &mut Message<'_>, actor: &Actor<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    scope.note_work(1);
    scope.incoming(message, None, actor)?;
    scope.has_memory()
}
