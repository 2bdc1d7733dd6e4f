//! A message on any other channel: to its subscribers, or to the server itself (section 5).

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;

use super::Scope;
use crate::bayeux::{
    BayeuxError, ChannelKind, ChannelName, ClientId, Draft, EventFields, Message, Reply,
};
use crate::resources::{Conditions, Unmet, Write, Written};
use crate::router::Delivery;
use crate::session::Session;

/// Publishes a message: on a broadcast channel to all its subscribers; on a service channel to the
/// server, which acknowledges it.
///
/// Required: `channel`, `clientId` (if not `bayeux.publish_without_session`), `data`. Optional: `id`,
/// `ext`.
pub(super) fn apply<'a>(
    message: &Message<'a>,
    channel: &ChannelName,
    session: Option<&Arc<Session>>,
    scope: &Scope<'_>,
) -> Reply<'a> {
    let reply = Reply::to_publish(message);
    let Some(mut event) = draft(message, channel, scope) else {
        return reply.failed(BayeuxError::DataMissing);
    };
    let publisher = session.map(|session| session.id());
    scope.metrics().published.increment();
    tracing::trace!(client_id = ?publisher, ?channel, "published");
    if channel.kind() == ChannelKind::Broadcast {
        scope.name_sender(&mut event, message, session);
        publish(event, publisher, scope);
    }
    reply
}

/// Makes what subscribers receive of a message; nothing if it has no data.
pub(super) fn draft<'a>(
    message: &Message<'a>,
    channel: &'a ChannelName,
    scope: &Scope<'_>,
) -> Option<Draft<'a>> {
    let settings = scope.router.settings();
    let fields = EventFields {
        ext: settings.relay_ext,
        custom: settings.relay_custom_fields,
    };
    Draft::of(message, channel, fields)
}

/// How far an event has come, on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reached {
    /// The sessions that it is queued for.
    pub receivers: usize,
    /// The sessions that would have received it, and have too much queued.
    pub dropped: usize,
}

/// Sends an event to all subscribers of its channel, and keeps its data if that is a resource.
pub fn publish(draft: Draft<'_>, publisher: Option<ClientId>, scope: &Scope<'_>) -> Reached {
    let Ok(((), reached)) = announce(draft, publisher, scope, |draft, delivery| {
        if delivery.is_resource {
            let data = Bytes::copy_from_slice(draft.data.get().as_bytes());
            // Without a condition nothing is refused.
            let _ = write(
                draft.channel,
                &Write::Whole(data),
                &Conditions::default(),
                scope,
            );
        }
        Ok::<_, Infallible>(())
    });
    reached
}

/// Lets the extensions look at an event, and sends it to all subscribers of its channel; before anyone can
/// hear of it, `keep` keeps its data.
///
/// # Errors
/// It is not kept, and so not sent.
pub(super) fn announce<K, E>(
    mut draft: Draft<'_>,
    publisher: Option<ClientId>,
    scope: &Scope<'_>,
    keep: impl FnOnce(&Draft<'_>, Delivery) -> Result<K, E>,
) -> Result<(K, Reached), E> {
    let delivery = scope.delivery(draft.channel);
    // The extensions may change its data, also for who reads the resource.
    let event = scope.encode(&mut draft, delivery.bound);
    let kept = keep(&draft, delivery)?;
    let published = scope
        .router
        .publish(draft.channel, &event, publisher, delivery, scope.now);
    scope.note_work(published.visited);
    scope.metrics().delivered.add(published.receivers);
    let reached = Reached {
        receivers: published.receivers,
        dropped: published.dropped + published.ended.len(),
    };
    for (session, reason) in published.ended {
        scope.end(&session, reason);
    }
    Ok((kept, reached))
}

/// Changes a resource.
///
/// # Errors
/// There is nothing to delete, or a condition is not met.
pub(super) fn write(
    channel: &ChannelName,
    write: &Write,
    conditions: &Conditions,
    scope: &Scope<'_>,
) -> Result<Written, Unmet> {
    let at = (scope.time_of_day)();
    scope.resources.write(channel, write, conditions, at)
}
