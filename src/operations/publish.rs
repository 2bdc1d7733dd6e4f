//! A message on any other channel: to its subscribers, or to the server itself (section 5).

use std::sync::Arc;

use super::Scope;
use crate::bayeux::{BayeuxError, ChannelKind, ChannelName, Event, EventFields, Message, Reply};
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
        broadcast(&Arc::new(event), channel, session, scope);
    }
    reply
}

fn broadcast(
    event: &Arc<Event>,
    channel: &ChannelName,
    publisher: &Arc<Session>,
    scope: &Scope<'_>,
) {
    let delivery = scope
        .router
        .delivery(channel, scope.shared.settings.max_lazy_timeout);
    let published = scope
        .router
        .publish(channel, event, publisher.id(), delivery, scope.now);
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
