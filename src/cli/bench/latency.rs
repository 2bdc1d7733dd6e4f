//! A histogram of durations that all clients write to at once; within 1.6 % of the truth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Each power of two is cut into 2^6 buckets.
const PRECISION: u32 = 6;
const BUCKETS: usize = (64 - PRECISION as usize + 1) << PRECISION;

/// Counts of durations by size.
#[derive(Debug)]
pub(super) struct Latency {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Latency {
    /// An empty histogram.
    pub(super) fn new() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            max: AtomicU64::new(0),
        }
    }

    /// Counts one duration, given in nanoseconds.
    pub(super) fn record(&self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)].fetch_add(1, Ordering::Relaxed);
        // Read first: most durations are no record, and a read does not take the cache line.
        if nanoseconds > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(nanoseconds, Ordering::Relaxed);
        }
    }

    /// The longest duration.
    pub(super) fn max(&self) -> Duration {
        Duration::from_nanos(self.max.load(Ordering::Relaxed))
    }

    /// The duration that `percent` of all do not exceed; zero when there are none.
    pub(super) fn percentile(&self, percent: u64) -> Duration {
        let counts = || {
            self.buckets
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
        };
        let wanted = (counts().sum::<u64>() * percent).div_ceil(100);
        let mut seen = 0;
        let position = counts().position(|count| {
            seen += count;
            seen >= wanted && seen > 0
        });
        position.map_or(Duration::ZERO, |at| {
            Duration::from_nanos(upper_bound(at)).min(self.max())
        })
    }
}

fn bucket(value: u64) -> usize {
    let exponent = (value | 1).ilog2().saturating_sub(PRECISION);
    let mantissa = usize::try_from(value >> exponent).expect("seven bits fit everywhere");
    ((exponent as usize) << PRECISION) + mantissa
}

fn upper_bound(bucket: usize) -> u64 {
    let exponent = (bucket >> PRECISION).saturating_sub(1);
    let mantissa = (bucket - (exponent << PRECISION)) as u64;
    (mantissa << exponent) | ((1 << exponent) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_just_below_its_buckets_bound() {
        let mut values: Vec<u64> = (0..5000).collect();
        values.extend((12..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]));
        values.push(u64::MAX);
        for value in values {
            let at = bucket(value);
            assert!(at < BUCKETS, "{value}");
            let bound = upper_bound(at);
            assert!(
                bound >= value && bound - value <= value / 32,
                "{value} {bound}"
            );
        }
    }

    #[test]
    fn percentiles_of_a_line() {
        let latency = Latency::new();
        assert_eq!(latency.percentile(99), Duration::ZERO);
        (1..=1000).for_each(|value| latency.record(value * 1000));
        for (percent, expected) in [(50, 500_000.0), (90, 900_000.0), (99, 990_000.0)] {
            let found = latency.percentile(percent).as_nanos() as f64;
            assert!((found / expected - 1.0).abs() < 0.02, "{percent} {found}");
        }
        assert_eq!(latency.max(), Duration::from_millis(1));
        assert_eq!(latency.percentile(100), latency.max());
    }
}
