//! What is done between two messages, and how far they have come.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::Cluster;
use super::recent::Recent;
use crate::history::Failed;

/// Something that is done between two messages.
pub(in crate::server) type Job<C> = Box<dyn FnOnce(&C, &Recent) + Send>;

/// A job, and the mark that it waits for.
pub(in crate::server) type Queued<C> = (Option<u64>, Job<C>);

/// What happens between two messages.
pub(in crate::server) struct Stream<C> {
    jobs: mpsc::UnboundedSender<Queued<C>>,
    queued: Mutex<Option<mpsc::UnboundedReceiver<Queued<C>>>>,
    marks: AtomicU64,
    /// The number of the message that was delivered last.
    reached: watch::Sender<u64>,
    /// When Redis came back without what this node had seen there.
    renewed: Mutex<Option<Instant>>,
}

impl<C> Default for Stream<C> {
    fn default() -> Self {
        let (jobs, queued) = mpsc::unbounded_channel();
        Self {
            jobs,
            queued: Mutex::new(Some(queued)),
            marks: AtomicU64::new(0),
            reached: watch::Sender::new(0),
            renewed: Mutex::default(),
        }
    }
}

impl<C> fmt::Debug for Stream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl<C> Stream<C> {
    /// Takes the other end, once.
    pub(in crate::server) fn take(&self) -> Option<mpsc::UnboundedReceiver<Queued<C>>> {
        let queued = self.queued.lock();
        queued.unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that Redis has come back without what this node had seen there.
    pub(in crate::server) fn note_renewed(&self) {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        *renewed = Some(Instant::now());
    }

    /// Tells whether that was within a time: nodes may not have written anew what is theirs.
    pub(in crate::server) fn is_renewed(&self, within: Duration) -> bool {
        let renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_some_and(|renewed| renewed.elapsed() < within)
    }

    /// Notes that all up to a message has been delivered.
    pub(in crate::server) fn note_reached(&self, id: u64) {
        self.reached.send_replace(id);
    }
}

impl<C: 'static> Cluster<C> {
    /// Does a job between two messages.
    ///
    /// # Errors
    /// The task has ended.
    pub(in crate::server) async fn between<T: Send + 'static>(
        &self,
        job: impl FnOnce(&C, &Recent) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        self.queue(None, job).await.map_err(|_| away())
    }

    /// Does a job between two messages, once all that was published before has been delivered here.
    ///
    /// # Errors
    /// The backplane is away: that cannot be known.
    pub(in crate::server) async fn after_all<T: Send + 'static>(
        &self,
        job: impl FnOnce(&C, &Recent) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        let mark = self.stream.marks.fetch_add(1, Relaxed);
        let done = self.queue(Some(mark), job);
        self.links.backplane.mark(mark).await?;
        done.await.map_err(|_| away())
    }

    fn queue<T: Send + 'static>(
        &self,
        mark: Option<u64>,
        job: impl FnOnce(&C, &Recent) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, result) = oneshot::channel();
        let job: Job<C> = Box::new(move |core, recent| {
            // Who does not wait for it has been told that it was not done, and may have it done again.
            if !done.is_closed() {
                let _ = done.send(job(core, recent));
            }
        });
        // It fails only if the server is gone, which its result tells.
        let _ = self.stream.jobs.send((mark, job));
        result
    }

    /// Returns the number of the message that was delivered last: all up to that, whoever they are for, have been.
    pub(in crate::server) fn last_delivered(&self) -> u64 {
        *self.stream.reached.borrow()
    }

    /// Waits until a message was delivered here, or one with a larger number.
    pub(in crate::server) async fn reached(&self, id: u64) {
        let mut reached = self.stream.reached.subscribe();
        // The other end is here.
        let _ = reached.wait_for(|reached| *reached >= id).await;
    }
}

fn away() -> Failed {
    Failed::Io("the cluster's Redis is away".into())
}
