//! Who has disconnected a moment ago, and may have a connect on its way.
//!
//! A client sends its disconnect on another connection than its connect, and proxies open further
//! ones: the disconnect may arrive first. The connect then waits for nothing, as one that is held
//! when the disconnect arrives, and is to be answered in the same way; clients that are told
//! instead that their session is unknown abort their disconnect.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::IdHasher;
use crate::bayeux::ClientId;

/// How late a connect may be.
const LATENESS: Duration = Duration::from_secs(10);
/// How many are known at most; beyond, the first are forgotten early.
const MOST: usize = 10_000;

/// The clients that have disconnected while no connect of theirs was held.
#[derive(Debug, Default)]
pub(super) struct Departed {
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    ids: HashSet<ClientId, BuildHasherDefault<IdHasher>>,
    in_order: VecDeque<(Instant, ClientId)>,
}

impl Departed {
    pub(super) fn add(&self, id: ClientId, now: Instant) {
        let mut recent = self.lock();
        recent.forget(now, MOST - 1);
        recent.in_order.push_back((now, id));
        recent.ids.insert(id);
    }

    /// Removes a client that has a connect now, which is the only one; false if it is not known, or no
    /// longer.
    pub(super) fn take(&self, id: ClientId, now: Instant) -> bool {
        let mut recent = self.lock();
        recent.forget(now, MOST);
        recent.ids.remove(&id)
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// Forgets who is too late, and the first of more than `most`.
    fn forget(&mut self, now: Instant, most: usize) {
        while let Some((at, id)) = self.in_order.front()
            && (*at + LATENESS <= now || self.in_order.len() > most)
        {
            self.ids.remove(id);
            self.in_order.pop_front();
        }
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
    fn they_are_known_once_and_for_some_seconds() {
        let departed = Departed::default();
        let start = Instant::now();
        for number in 0..3 {
            departed.add(client(number), start);
        }
        assert!(departed.take(client(0), start));
        assert!(!departed.take(client(0), start), "it had its connect");
        assert!(departed.take(client(1), start + LATENESS / 2));
        assert!(!departed.take(client(2), start + LATENESS));
        assert!(!departed.take(client(3), start));
        let recent = departed.lock();
        assert_eq!((recent.ids.len(), recent.in_order.len()), (0, 0));
    }

    #[test]
    fn the_first_make_room_for_more_than_are_known() {
        let departed = Departed::default();
        let now = Instant::now();
        for number in 0..=MOST {
            departed.add(client(number), now);
        }
        assert_eq!(departed.lock().in_order.len(), MOST);
        assert!(!departed.take(client(0), now));
        assert!((1..=MOST).all(|number| departed.take(client(number), now)));
    }
}
