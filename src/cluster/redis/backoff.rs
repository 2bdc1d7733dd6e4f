//! When something is tried again that did not work.

use std::time::Duration;

/// How long it takes until it is connected to again, at first and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// A connection that has lasted for so long was no failure.
const LASTING: Duration = Duration::from_secs(10);
/// How long to wait until something is tried again: twice as long each time, and by chance a part of it.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    count: u32,
}

impl Backoff {
    pub(super) fn is_first(&self) -> bool {
        self.count == 0
    }

    /// Begins anew if what was tried has worked for some time.
    pub(super) fn lasted(&mut self, time: Duration) {
        if time > LASTING {
            self.count = 0;
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let chance = getrandom::u32().unwrap_or(u32::MAX);
        self.after(f64::from(chance) / f64::from(u32::MAX))
    }

    fn after(&mut self, chance: f64) -> Duration {
        let (least, most) = BACKOFF;
        let longest = least
            .saturating_mul(1 << self.count.min(16))
            .min(most.mul_f64(0.5));
        self.count += 1;
        // From the time itself to twice of it.
        longest.mul_f64(1.0 + chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_again_ever_later() {
        let mut backoff = Backoff::default();
        let times: Vec<_> = (0..8).map(|_| backoff.after(0.0).as_millis()).collect();
        assert_eq!(times, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(backoff.after(1.0), BACKOFF.1);
    }
}
