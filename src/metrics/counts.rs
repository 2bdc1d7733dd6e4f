//! What counts: each thread in a stripe of its own, since what one writes the others have to fetch again.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::stripes::{STRIPES, own_stripe};

/// A stripe on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Stripe(AtomicI64);

#[derive(Debug, Default)]
struct Stripes([Stripe; STRIPES]);

impl Stripes {
    fn add(&self, more: i64) {
        self.0[own_stripe()].0.fetch_add(more, Relaxed);
    }

    fn sum(&self) -> i64 {
        self.0.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

/// A count that only grows.
#[derive(Debug, Default)]
pub struct Counter(Stripes);

impl Counter {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `more`. For none nothing is touched: there are none with every reply.
    pub fn add(&self, more: usize) {
        if more > 0 {
            self.0.add(i64::try_from(more).unwrap_or(i64::MAX));
        }
    }

    /// Returns the count.
    #[must_use]
    pub fn value(&self) -> u64 {
        u64::try_from(self.0.sum()).unwrap_or(0)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(Stripes);

impl Gauge {
    /// Counts one more.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts one less.
    pub fn decrement(&self) {
        self.add(-1);
    }

    /// Counts `more`, which may be less.
    pub fn add(&self, more: i64) {
        self.0.add(more);
    }

    /// Returns the number.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.sum()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn threads_count_together() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        thread::scope(|scope| {
            for _ in 0..STRIPES + 3 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        counter.increment();
                        gauge.increment();
                        gauge.decrement();
                    }
                    gauge.add(-2);
                });
            }
        });
        assert_eq!(counter.value(), 100 * (STRIPES as u64 + 3));
        assert_eq!(gauge.value(), -2 * (STRIPES as i64 + 3));
    }
}
