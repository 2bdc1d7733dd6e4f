//! A message on any other channel: to its subscribers, or to the server itself (section 5).

use std::sync::Arc;

use bytes::Bytes;

use super::{Scope, kept, refused};
use crate::bayeux::{
    BayeuxError, ChannelKind, ChannelName, ClientId, Draft, Event, EventFields, Message, Reply,
};
use crate::cluster::Way;
use crate::extensions::Refusal;
use crate::resources::{Conditions, Unmet, Write, Written};
use crate::router::Delivery;
use crate::sequence::{Change, Reached, Sequencing};
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
    if channel.kind() != ChannelKind::Broadcast {
        return reply;
    }
    scope.name_sender(&mut event, message, session);
    match publish(event, publisher, scope) {
        Ok(Publishing::Done(_)) => reply,
        Ok(Publishing::Local(_)) => {
            let mut reply = reply;
            reply.extend("cluster", "\"local\"".to_owned());
            reply
        }
        Ok(Publishing::Pending(sequencing)) => {
            scope.keep_back(kept::settled(sequencing, channel, scope.unavailable()));
            reply
        }
        Err(refusal) => refused(reply, refusal),
    }
}

/// Makes what subscribers receive of a message; nothing if it has no data.
pub(super) fn draft<'a>(
    message: &Message<'a>,
    channel: &'a ChannelName,
    scope: &Scope<'_>,
) -> Option<Draft<'a>> {
    let (ext, custom) = scope.router.relayed();
    let fields = EventFields { ext, custom };
    Draft::of(message, channel, fields)
}

/// What becomes of an event that is published.
#[derive(Debug)]
#[must_use]
pub enum Publishing {
    /// It is sent.
    Done(Reached),
    /// It is sent to the subscribers of this node of a cluster, as others cannot be reached.
    Local(Reached),
    /// It is sent once it is kept.
    Pending(Sequencing),
}

/// Sends an event to all subscribers of its channel, at once or when it is kept; and keeps its data if that is a
/// resource.
///
/// # Errors
/// It is to be kept, and too many are on their way.
pub fn publish(
    draft: Draft<'_>,
    publisher: Option<ClientId>,
    scope: &Scope<'_>,
) -> Result<Publishing, Refusal> {
    let whole = |draft: &Draft<'_>| Bytes::copy_from_slice(draft.data.get().as_bytes());
    announce(draft, publisher, scope, |draft, delivery| {
        delivery.is_resource.then(|| Change {
            write: Write::Whole(whole(draft)),
            conditions: Conditions::default(),
        })
    })
    .map(|announced| match announced {
        Announced::Done(reached, _) if scope.cluster.is_some() => Publishing::Local(reached),
        Announced::Done(reached, _) => Publishing::Done(reached),
        Announced::Pending(sequencing) => Publishing::Pending(sequencing),
        // Without a condition nothing is refused.
        Announced::Unmet(_) => Publishing::Done(Reached::default()),
    })
}

/// What becomes of an event that may change a resource.
#[derive(Debug)]
pub(super) enum Announced {
    /// It is sent, and has changed the resource.
    Done(Reached, Option<Written>),
    /// It is sent once it is kept, and changes the resource then.
    Pending(Sequencing),
    /// The resource is not as it should be.
    Unmet(Unmet),
}

/// Lets the extensions look at an event, and sends it to all subscribers of its channel; before anyone can
/// hear of it, what `change` says is done to the resource.
///
/// # Errors
/// It is to be kept, and too many are on their way.
pub(super) fn announce(
    mut draft: Draft<'_>,
    publisher: Option<ClientId>,
    scope: &Scope<'_>,
    change: impl FnOnce(&Draft<'_>, Delivery) -> Option<Change>,
) -> Result<Announced, Refusal> {
    let delivery = scope.delivery(draft.channel);
    // The extensions may change its data, also for who reads the resource.
    scope
        .shared
        .extensions
        .publish(&mut draft, scope.time_of_day);
    let change = change(&draft, delivery);
    if scope.goes_through_row(delivery)? {
        let sequencing = kept::submit(&draft, publisher, delivery, change, scope)?;
        return Ok(Announced::Pending(sequencing));
    }
    let written =
        change.map(|change| scope.write(draft.channel, &change.write, &change.conditions));
    let written = match written.transpose() {
        Ok(written) => written,
        Err(unmet) => return Ok(Announced::Unmet(unmet)),
    };
    let event = scope.encoded(&draft, delivery.bound);
    let reached = scope.send(draft.channel, &event, publisher, delivery);
    Ok(Announced::Done(reached, written))
}

impl Scope<'_> {
    /// Tells whether a message is kept, or goes through a cluster, before it is sent.
    ///
    /// # Errors
    /// The cluster's Redis is away, and nothing is published without it.
    pub(super) fn goes_through_row(&self, delivery: Delivery) -> Result<bool, Refusal> {
        if self.cluster.is_none() {
            return Ok(delivery.history.is_some() && self.history.store().is_some());
        }
        self.goes_through_cluster()
    }

    /// Tells whether a message goes through a cluster before it is sent.
    ///
    /// # Errors
    /// The cluster's Redis is away, and nothing is published without it.
    pub(super) fn goes_through_cluster(&self) -> Result<bool, Refusal> {
        let Some(links) = self.cluster else {
            return Ok(false);
        };
        match links.way() {
            Way::Through => Ok(true),
            Way::Local => {
                self.metrics().cluster.local.increment();
                Ok(false)
            }
            Way::Refused => {
                self.metrics().cluster.refused.increment();
                let error = BayeuxError::ClusterUnavailable.text();
                Err(Refusal::Later(error.into(), super::RETRY))
            }
        }
    }

    /// Sends an event to the subscribers of its channel; returns how many sessions were visited.
    pub(super) fn sent(
        &self,
        channel: &ChannelName,
        event: &Arc<Event>,
        publisher: Option<ClientId>,
        delivery: Delivery,
    ) -> usize {
        let before = self.work.get();
        let _ = self.send(channel, event, publisher, delivery);
        self.work.get() - before
    }

    /// Sends an event to the subscribers of its channel.
    pub(super) fn send(
        &self,
        channel: &ChannelName,
        event: &Arc<Event>,
        publisher: Option<ClientId>,
        delivery: Delivery,
    ) -> Reached {
        let router = self.router;
        if self.shared.feeds.has_of_messages() {
            self.shared.feeds.published(event, publisher);
        }
        let published = router.publish(channel, event, publisher, delivery, self.now);
        self.note_work(published.visited);
        self.metrics().delivered.add(published.receivers);
        let reached = Reached {
            receivers: published.receivers,
            dropped: published.dropped + published.ended.len(),
            missing: 0,
        };
        for (session, reason) in published.ended {
            self.end(&session, reason);
        }
        reached
    }

    /// Changes a resource.
    ///
    /// # Errors
    /// There is nothing to delete, or a condition is not met.
    pub(super) fn write(
        &self,
        channel: &ChannelName,
        write: &Write,
        conditions: &Conditions,
    ) -> Result<Written, Unmet> {
        let at = (self.time_of_day)();
        self.resources.write(channel, write, conditions, at)
    }
}
