//! Messages of channels with history: each is kept first, then sent to its subscribers; in one order for all.
//!
//! Whoever publishes puts a message into a row. One task takes batches from it and has them kept, which numbers
//! them; another sends what is kept, in the order of the numbers. So a session sees numbers that grow, whatever
//! it is subscribed to, and nobody hears of what could still be lost.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::publish::{Reached, write};
use super::{Later, Scope};
use crate::bayeux::{BayeuxError, ChannelName, ClientId, Draft, Event, Parts, ReplayId};
use crate::extensions::Refusal;
use crate::history::{Body, Entry, Failed, Place};
use crate::memory::{Charge, Kind, sizes};
use crate::metrics::Limit;
use crate::resources::{Conditions, Unmet, Write, Written};
use crate::router::Delivery;

/// What is taken from the row at once, at most.
const BATCH: usize = 4096;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// A message on its way.
#[derive(Debug)]
pub struct Publication {
    /// What is kept of it.
    pub entry: Entry,
    publisher: Option<ClientId>,
    delivery: Delivery,
    change: Option<Change>,
    done: oneshot::Sender<Result<Sequenced, NotSequenced>>,
    _charge: Charge,
}

/// A change of a resource that a message is.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) write: Write,
    pub(super) conditions: Conditions,
}

/// A message was kept and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    /// How far it came.
    pub reached: Reached,
    /// Its number.
    pub id: u64,
    /// Whether it is safe from a loss of power.
    pub is_persisted: bool,
    /// The version of the resource that it made.
    pub written: Option<Written>,
}

/// A message was not kept, and so not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSequenced {
    /// The store does not work.
    Failed(Failed),
    /// The resource is not as it should be.
    Unmet(Unmet),
}

/// What becomes of a message, when that is known.
pub type Sequencing = oneshot::Receiver<Result<Sequenced, NotSequenced>>;

/// The row.
#[derive(Debug)]
pub struct Sequence {
    row: Mutex<VecDeque<Publication>>,
    more: Notify,
    max: usize,
}

impl Sequence {
    /// Makes one in which so many messages may stand.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            row: Mutex::default(),
            more: Notify::new(),
            max,
        }
    }

    /// Takes the first messages of the row, at least one: those that are kept together. One that changes a
    /// resource on a condition stands alone.
    pub async fn next(&self) -> Vec<Publication> {
        loop {
            let batch = self.take();
            if !batch.is_empty() {
                return batch;
            }
            self.more.notified().await;
        }
    }

    fn take(&self) -> Vec<Publication> {
        let mut row = self.lock();
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(next) = row.front() {
            bytes += next.entry.body.len();
            let is_full = batch.len() >= BATCH || bytes > BATCH_BYTES;
            if !batch.is_empty() && (is_full || next.is_conditional()) {
                break;
            }
            let is_alone = next.is_conditional();
            batch.extend(row.pop_front());
            if is_alone {
                break;
            }
        }
        batch
    }

    fn push(&self, publication: Publication) -> Result<(), Publication> {
        let mut row = self.lock();
        if row.len() >= self.max {
            return Err(publication);
        }
        row.push_back(publication);
        drop(row);
        self.more.notify_one();
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Publication>> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publication {
    /// Tells whether what it does depends on what those before it do.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        let change = self.change.as_ref();
        change.is_some_and(|change| change.conditions != Conditions::default())
    }

    /// Notes that it was not kept.
    pub fn fail(self, why: NotSequenced) {
        // Its publisher may have gone.
        let _ = self.done.send(Err(why));
    }
}

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
    let (done, sequencing) = oneshot::channel();
    let entry = entry(draft, (scope.time_of_day)());
    let size = sizes::block(size_of::<Publication>() + entry.body.len());
    let publication = Publication {
        entry,
        publisher,
        delivery,
        change,
        done,
        _charge: Charge::new(&scope.metrics().memory, Kind::Waits, size),
    };
    match scope.sequence.push(publication) {
        Ok(()) => Ok(sequencing),
        Err(publication) => {
            scope.metrics().limited(Limit::MaxPending);
            let channel = &publication.entry.channel;
            Err(refusal(BayeuxError::TooManyPending, channel))
        }
    }
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
pub(super) fn settled(sequencing: Sequencing, channel: &ChannelName) -> Later {
    let channel = channel.clone();
    Later::new(async move {
        match sequencing.await {
            Ok(Ok(_)) => Ok(None),
            Ok(Err(_)) | Err(_) => Err(unavailable(&channel)),
        }
    })
}

/// Makes the refusal of what cannot be kept now.
pub(super) fn unavailable(channel: &ChannelName) -> Refusal {
    refusal(BayeuxError::HistoryUnavailable, channel)
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
        let Some(change) = &publication.change else {
            return Ok(());
        };
        let channel = &publication.entry.channel;
        let checked = self
            .resources
            .check(channel, &change.write, &change.conditions);
        checked.map_err(NotSequenced::Unmet)
    }

    /// Sends a message that is kept to its subscribers.
    pub fn send_kept(&self, publication: Publication, place: Place) {
        let Publication {
            entry,
            publisher,
            delivery,
            change,
            done,
            ..
        } = publication;
        let event = self.kept_event(&entry, place.id, delivery);
        let written = change.and_then(|change| {
            // What was to be checked is checked, and nobody else changes it.
            write(&entry.channel, &change.write, &Conditions::default(), self).ok()
        });
        let reached = self.send(&entry.channel, &event, publisher, delivery);
        let store = self.history.store();
        let sequenced = Sequenced {
            reached,
            id: place.id,
            is_persisted: store.is_some_and(|store| store.is_synced()),
            written,
        };
        // Its publisher may have gone.
        let _ = done.send(Ok(sequenced));
    }

    /// Makes the event of a message that is kept.
    #[must_use]
    pub fn kept_event(&self, entry: &Entry, id: u64, delivery: Delivery) -> Arc<Event> {
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
            .bounded(delivery.bound);
        Arc::new(event.counted(&self.metrics().memory))
    }
}
