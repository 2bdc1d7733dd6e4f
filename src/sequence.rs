//! Messages of channels with history: each is kept first, then sent to its subscribers; in one order for all.
//!
//! Whoever publishes puts a message into a row. One task takes batches from it and has them kept, which numbers
//! them; another sends what is kept, in the order of the numbers. So a session sees numbers that grow, whatever
//! it is subscribed to, and nobody hears of what could still be lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, oneshot, watch};

use crate::bayeux::ClientId;
use crate::cluster::Once;
use crate::history::{Entry, Failed};
use crate::memory::{Budget, Charge, Kind, sizes};
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
    /// Who published it, if that is a session.
    pub publisher: Option<ClientId>,
    /// How it is delivered.
    pub delivery: Delivery,
    /// The resource that it changes.
    pub change: Option<Change>,
    /// What it is to be published only once under, in a cluster.
    pub once: Option<Once>,
    done: oneshot::Sender<Result<Sequenced, NotSequenced>>,
    _charge: Charge,
    on_its_way: Option<OnItsWay>,
}

/// Counts a message until it is sent, or refused.
#[derive(Debug)]
struct OnItsWay(watch::Sender<usize>);

impl OnItsWay {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A change of a resource that a message is.
#[derive(Debug)]
pub struct Change {
    /// What it is changed to.
    pub write: Write,
    /// On what condition.
    pub conditions: Conditions,
}

/// How far an event has come: on this node, unless others were asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Reached {
    /// The sessions that it is queued for.
    pub receivers: usize,
    /// The sessions that would have received it, and have too much queued.
    pub dropped: usize,
    /// The nodes that were to send it, too, and did not answer.
    pub missing: usize,
}

impl Reached {
    /// Adds how far it came at another node.
    pub fn add(&mut self, other: Self) {
        self.receivers += other.receivers;
        self.dropped += other.dropped;
        self.missing += other.missing;
    }
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

/// Of a message that has no number.
impl From<Reached> for Sequenced {
    fn from(reached: Reached) -> Self {
        Self {
            reached,
            id: 0,
            is_persisted: false,
            written: None,
        }
    }
}

/// A message was not kept, and so not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSequenced {
    /// The store does not work.
    Failed(Failed),
    /// Something else was published under its key.
    Reused,
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
    on_their_way: watch::Sender<usize>,
}

impl Sequence {
    /// Makes one in which so many messages may stand.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            row: Mutex::default(),
            more: Notify::new(),
            max,
            on_their_way: watch::Sender::new(0),
        }
    }

    /// Waits until all that was put into the row is sent, or refused.
    pub async fn settle(&self) {
        let mut on_their_way = self.on_their_way.subscribe();
        // The other end is here.
        let _ = on_their_way.wait_for(|count| *count == 0).await;
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

    /// Puts a message into the row; nothing if that is as long as it may be.
    #[must_use]
    pub fn push(&self, mut publication: Publication) -> Option<()> {
        let mut row = self.lock();
        if row.len() >= self.max {
            return None;
        }
        publication.on_its_way = Some(OnItsWay::new(&self.on_their_way));
        row.push_back(publication);
        drop(row);
        self.more.notify_one();
        Some(())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Publication>> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publication {
    /// Makes one, and what tells its publisher what becomes of it.
    #[must_use]
    pub fn new(
        entry: Entry,
        publisher: Option<ClientId>,
        delivery: Delivery,
        change: Option<Change>,
        memory: &Arc<Budget>,
    ) -> (Self, Sequencing) {
        let (done, sequencing) = oneshot::channel();
        let size = sizes::block(size_of::<Self>() + entry.body.len());
        let publication = Self {
            entry,
            publisher,
            delivery,
            change,
            once: None,
            done,
            _charge: Charge::new(memory, Kind::Waits, size),
            on_its_way: None,
        };
        (publication, sequencing)
    }

    /// Tells whether what it does depends on what those before it do.
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        let change = self.change.as_ref();
        change.is_some_and(|change| change.conditions != Conditions::default())
    }

    /// Tells its publisher what has become of it.
    pub fn conclude(self, outcome: Result<Sequenced, NotSequenced>) {
        // Its publisher may have gone.
        let _ = self.done.send(outcome);
    }
}
