//! A count that somebody waits for.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// A count that many raise and one may await.
#[derive(Debug, Default)]
pub(super) struct Tally {
    count: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Tally {
    /// Raises the count.
    pub(super) fn add(&self, more: u64) {
        let before = self.count.fetch_add(more, Ordering::SeqCst);
        let goal = self.goal.load(Ordering::SeqCst);
        if before < goal && goal <= before + more {
            self.reached.notify_one();
        }
    }

    /// The count.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    /// Waits until the count is `goal` or more.
    pub(super) async fn reach(&self, goal: u64) {
        self.goal.store(goal, Ordering::SeqCst);
        while self.count() < goal {
            self.reached.notified().await;
        }
    }
}
