//! Whose numbers of sessions the other nodes of a cluster are to hear, and which they are to be asked for.

use core::net::IpAddr;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Of so many it is kept until the others can hear it. What is above that is put right when somebody has the next session
/// here.
const MAX_CHANGED: usize = 100_000;

/// Who shares a number of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sharer {
    /// A user.
    User(Box<str>),
    /// An address.
    Address(IpAddr),
}

/// A name that no other has.
impl fmt::Display for Sharer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "u{user}"),
            Self::Address(address) => write!(f, "a{address}"),
        }
    }
}

/// Those whose numbers have changed, or have turned out to be full.
#[derive(Debug, Default)]
pub struct SharedCounts {
    changed: Mutex<HashSet<Sharer>>,
    more: Notify,
}

impl SharedCounts {
    /// Notes some.
    pub(super) fn note(&self, sharers: impl Iterator<Item = Sharer>) {
        let mut changed = self.lock();
        for sharer in sharers {
            if changed.len() < MAX_CHANGED {
                changed.insert(sharer);
            }
        }
        drop(changed);
        self.more.notify_one();
    }

    /// Takes some.
    pub fn take(&self, max: usize) -> Vec<Sharer> {
        let mut changed = self.lock();
        let some: Vec<_> = changed.iter().take(max).cloned().collect();
        for sharer in &some {
            changed.remove(sharer);
        }
        some
    }

    /// Takes some back, which the others have not heard.
    pub fn give_back(&self, sharers: Vec<Sharer>) {
        self.lock().extend(sharers);
    }

    /// Waits until there are some.
    pub async fn changed(&self) {
        self.more.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<Sharer>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
