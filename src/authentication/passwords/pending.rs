//! The checks that wait for their turn, of each user from each address: whoever knows one password is not to
//! keep all others waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many of a user from an address may wait at once.
pub(super) const MOST: usize = 16;

/// How many checks of whom wait or go on. It has an entry for each of these only.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingChecks(Arc<Mutex<HashMap<u64, usize>>>);

impl PendingChecks {
    /// Enters one of a user from an address, for as long as what is returned lives; nothing if there are as
    /// many as may be.
    pub(super) fn enter(&self, pair: u64) -> Option<PendingCheck> {
        let mut counts = self.lock();
        let count = counts.entry(pair).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        let all = self.clone();
        Some(PendingCheck { all, pair })
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct PendingCheck {
    all: PendingChecks,
    pair: u64,
}

impl Drop for PendingCheck {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.pair) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.pair);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_leaves_nothing_behind() {
        let checks = PendingChecks::default();
        let mut held: Vec<_> = (0..MOST).map(|_| checks.enter(1)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(checks.enter(1).is_none());
        assert!(checks.enter(2).is_some(), "another is not held up");
        held.pop();
        assert!(checks.enter(1).is_some());
        drop(held);
        assert!(checks.lock().is_empty());
    }
}
