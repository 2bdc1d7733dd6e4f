//! What is published on a channel with history: what is kept of it, and how it is sent once it is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::FutureExt;

use super::{Later, Scope};
use crate::bayeux::{BayeuxError, ChannelName, ClientId, Draft, Event, Parts, ReplayId};
use crate::extensions::Refusal;
use crate::history::{Body, Entry, Place};
use crate::metrics::Limit;
use crate::resources::{Conditions, Write};
use crate::router::Delivery;
use crate::sequence::{Change, NotSequenced, Publication, Reached, Sequenced, Sequencing};

/// Puts a message into the row; returns what becomes of it.
///
/// # Errors
/// The row is as long as it may be.
pub(super) fn submit(
    draft: &Draft<'_>,
    publisher: Option<ClientId>,
    delivery: Delivery,
    change: Option<Change>,
    scope: &Scope<'_>,
) -> Result<Sequencing, Refusal> {
    let entry = entry(draft, (scope.time_of_day)());
    let memory = &scope.metrics().memory;
    let (mut publication, sequencing) =
        Publication::new(entry, publisher, delivery, change, memory);
    publication.once = scope.once.take();
    push(publication, draft.channel, scope)?;
    Ok(sequencing)
}

/// Puts the deletion of a resource into the row, of which subscribers hear nothing.
///
/// # Errors
/// The row is as long as it may be.
pub(super) fn submit_deletion(
    channel: &ChannelName,
    conditions: &Conditions,
    scope: &Scope<'_>,
) -> Result<Sequencing, Refusal> {
    let entry = Entry::deletion(channel.clone(), (scope.time_of_day)());
    let change = Change {
        write: Write::Delete,
        conditions: conditions.clone(),
    };
    let (delivery, memory) = (scope.delivery(channel), &scope.metrics().memory);
    let (publication, sequencing) = Publication::new(entry, None, delivery, Some(change), memory);
    push(publication, channel, scope)?;
    Ok(sequencing)
}

fn push(publication: Publication, channel: &ChannelName, scope: &Scope<'_>) -> Result<(), Refusal> {
    scope.sequence.push(publication).ok_or_else(|| {
        scope.metrics().limited(Limit::MaxPending);
        refusal(BayeuxError::TooManyPending, channel)
    })
}

/// Makes what is kept of a message.
fn entry(draft: &Draft<'_>, at: SystemTime) -> Entry {
    let parts = draft.parts();
    let owned = |part: &[u8]| Bytes::copy_from_slice(part);
    Entry {
        channel: draft.channel.clone(),
        at,
        body: Body {
            data: owned(&parts.data),
            ext: parts.ext.as_deref().map(owned),
            custom: parts.custom.as_deref().map(owned),
        },
    }
}

/// Makes what the reply to a publish waits for.
pub(super) fn settled(
    sequencing: Sequencing,
    channel: &ChannelName,
    unavailable: Unavailable,
) -> Later {
    let channel = channel.clone();
    Later::new(sequencing.map(move |outcome| match outcome {
        Ok(Ok(_)) => Ok(None),
        Ok(Err(_)) | Err(_) => Err(unavailable.of(&channel)),
    }))
}

/// What is unavailable if a message cannot be kept, or published, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// History.
    History,
    /// The cluster.
    Cluster,
}

impl Unavailable {
    /// Makes the refusal of a message.
    pub(super) fn of(self, channel: &ChannelName) -> Refusal {
        match self {
            Self::History => refusal(BayeuxError::HistoryUnavailable, channel),
            Self::Cluster => {
                let error = BayeuxError::ClusterUnavailable.text();
                Refusal::Later(error.into(), super::RETRY)
            }
        }
    }
}

/// Makes the refusal of what may work a little later.
fn refusal(error: BayeuxError, channel: &ChannelName) -> Refusal {
    Refusal::Later(error.about(&[channel.as_str()]).into(), super::RETRY)
}

impl Scope<'_> {
    /// Tells whether a message that stands alone may still be kept: whether the resource is as it should be.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, publication: &Publication) -> Result<(), NotSequenced> {
        let Some(Change { write, conditions }) = &publication.change else {
            return Ok(());
        };
        let channel = &publication.entry.channel;
        let checked = self.resources.check(channel, write, conditions);
        checked.map_err(NotSequenced::Unmet)
    }

    /// Tells what is unavailable if a message cannot be kept, or published, now.
    #[must_use]
    pub fn unavailable(&self) -> Unavailable {
        match self.cluster {
            None => Unavailable::History,
            Some(_) => Unavailable::Cluster,
        }
    }

    /// Sends a message that is kept to its subscribers.
    pub fn send_kept(&self, publication: Publication, place: Place) {
        let (entry, delivery) = (&publication.entry, publication.delivery);
        let written = publication.change.as_ref().map(|change| {
            // What was to be checked is checked, and nobody else changes it.
            self.resources
                .keep(&entry.channel, &change.write, entry.at, place.id)
        });
        let reached = if entry.is_deletion() {
            Reached::default()
        } else {
            let event = self.kept_event(entry, place.id, delivery);
            self.send(&entry.channel, &event, publication.publisher, delivery)
        };
        self.shared.replays.note_sent(place.id);
        let store = self.history.store();
        publication.conclude(Ok(Sequenced {
            reached,
            id: place.id,
            is_persisted: store.is_some_and(|store| store.is_synced()),
            written,
        }));
    }

    /// Gives the resource of its channel what a message says that is kept.
    pub(super) fn keep_resource(&self, entry: &Entry, id: u64) {
        let write = if entry.is_deletion() {
            Write::Delete
        } else {
            Write::Whole(entry.body.data.clone())
        };
        self.resources.keep(&entry.channel, &write, entry.at, id);
    }

    /// Makes the event of a message that is kept.
    #[must_use]
    pub fn kept_event(&self, entry: &Entry, id: u64, delivery: Delivery) -> Arc<Event> {
        // In a cluster the number says where it stands among all messages.
        let order = self.cluster.map_or(0, |_| id);
        self.made_event(entry, id, order, delivery)
    }

    /// Makes the event of a message with its number in history, if it has one, and in the cluster.
    pub(super) fn made_event(
        &self,
        entry: &Entry,
        id: u64,
        order: u64,
        delivery: Delivery,
    ) -> Arc<Event> {
        let place = delivery
            .history
            .map_or(ReplayId::None, |history| history.replay_id);
        let body = &entry.body;
        let parts = Parts {
            data: Cow::Borrowed(&body.data),
            ext: body.ext.as_deref().map(Cow::Borrowed),
            custom: body.custom.as_deref().map(Cow::Borrowed),
        };
        let event = parts
            .encode(&entry.channel, id, place)
            .ordered(order)
            .bounded(delivery.bound);
        Arc::new(event.counted(&self.metrics().memory))
    }
}
