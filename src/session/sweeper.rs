//! The timers of all sessions in one heap, and the task that fires them.
//!
//! A session has one live entry, set for its earliest deadline. Deadlines mostly move further
//! away, and then the entry stays: when it fires, the session is asked again. So a session that
//! connects a thousand times before its first deadline costs one entry, and nothing is scanned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::bayeux::ClientId;

/// When sessions are due.
#[derive(Debug, Default)]
pub struct Timers {
    heap: Mutex<BinaryHeap<Reverse<(Instant, ClientId)>>>,
    earlier: Notify,
}

impl Timers {
    /// Sets a timer for a session.
    pub fn set(&self, due: Instant, id: ClientId) {
        let mut heap = self.lock();
        let is_earliest = heap
            .peek()
            .is_none_or(|Reverse((earliest, _))| due < *earliest);
        heap.push(Reverse((due, id)));
        drop(heap);
        if is_earliest {
            self.earlier.notify_one();
        }
    }

    /// Takes the entries that are due, earliest first, and returns when the next one is.
    pub(crate) fn take_due(
        &self,
        now: Instant,
        due: &mut Vec<(Instant, ClientId)>,
    ) -> Option<Instant> {
        let mut heap = self.lock();
        while let Some(Reverse(next)) = heap.peek().copied() {
            if next.0 > now {
                return Some(next.0);
            }
            heap.pop();
            due.push(next);
        }
        None
    }

    /// Locks the heap, which is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, BinaryHeap<Reverse<(Instant, ClientId)>>> {
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls `fire` for every session that is due, with the time it was due at and the time it is.
pub async fn sweep(timers: &Timers, fire: impl Fn(ClientId, Instant, Instant)) {
    let mut due = Vec::new();
    loop {
        let earlier = timers.earlier.notified();
        let now = tokio::time::Instant::now().into_std();
        let next = timers.take_due(now, &mut due);
        for (at, id) in due.drain(..) {
            fire(id, at, now);
        }
        sleep_until(next, earlier).await;
    }
}

async fn sleep_until(next: Option<Instant>, earlier: impl Future<Output = ()>) {
    match next {
        None => earlier.await,
        Some(next) => tokio::select! {
            () = earlier => {}
            () = tokio::time::sleep_until(next.into()) => {}
        },
    }
}
