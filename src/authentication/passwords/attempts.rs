//! Wrong passwords, and how long the next attempt has to wait for them. It has no clock.
//!
//! They are counted for a user from an address, for an address, and for a user; beyond a number each one
//! more doubles the wait. A user who was right from an address before is held up there only by what was
//! wrong for the same user from the same address: strangers who guess lock nobody out. Counts fade, by one
//! a minute.
//!
//! What is remembered is bounded, and names and addresses are only there as a keyed hash.

use core::net::IpAddr;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::authentication::generations::Generations;
use crate::network::block;

/// What the first attempt too many waits.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// How long it takes until one wrong password is forgotten.
const FADES: Duration = Duration::from_secs(60);
/// How much more often an address, or a user, may be wrong than a user from an address.
const MANY: u32 = 10;

/// How attempts are slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// How many wrong passwords of a user from an address have no consequence.
    pub(super) free: u32,
    /// The longest wait.
    pub(super) max_delay: Duration,
    /// How many counts are kept.
    pub(super) max_kept: usize,
}

/// Wrong passwords.
#[derive(Debug)]
pub(super) struct Attempts {
    bounds: Bounds,
    hasher: RandomState,
    counts: Mutex<Generations<u64, Count>>,
}

/// Who attempts; each is a number that stands for the name, the address, or both.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pair: u64,
    user: u64,
    /// Nobody knows whom a Unix socket carries.
    address: Option<u64>,
}

impl Who {
    /// Returns the number that stands for the user from the address.
    pub(super) fn pair(self) -> u64 {
        self.pair
    }
}

/// The wrong passwords of someone.
#[derive(Debug, Clone, Copy)]
struct Count {
    wrong: u32,
    last: Instant,
    /// There was a right one.
    is_trusted: bool,
}

impl Attempts {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            hasher: RandomState::new(),
            counts: Mutex::new(Generations::new(bounds.max_kept)),
        }
    }

    /// Tells whether others are bounded alike.
    pub(super) fn are_like(&self, others: &Self) -> bool {
        self.bounds == others.bounds
    }

    /// Returns the number that stands for something.
    pub(super) fn number(&self, of: impl std::hash::Hash) -> u64 {
        self.hasher.hash_one(of)
    }

    pub(super) fn who(&self, user: &str, address: Option<IpAddr>) -> Who {
        let address = address.map(block);
        Who {
            pair: self.number((0, user, address)),
            user: self.number((1, user)),
            address: address.map(|address| self.number((2, address))),
        }
    }

    /// Returns how long an attempt has to wait; nothing: it may be made.
    pub(super) fn wait(&self, who: Who, now: Instant) -> Option<Duration> {
        let mut counts = self.lock();
        let pair = counts.find(&who.pair);
        let mut waits = vec![self.wait_of(pair, self.bounds.free, now)];
        if !pair.is_some_and(|count| count.is_trusted) {
            for number in [Some(who.user), who.address].into_iter().flatten() {
                let free = self.bounds.free.saturating_mul(MANY);
                waits.push(self.wait_of(counts.find(&number), free, now));
            }
        }
        waits.into_iter().max().filter(|wait| !wait.is_zero())
    }

    /// Notes that a password was right, or wrong.
    pub(super) fn note(&self, who: Who, is_right: bool, now: Instant) {
        let mut counts = self.lock();
        if is_right {
            let trusted = Count {
                wrong: 0,
                last: now,
                is_trusted: true,
            };
            counts.put(who.pair, trusted);
            return;
        }
        for number in [Some(who.pair), Some(who.user), who.address]
            .into_iter()
            .flatten()
        {
            let free = match number == who.pair {
                true => self.bounds.free,
                false => self.bounds.free.saturating_mul(MANY),
            };
            let before = counts.find(&number);
            let wrong = before.map_or(0, |count| count.wrong_at(now));
            let count = Count {
                wrong: (wrong + 1).min(self.most(free)),
                last: now,
                is_trusted: before.is_some_and(|count| count.is_trusted),
            };
            counts.put(number, count);
        }
    }

    /// Returns the count from which on waits grow no longer.
    fn most(&self, free: u32) -> u32 {
        let ratio = self.bounds.max_delay.as_millis() / FIRST_DELAY.as_millis();
        free.saturating_add(ratio.max(1).ilog2() + 1)
    }

    fn wait_of(&self, count: Option<Count>, free: u32, now: Instant) -> Duration {
        let Some(count) = count.filter(|count| count.wrong >= free) else {
            return Duration::ZERO;
        };
        let doubled = FIRST_DELAY.saturating_mul(1 << (count.wrong - free).min(31));
        let until = count.last + doubled.min(self.bounds.max_delay);
        until.saturating_duration_since(now)
    }

    fn lock(&self) -> MutexGuard<'_, Generations<u64, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Count {
    fn wrong_at(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.last).as_millis() / FADES.as_millis();
        let faded = u32::try_from(passed).unwrap_or(u32::MAX);
        self.wrong.saturating_sub(faded)
    }
}

#[cfg(test)]
mod tests;
