//! What something takes as long as it is there, for what is held by one connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::{Budget, Kind, Level};

/// Who holds so much has a place among the largest: fewer are worth no search.
const LARGE: usize = 8 * 1024;

/// Counts bytes of a kind until it is dropped. Beyond 8 KiB it can be cut, if memory is short.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    kind: Kind,
    bytes: usize,
    large: Option<(u64, Arc<Large>)>,
}

/// One that holds much.
#[derive(Debug)]
pub struct Large {
    bytes: AtomicUsize,
    is_cut: AtomicBool,
    waker: AtomicWaker,
}

/// All that hold much.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    next: u64,
    all: HashMap<u64, Arc<Large>>,
}

impl Charge {
    /// Counts so many bytes.
    #[must_use]
    pub fn new(budget: &Arc<Budget>, kind: Kind, bytes: usize) -> Self {
        let mut charge = Self {
            budget: Arc::clone(budget),
            kind,
            bytes: 0,
            large: None,
        };
        charge.set(bytes);
        charge
    }

    /// Counts so many instead.
    pub fn set(&mut self, bytes: usize) {
        if bytes == self.bytes {
            return;
        }
        self.budget.resize(self.kind, self.bytes, bytes);
        self.bytes = bytes;
        match &self.large {
            Some((_, large)) => large.bytes.store(bytes, Relaxed),
            None if bytes >= LARGE => self.large = Some(self.budget.registry.add(bytes)),
            None => {}
        }
    }

    /// Tells whether it may become larger: not beyond what everyone may have, once there is no memory left.
    #[must_use]
    pub fn may_grow(&self) -> bool {
        self.bytes < LARGE || self.budget.level() < Level::Full
    }

    /// Waits until it is cut: whoever holds the memory has to let go of it.
    pub fn poll_cut(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some((_, large)) = &self.large else {
            return Poll::Pending;
        };
        large.waker.register(context.waker());
        if large.is_cut.load(Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.sub(self.kind, self.bytes);
        if let Some((number, _)) = self.large {
            self.budget.registry.lock().all.remove(&number);
        }
    }
}

impl Large {
    /// Returns how much it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Has it let go.
    pub fn cut(&self) {
        self.is_cut.store(true, Relaxed);
        self.waker.wake();
    }
}

impl Registry {
    fn add(&self, bytes: usize) -> (u64, Arc<Large>) {
        let large = Arc::new(Large {
            bytes: AtomicUsize::new(bytes),
            is_cut: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let mut entries = self.lock();
        let number = entries.next;
        entries.next += 1;
        entries.all.insert(number, Arc::clone(&large));
        (number, large)
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Budget {
    /// Returns the connections that hold much and were not cut yet.
    #[must_use]
    pub fn large(&self) -> Vec<Arc<Large>> {
        let entries = self.registry.lock();
        let uncut = entries
            .all
            .values()
            .filter(|large| !large.is_cut.load(Relaxed));
        uncut.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn what_is_held_is_counted_and_can_be_cut_if_it_is_much() {
        let budget = Arc::new(Budget::default());
        let mut context = Context::from_waker(Waker::noop());
        let mut charge = Charge::new(&budget, Kind::Requests, 100);
        assert_eq!(budget.of(Kind::Requests), 100);
        assert!(budget.large().is_empty());
        charge.set(LARGE);
        assert!(charge.poll_cut(&mut context).is_pending());
        charge.set(2 * LARGE);
        let large = budget.large();
        assert_eq!(large[0].bytes(), 2 * LARGE);
        large[0].cut();
        assert!(charge.poll_cut(&mut context).is_ready());
        assert!(budget.large().is_empty(), "it is on its way");
        drop(charge);
        assert_eq!(budget.of(Kind::Requests), 0);
        assert!(budget.registry.lock().all.is_empty());
    }
}
