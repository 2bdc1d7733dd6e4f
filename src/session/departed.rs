//! Who has disconnected a moment ago.
//!
//! A client sends its disconnect on another connection than its connect, and proxies open further
//! ones: the disconnect may arrive first. The connect then waits for nothing, as one that is held
//! when the disconnect arrives, and is to be answered in the same way; clients that are told
//! instead that their session is unknown abort their disconnect.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::registry::IdHasher;
use crate::bayeux::ClientId;

/// How long a connect may be overtaken by.
const LATENESS: Duration = Duration::from_secs(10);
/// How many are known at most; beyond, the first are forgotten early.
const MOST: usize = 10_000;

/// The clients that have disconnected in the last 10 s, at most 10,000 of them.
#[derive(Debug, Default)]
pub(super) struct Departed {
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    at: HashMap<ClientId, Instant, BuildHasherDefault<IdHasher>>,
    in_order: VecDeque<ClientId>,
}

impl Departed {
    pub(super) fn add(&self, id: ClientId, now: Instant) {
        let mut recent = self.lock();
        while let Some(first) = recent.in_order.front().copied() {
            if recent.in_order.len() < MOST && recent.has(first, now) {
                break;
            }
            recent.in_order.pop_front();
            recent.at.remove(&first);
        }
        recent.in_order.push_back(id);
        recent.at.insert(id, now);
    }

    pub(super) fn contains(&self, id: ClientId, now: Instant) -> bool {
        self.lock().has(id, now)
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn has(&self, id: ClientId, now: Instant) -> bool {
        let at = self.at.get(&id);
        at.is_some_and(|at| now.saturating_duration_since(*at) < LATENESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::RandomId;

    fn client(number: usize) -> ClientId {
        let bits = u128::try_from(number).expect("a small number");
        ClientId(RandomId::from_random(bits.to_le_bytes()))
    }

    #[test]
    fn they_are_known_for_some_seconds() {
        let departed = Departed::default();
        let start = Instant::now();
        let [id, later] = [client(1), client(2)];
        departed.add(id, start);
        assert!(departed.contains(id, start));
        assert!(departed.contains(id, start + LATENESS / 2));
        assert!(!departed.contains(id, start + LATENESS));
        assert!(!departed.contains(later, start));

        departed.add(later, start + LATENESS);
        let recent = departed.lock();
        assert_eq!((recent.at.len(), recent.in_order.len()), (1, 1));
    }

    #[test]
    fn the_first_make_room_for_more_than_are_known() {
        let departed = Departed::default();
        let now = Instant::now();
        let ids: Vec<_> = (0..=MOST).map(client).collect();
        for id in &ids {
            departed.add(*id, now);
        }
        assert!(!departed.contains(ids[0], now));
        assert!(ids[1..].iter().all(|id| departed.contains(*id, now)));
        let recent = departed.lock();
        assert_eq!((recent.at.len(), recent.in_order.len()), (MOST, MOST));
    }
}
