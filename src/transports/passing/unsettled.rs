//! Replies that other nodes have been given to write, until it is known what became of them.
//!
//! A node that is frozen, dead or not reached says nothing. What it was given may have been written, and may be yet: so
//! it is never given to another connect unless that node itself asks again for the same request of its client, of which
//! it has got no answer then. If the client asks elsewhere it is told that messages may be missing.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::Notify;

use crate::cluster::NodeId;
use crate::transports::answer::Carried;

/// Which request of a client it is: the node that has passed it on, and its number there.
type Key = (NodeId, u64);

/// All such replies that are to connects.
#[derive(Debug, Default)]
pub(super) struct Unsettled(Mutex<HashMap<Key, Arc<Place>>>);

/// Where a reply stands until it is settled.
#[derive(Debug)]
struct Place {
    carried: Mutex<Option<Carried>>,
    /// It is empty.
    taken: Notify,
}

/// A reply that another node has been given to write. Dropped, it was not written.
#[derive(Debug)]
pub(super) struct Given {
    all: Arc<Unsettled>,
    key: Option<Key>,
    place: Arc<Place>,
}

impl Unsettled {
    /// Notes what a reply carries, and which request it answers if that is known.
    pub(super) fn give(self: &Arc<Self>, carried: Carried, key: Option<Key>) -> Given {
        let key = key.filter(|_| carried.is_to_connect());
        let place = Arc::new(Place {
            carried: Mutex::new(Some(carried)),
            taken: Notify::new(),
        });
        if let Some(key) = key {
            self.lock().insert(key, Arc::clone(&place));
        }
        Given {
            all: Arc::clone(self),
            key,
            place,
        }
    }

    /// Gives back what the reply to a request carries, because that comes again.
    pub(super) fn comes_again(&self, key: Key) {
        let place = self.lock().remove(&key);
        let carried = place.and_then(|place| {
            place.taken.notify_one();
            place.take()
        });
        if let Some(carried) = carried {
            carried.restore();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn take(&self) -> Option<Carried> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Carried>> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Given {
    /// Waits until there is no use any more in writing it: its client has asked again, or its session has ended.
    pub(super) fn poll_useless(&self, context: &mut Context<'_>) -> Poll<()> {
        match &*self.place.lock() {
            Some(carried) => carried.poll_displaced(context),
            None => Poll::Ready(()),
        }
    }

    /// Hears that it was written.
    pub(super) fn written(self) {
        drop(self.place.take());
    }

    /// Hears that nobody will say whether it was written. Whatever is newer has to wait until the request comes again,
    /// or its client asks elsewhere.
    pub(super) fn lost(self) {
        let is_to_connect = {
            let carried = self.place.lock();
            carried.as_ref().is_some_and(Carried::is_to_connect)
        };
        if !is_to_connect {
            return self.lose();
        }
        tokio::spawn(async move {
            tokio::select! {
                () = poll_fn(|context| self.poll_useless(context)) => {}
                () = self.place.taken.notified() => {}
            }
            self.lose();
        });
    }

    fn lose(self) {
        if let Some(carried) = self.place.take() {
            carried.lose();
        }
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let mut all = self.all.lock();
            // It may have come again, and been answered again.
            if all
                .get(&key)
                .is_some_and(|place| Arc::ptr_eq(place, &self.place))
            {
                all.remove(&key);
            }
        }
        if let Some(carried) = self.place.take() {
            carried.restore();
        }
    }
}
