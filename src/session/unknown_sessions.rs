//! Clients that connect again and again with a session that is gone.
//!
//! Some ignore that it is unknown, and the advice with it, and ask again at once, thousands of times a
//! second. They are known by the client id that they repeat, whatever connection it comes by: proxies
//! have many clients on one. A client that handshakes instead never repeats it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are known at once, at most. A new one takes the place of another that has the same.
const ENTRIES: usize = 4096;
/// How long one is known after it was answered last.
const MEMORY: Duration = Duration::from_secs(30);
/// How long the first answer is late that is; each further one twice as long as the one before.
const LEAST: Duration = Duration::from_millis(250);

/// The ids of unknown sessions that connects have named a moment ago.
#[derive(Debug, Default)]
pub(super) struct UnknownSessions {
    /// Nothing until there is one.
    entries: Mutex<Vec<Option<Entry>>>,
    hashes: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    /// When the last is answered.
    answered: Instant,
    /// How late that is.
    delay: Duration,
}

impl UnknownSessions {
    /// Notes a connect with an id, and returns how late to answer it: the first at once, the next the
    /// later the more there were, up to `max`.
    pub(super) fn delay(&self, id: impl Hash, now: Instant, max: Duration) -> Duration {
        let hash = self.hashes.hash_one(id);
        // It is whole between any two calls, so also after a panic elsewhere.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.is_empty() {
            entries.resize(ENTRIES, None);
        }
        let at = usize::try_from(hash % ENTRIES as u64).unwrap_or_default();
        let before = entries[at].filter(|entry| {
            entry.hash == hash && now.saturating_duration_since(entry.answered) < MEMORY
        });
        let delay = before.map_or(Duration::ZERO, |entry| {
            (entry.delay * 2).max(LEAST).min(max)
        });
        entries[at] = Some(Entry {
            hash,
            answered: now + delay,
            delay,
        });
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn the_first_is_answered_at_once_and_the_next_ever_later() {
        let unknown = UnknownSessions::default();
        let mut now = Instant::now();
        for expected in [0, 250, 500, 1000, 2000, 4000, 5000, 5000] {
            let delay = unknown.delay("gone", now, MAX);
            assert_eq!(delay, Duration::from_millis(expected));
            now += delay;
        }
        assert_eq!(unknown.delay("other", now, MAX), Duration::ZERO);
        assert_eq!(unknown.delay("gone", now + MEMORY, MAX), Duration::ZERO);
    }

    #[test]
    fn several_at_once_are_all_late() {
        let unknown = UnknownSessions::default();
        let now = Instant::now();
        let delays = [(); 4].map(|()| unknown.delay("gone", now, MAX).as_millis());
        assert_eq!(delays, [0, 250, 500, 1000]);
    }

    #[test]
    fn a_bound_of_zero_delays_nothing() {
        let unknown = UnknownSessions::default();
        let now = Instant::now();
        assert!((0..9).all(|_| unknown.delay("gone", now, Duration::ZERO).is_zero()));
    }

    #[test]
    fn no_more_are_known_than_there_are_places() {
        let unknown = UnknownSessions::default();
        let now = Instant::now();
        for id in 0..ENTRIES * 3 {
            assert!(unknown.delay(id, now, MAX).is_zero());
        }
        assert_eq!(unknown.entries.lock().expect("whole").len(), ENTRIES);
    }
}
