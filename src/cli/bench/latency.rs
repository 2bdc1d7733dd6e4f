//! A histogram of durations that all clients write to; within 0.1 % of the truth.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest duration that is told apart from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600_000_000_000;
/// How many decimal digits of a duration are kept.
const DIGITS: u8 = 3;
/// The power of ten, in nanoseconds, of the first bar's end: 10 us.
const FIRST_BAR: u32 = 4;

/// Counts of durations by size.
#[derive(Debug)]
pub(super) struct Latency {
    histogram: Mutex<Histogram<u64>>,
}

/// How many durations there are up to a round one, and above that of the bar before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) up_to: Duration,
    pub(super) count: u64,
}

impl Latency {
    /// An empty histogram.
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Self {
            histogram: Mutex::new(histogram.expect("the bounds are in order")),
        }
    }

    /// Counts one duration, given in nanoseconds.
    pub(super) fn record(&self, nanoseconds: u64) {
        self.lock().saturating_record(nanoseconds);
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The longest duration.
    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.lock().max())
    }

    /// The duration that a share of all do not exceed; zero when there are none.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.lock().value_at_quantile(share))
    }

    /// The counts in bars that end at 1, 2 and 5 of each power of ten, from the first that is not
    /// empty to the last.
    pub(super) fn bars(&self) -> Vec<Bar> {
        let histogram = self.lock();
        let mut values = histogram.iter_recorded().peekable();
        let mut bars = Vec::new();
        let ends = (FIRST_BAR..).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
        for end in ends {
            let mut count = 0;
            while let Some(value) = values.next_if(|value| value.value_iterated_to() <= end) {
                count += value.count_since_last_iteration();
            }
            if count > 0 || !bars.is_empty() {
                let up_to = Duration::from_nanos(end);
                bars.push(Bar { up_to, count });
            }
            if values.peek().is_none() {
                break;
            }
        }
        bars
    }

    /// A histogram stays valid whatever its holder did, as each entry is one step.
    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.histogram
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_line() {
        let latency = Latency::new();
        assert!(latency.is_empty());
        assert_eq!(latency.quantile(0.99), Duration::ZERO);
        (1..=1000).for_each(|value| latency.record(value * 1000));
        for (share, expected) in [(0.5, 500_000.0), (0.9, 900_000.0), (0.999, 999_000.0)] {
            let found = latency.quantile(share).as_nanos() as f64;
            assert!((found / expected - 1.0).abs() < 0.002, "{share} {found}");
        }
        assert_eq!(latency.quantile(1.0), latency.max());
        let max = latency.max().as_nanos() as f64;
        assert!((max / 1e6 - 1.0).abs() < 0.002, "{max}");
    }

    #[test]
    fn what_is_too_long_counts_as_the_longest() {
        let latency = Latency::new();
        latency.record(u64::MAX);
        assert!(latency.max() >= Duration::from_secs(3600));
        assert_eq!(latency.bars().len(), 1);
    }

    #[test]
    fn bars_end_at_round_durations() {
        let latency = Latency::new();
        assert_eq!(latency.bars(), []);
        for microseconds in [11, 19, 70, 99, 101, 1001] {
            latency.record(microseconds * 1000);
        }
        let bars: Vec<_> = latency
            .bars()
            .iter()
            .map(|bar| (bar.up_to.as_micros(), bar.count))
            .collect();
        let expected = [(20, 2), (50, 0), (100, 2), (200, 1), (500, 0), (1000, 0)];
        assert_eq!(bars[..6], expected);
        assert_eq!(bars[6..], [(2000, 1)]);
    }
}
