//! A message on any other channel: to its subscribers, or to the server itself (section 5).

use std::sync::Arc;

use bytes::Bytes;

use super::Scope;
use crate::bayeux::{
    BayeuxError, ChannelKind, ChannelName, ClientId, Draft, Event, EventFields, Message, Reply,
};
use crate::resources::{Conditions, Write};
use crate::router::Delivery;
use crate::session::EndReason;

/// Publishes a message: on a broadcast channel to all its subscribers; on a service channel to the
/// server, which acknowledges it.
///
/// Required: `channel`, `clientId` (if not `bayeux.publish_without_session`), `data`. Optional: `id`,
/// `ext`.
pub(super) fn apply<'a>(
    message: &Message<'a>,
    channel: &ChannelName,
    publisher: Option<ClientId>,
    scope: &Scope<'_>,
) -> Reply<'a> {
    let reply = Reply::to_publish(message);
    let settings = scope.router.settings();
    let fields = EventFields {
        ext: settings.relay_ext,
        custom: settings.relay_custom_fields,
    };
    let Some(event) = Draft::of(message, channel, fields) else {
        return reply.failed(BayeuxError::DataMissing);
    };
    scope.metrics().published.increment();
    tracing::trace!(client_id = ?publisher, ?channel, "published");
    if channel.kind() == ChannelKind::Broadcast {
        publish(event, publisher, scope);
    }
    reply
}

/// Sends an event to all subscribers of its channel, and keeps its data if that is a resource.
pub fn publish(mut draft: Draft<'_>, publisher: Option<ClientId>, scope: &Scope<'_>) {
    let delivery = scope.delivery(draft.channel);
    // The extensions may change its data, also for who reads the resource.
    let event = scope.encode(&mut draft, delivery.bound);
    if delivery.is_resource {
        keep(&draft, scope);
    }
    broadcast(draft.channel, &event, publisher, delivery, scope);
}

/// Keeps the data as its channel's representation, before anyone can hear of it.
fn keep(event: &Draft<'_>, scope: &Scope<'_>) {
    let data = Bytes::copy_from_slice(event.data.get().as_bytes());
    // Without a condition nothing is refused.
    let _ = scope.resources.write(
        event.channel,
        &Write::Whole(data),
        &Conditions::default(),
        (scope.time_of_day)(),
    );
}

/// Sends an event to all subscribers of its channel.
pub(super) fn broadcast(
    channel: &ChannelName,
    event: &Arc<Event>,
    publisher: Option<ClientId>,
    delivery: Delivery,
    scope: &Scope<'_>,
) {
    let published = scope
        .router
        .publish(channel, event, publisher, delivery, scope.now);
    scope.note_work(published.visited);
    scope.metrics().delivered.add(published.receivers);
    for session in published.full {
        scope.end(&session, EndReason::MaxQueue);
    }
}
