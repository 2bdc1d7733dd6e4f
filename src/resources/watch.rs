//! A wait for the changes of one resource: it knows what its client has, and keeps nothing for it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::SystemTime;

use super::resource::Resource;
use super::{Current, Resources, Version, Versions};

/// What a client has of a resource when it begins to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Had {
    /// One of these versions.
    Versions(Versions),
    /// What was last changed in the second of this time, or before it.
    Until(SystemTime),
}

/// Why a wait is over.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// The resource is newer; if the client has exactly the version before, and only a range of it
    /// was changed, that range.
    Changed(Current, Option<Range<usize>>),
    /// The server stops.
    Stopped,
}

/// A wait for a resource's changes, one after the other; those in between are passed over.
#[derive(Debug)]
pub struct Watch {
    store: Arc<Resources>,
    resource: Arc<Resource>,
    /// The key of its waker.
    key: u64,
    /// The number of the last change it does not wait for.
    seen: u64,
    /// What its client has for certain.
    has: Option<Version>,
}

impl Watch {
    /// Begins to wait; nothing if the resource left the index.
    pub(super) fn new(store: &Arc<Resources>, resource: &Arc<Resource>, had: &Had) -> Option<Self> {
        let mut state = resource.lock();
        if state.is_gone {
            return None;
        }
        let current = state.current();
        let has_current = current.as_ref().is_some_and(|current| match had {
            Had::Versions(versions) => versions.hold(current.version),
            Had::Until(date) => !current.version.is_after(*date),
        });
        let seen = current
            .filter(|_| has_current)
            .map_or(0, |current| current.turn);
        let has = match had {
            Had::Versions(versions) => versions.sole(),
            Had::Until(_) => None,
        };
        let key = state.next_watch;
        state.next_watch += 1;
        state.watches += 1;
        drop(state);
        store.metrics.watched_resources.increment();
        Some(Self {
            store: Arc::clone(store),
            resource: Arc::clone(resource),
            key,
            seen,
            has,
        })
    }

    /// Waits for the next change; after it, for those that follow.
    pub fn poll_changed(&mut self, context: &mut Context<'_>) -> Poll<Woken> {
        let mut state = self.resource.lock();
        if let Some(current) = state.current().filter(|current| current.turn > self.seen) {
            let range = state
                .range
                .as_ref()
                .filter(|(before, _)| self.has == Some(*before));
            let range = range.map(|(_, range)| range.clone());
            self.seen = current.turn;
            self.has = Some(current.version);
            return Poll::Ready(Woken::Changed(current, range));
        }
        if self.store.is_stopping.load(SeqCst) {
            return Poll::Ready(Woken::Stopped);
        }
        match state.wakers.get_mut(&self.key) {
            Some(waker) => waker.clone_from(context.waker()),
            None => {
                state.wakers.insert(self.key, context.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.store.metrics.watched_resources.decrement();
        let mut state = self.resource.lock();
        state.watches -= 1;
        state.wakers.remove(&self.key);
        self.store.leave_if_idle(&self.resource, state);
    }
}
