//! How many events a second a channel or pattern has had, over about the last ten seconds.
//!
//! Events are counted in windows of ten seconds, of which the last two are known: as much of the one before
//! counts as reaches into the last ten seconds. An event costs a comparison and an addition. Two threads at the
//! border of two windows may lose some.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Seconds of a window.
const WINDOW: u32 = 10;

/// The events of a channel or pattern.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// The number of the window of the last event, from 1.
    window: AtomicU32,
    /// The events in it.
    count: AtomicU32,
    /// Those in the window before.
    before: AtomicU32,
}

/// Returns the number of a window.
fn window(at: Duration) -> u32 {
    u32::try_from(at.as_secs() / u64::from(WINDOW) + 1).unwrap_or(u32::MAX)
}

impl Rate {
    /// Counts an event, by a clock that all events of the router have.
    pub(super) fn count(&self, at: Duration) {
        let (last, window) = (self.window.load(Relaxed), window(at));
        if window > last {
            self.turn(last, window);
        }
        self.count.fetch_add(1, Relaxed);
    }

    #[cold]
    fn turn(&self, last: u32, window: u32) {
        let turned = self.window.compare_exchange(last, window, Relaxed, Relaxed);
        if turned.is_ok() {
            let count = self.count.swap(0, Relaxed);
            let before = if window - last == 1 { count } else { 0 };
            self.before.store(before, Relaxed);
        }
    }

    /// Returns how many a second there were.
    pub(super) fn per_second(&self, at: Duration) -> f64 {
        let (count, before) = (self.count.load(Relaxed), self.before.load(Relaxed));
        let (count, before) = match window(at).saturating_sub(self.window.load(Relaxed)) {
            0 => (count, before),
            1 => (0, count),
            _ => (0, 0),
        };
        let gone = (at.as_secs_f64() / f64::from(WINDOW)).fract();
        (f64::from(count) + f64::from(before) * (1.0 - gone)) / f64::from(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn it_is_that_of_the_last_ten_seconds() {
        // So many a second in the seconds before these; when it is asked; what is expected.
        let cases: [(u32, f64, f64, f64); 8] = [
            (0, 100.0, 100.0, 0.0),
            (5, 100.0, 100.0, 5.0),
            (5, 103.0, 103.0, 5.0),
            (5, 100.0, 105.0, 2.5),
            (5, 105.0, 110.0, 2.5),
            (5, 100.0, 110.0, 0.0),
            (5, 99.0, 1000.0, 0.0),
            (1000, 107.5, 107.5, 1000.0),
        ];
        for (per_second, until, at, expected) in cases {
            let rate = Rate::default();
            let mut time = 0.5 / f64::from(per_second);
            while time < until {
                rate.count(seconds(time));
                time += 1.0 / f64::from(per_second);
            }
            let found = rate.per_second(seconds(at));
            let off = (found - expected).abs();
            assert!(
                off <= 0.02 * expected + 0.1,
                "{per_second} a second until {until}, at {at}: {found}"
            );
        }
    }

    #[test]
    fn time_that_goes_back_a_little_is_counted_where_it_is() {
        let rate = Rate::default();
        rate.count(seconds(10.0));
        rate.count(seconds(9.9));
        assert!((rate.per_second(seconds(10.0)) - 0.2).abs() < 0.001);
        assert!(rate.per_second(seconds(9.9)) > 0.1);
    }
}
