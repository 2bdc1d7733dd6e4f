//! How many calls each session has, so that none takes the room of all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bayeux::ClientId;

/// The sessions that have calls, with the number of these.
#[derive(Debug, Clone)]
pub(super) struct Callers {
    max: usize,
    counts: Arc<Mutex<HashMap<ClientId, usize>>>,
}

impl Callers {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            counts: Arc::default(),
        }
    }

    /// Counts a call for as long as what is returned lives; nothing if the session has as many as it may.
    pub(super) fn enter(&self, caller: ClientId) -> Option<Entered> {
        let mut counts = self.lock();
        let count = counts.entry(caller).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Entered {
            callers: self.clone(),
            caller,
        })
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientId, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is counted.
#[derive(Debug)]
pub(super) struct Entered {
    callers: Callers,
    caller: ClientId,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.callers.lock();
        if let Some(count) = counts.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::RandomId;

    #[test]
    fn each_has_so_many_and_leaves_nothing_behind() {
        let callers = Callers::new(2);
        let [one, other] = [1, 2].map(|byte| ClientId(RandomId::from_random([byte; 16])));
        let held: Vec<_> = (0..2).map(|_| callers.enter(one)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(callers.enter(one).is_none());
        assert!(callers.enter(other).is_some(), "another is not held up");
        drop(held);
        assert!(callers.enter(one).is_some());
        assert!(callers.lock().is_empty());
    }
}
