//! How often something may happen: the generic cell rate algorithm, a bucket of tokens that needs one number.
//!
//! That number is the time at which the bucket will be full again. Each token taken puts it off by what one
//! takes to come back; none is left while it lies further ahead than a whole bucket takes.
//!
//! The crate `governor` does the same, but keeps more than a number for each bucket, and keyed ones in a map
//! without a bound that is tidied by going through all of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// So many a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// How long it takes until one more may come, in nanoseconds.
    interval: u64,
    /// How far ahead a bucket's time may be for one more.
    slack: u64,
}

impl Rate {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = SECOND / u64::from(per_second.max(1));
        Self {
            interval,
            slack: interval * u64::from(burst.max(1) - 1),
        }
    }

    /// Takes a token of the bucket that will be full at `full`; returns when that is then.
    ///
    /// # Errors
    /// There is none; how long it takes until there is.
    pub(super) fn take(self, full: u64, now: u64) -> Result<u64, Duration> {
        let full = full.max(now);
        match (full - now).checked_sub(self.slack + 1) {
            None => Ok(full + self.interval),
            Some(beyond) => Err(Duration::from_nanos(beyond + 1)),
        }
    }
}

/// A bucket, full at first.
#[derive(Debug, Default)]
pub struct Bucket(AtomicU64);

impl Bucket {
    pub(super) fn take(&self, rate: Rate, now: u64) -> Result<(), Duration> {
        let mut full = self.0.load(Relaxed);
        loop {
            let taken = rate.take(full, now)?;
            match self.0.compare_exchange_weak(full, taken, Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(other) => full = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> u64 {
        ms * 1_000_000
    }

    /// What becomes of one at each of these times: how long it is to wait, in milliseconds.
    fn waits(per_second: u32, burst: u32, at: &[u64]) -> Vec<u128> {
        let (rate, bucket) = (Rate::new(per_second, burst), Bucket::default());
        let taken = at.iter().map(|at| bucket.take(rate, ms(*at)));
        taken
            .map(|taken| taken.err().unwrap_or_default().as_millis())
            .collect()
    }

    #[test]
    fn a_burst_may_come_at_once_and_then_so_many_a_second() {
        let cases: [(u32, u32, &[u64], &[u128]); 8] = [
            (10, 1, &[0, 0, 50, 100, 199, 200], &[0, 100, 50, 0, 1, 0]),
            (10, 3, &[0, 0, 0, 0, 100, 100], &[0, 0, 0, 100, 0, 100]),
            // What was refused takes nothing.
            (10, 2, &[0, 0, 0, 0, 0, 100], &[0, 0, 100, 100, 100, 0]),
            // It fills again, but not to more than a whole bucket.
            (10, 2, &[0, 0, 9000, 9000, 9000], &[0, 0, 0, 0, 100]),
            (1, 2, &[500, 500, 500, 1499, 1500], &[0, 0, 1000, 1, 0]),
            // Time that goes back does not fill it.
            (10, 1, &[1000, 900, 1099, 1100], &[0, 200, 1, 0]),
            (1000, 1, &[0, 0, 1, 2], &[0, 1, 0, 0]),
            (1_000_000, 1, &[0, 1], &[0, 0]),
        ];
        for (per_second, burst, at, expected) in cases {
            assert_eq!(
                waits(per_second, burst, at),
                expected,
                "{per_second} {burst} {at:?}"
            );
        }
    }

    #[test]
    fn who_waits_as_told_is_let_through() {
        for (per_second, burst) in [(1, 1), (3, 2), (7, 50), (999_999, 3)] {
            let (rate, bucket) = (Rate::new(per_second, burst), Bucket::default());
            let (mut now, mut taken) = (0, 0);
            while taken < 1000 {
                match bucket.take(rate, now) {
                    Ok(()) => taken += 1,
                    Err(wait) => {
                        let wait = u64::try_from(wait.as_nanos()).expect("it is short");
                        assert!(bucket.take(rate, now + wait - 1).is_err(), "not before");
                        now += wait;
                        assert!(bucket.take(rate, now).is_ok(), "{per_second} {burst}");
                        taken += 1;
                    }
                }
            }
            let least = (1000 - u64::from(burst)) * (SECOND / u64::from(per_second));
            assert!(
                (least..least + 2).contains(&now),
                "{per_second} {burst}: {now}"
            );
        }
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let (rate, bucket) = (Rate::new(1, 1000), Bucket::default());
        let taken = std::thread::scope(|scope| {
            let take = || (0..1000).filter(|_| bucket.take(rate, 0).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            let taken = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            taken.sum::<usize>()
        });
        assert_eq!(taken, 1000);
    }
}
