//! Clients that connect again and again with a session that is gone.
//!
//! Some ignore that it is unknown, and the advice with it, and ask again at once, thousands of times a
//! second. They are known by the client id that they repeat, whatever connection it comes by: proxies
//! have many clients on one. A client that handshakes instead never repeats it.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are known at once, at most. A new one takes the place of another that has the same.
const PLACES: usize = 4096;
/// How long one is known after it was answered last.
const MEMORY: Duration = Duration::from_secs(30);
/// How long the first answer is late that is; each further one twice as long as the one before.
const LEAST: Duration = Duration::from_millis(250);

/// The ids of unknown sessions that connects have named a moment ago.
#[derive(Debug, Default)]
pub(super) struct Insisting {
    /// Nothing until there is one.
    places: Mutex<Vec<Option<Place>>>,
    hashes: RandomState,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    hash: u64,
    /// When the last is answered.
    answered: Instant,
    /// How late that is.
    delay: Duration,
}

impl Insisting {
    /// Notes a connect with an id, and returns how late to answer it: the first at once, the next the
    /// later the more there were, up to `max`.
    pub(super) fn delay(&self, id: impl Hash, now: Instant, max: Duration) -> Duration {
        let hash = self.hashes.hash_one(id);
        // It is whole between any two calls, so also after a panic elsewhere.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.is_empty() {
            places.resize(PLACES, None);
        }
        let at = usize::try_from(hash % PLACES as u64).unwrap_or_default();
        let before = places[at].filter(|place| {
            place.hash == hash && now.saturating_duration_since(place.answered) < MEMORY
        });
        let delay = before.map_or(Duration::ZERO, |place| {
            (place.delay * 2).max(LEAST).min(max)
        });
        places[at] = Some(Place {
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
        let insisting = Insisting::default();
        let mut now = Instant::now();
        for expected in [0, 250, 500, 1000, 2000, 4000, 5000, 5000] {
            let delay = insisting.delay("gone", now, MAX);
            assert_eq!(delay, Duration::from_millis(expected));
            now += delay;
        }
        assert_eq!(insisting.delay("other", now, MAX), Duration::ZERO);
        assert_eq!(insisting.delay("gone", now + MEMORY, MAX), Duration::ZERO);
    }

    #[test]
    fn several_at_once_are_all_late() {
        let insisting = Insisting::default();
        let now = Instant::now();
        let delays = [(); 4].map(|()| insisting.delay("gone", now, MAX).as_millis());
        assert_eq!(delays, [0, 250, 500, 1000]);
    }

    #[test]
    fn a_bound_of_zero_delays_nothing() {
        let insisting = Insisting::default();
        let now = Instant::now();
        assert!((0..9).all(|_| insisting.delay("gone", now, Duration::ZERO).is_zero()));
    }

    #[test]
    fn no_more_are_known_than_there_are_places() {
        let insisting = Insisting::default();
        let now = Instant::now();
        for id in 0..PLACES * 3 {
            assert!(insisting.delay(id, now, MAX).is_zero());
        }
        assert_eq!(insisting.places.lock().expect("whole").len(), PLACES);
    }
}
