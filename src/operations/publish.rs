//! A message on any other channel: to its subscribers, or to the server itself (section 5).

use std::sync::Arc;

use bytes::Bytes;

use super::Scope;
use crate::bayeux::{
    BayeuxError, ChannelKind, ChannelName, ClientId, Event, EventFields, Message, Reply,
};
use crate::resources::{Conditions, Write};
use crate::router::Delivery;
use crate::session::{EndReason, Session};

/// Publishes a message: on a broadcast channel to all its subscribers; on a service channel to the
/// server, which acknowledges it.
///
/// Required: `channel`, `clientId`, `data`. Optional: `id`, `ext`.
pub(super) fn apply<'a>(
    message: &Message<'a>,
    channel: &ChannelName,
    session: &Arc<Session>,
    scope: &Scope<'_>,
) -> Reply<'a> {
    // The reply has no `subscription`, whatever the publisher sent.
    let reply = Reply::to(&Message {
        subscription: None,
        ..message.clone()
    });
    let settings = scope.router.settings();
    let fields = EventFields {
        ext: settings.relay_ext,
        custom: settings.relay_custom_fields,
    };
    let Some(event) = Event::of_publish(message, channel, fields) else {
        return reply.failed(BayeuxError::DataMissing);
    };
    scope.metrics().published.increment();
    tracing::trace!(client_id = %session.id(), ?channel, "published");
    if channel.kind() == ChannelKind::Broadcast {
        let delivery = scope.delivery(channel);
        if delivery.is_resource {
            keep(message, channel, scope);
        }
        broadcast(event, channel, Some(session.id()), delivery, scope);
    }
    reply
}

/// Keeps the message as its channel's representation, before anyone can hear of it.
fn keep(message: &Message<'_>, channel: &ChannelName, scope: &Scope<'_>) {
    if let Some(data) = message.data {
        let data = Bytes::copy_from_slice(data.get().as_bytes());
        // Without a condition nothing is refused.
        let _ = scope.resources.write(
            channel,
            &Write::Whole(data),
            &Conditions::default(),
            (scope.time_of_day)(),
        );
    }
}

/// Sends an event to all subscribers of its channel.
pub(super) fn broadcast(
    event: Event,
    channel: &ChannelName,
    publisher: Option<ClientId>,
    delivery: Delivery,
    scope: &Scope<'_>,
) {
    let event = Arc::new(event);
    let published = scope
        .router
        .publish(channel, &event, publisher, delivery, scope.now);
    scope
        .metrics()
        .delivered
        .add(published.receivers - published.full.len());
    for session in published.full {
        scope.metrics().limited(crate::metrics::Limit::MaxQueue);
        tracing::warn!(client_id = %session.id(), "the queue is full (bayeux.max_queue): ending the session");
        scope.end(&session, EndReason::MaxQueue);
    }
}
