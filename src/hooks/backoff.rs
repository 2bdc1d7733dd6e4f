//! How long it is waited before something is tried again. Time and chance are arguments.

use std::time::Duration;

/// The bounds of waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    /// The least.
    pub(super) min: Duration,
    /// The most, whatever whoever failed asks for.
    pub(super) max: Duration,
}

impl Backoff {
    /// Chooses a wait after so many failures, by a number from 0 up to 1: anything from the least to what
    /// doubles with each failure, so that those who failed together do not come back together. What was asked
    /// for is waited at least.
    pub(super) fn delay(&self, failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
        let factor = 2u32.saturating_pow(failures.min(31));
        let most = self.min.saturating_mul(factor).min(self.max);
        let spread = most.saturating_sub(self.min);
        let delay = self.min + spread.mul_f64(chance.clamp(0.0, 1.0));
        delay.max(asked.unwrap_or_default()).min(self.max)
    }
}

/// Returns a number from 0 up to 1.
pub(super) fn chance() -> f64 {
    let random = getrandom::u32().expect("the operating system gives random bytes");
    f64::from(random) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_bounds() {
        let ms = Duration::from_millis;
        let backoff = Backoff {
            min: ms(100),
            max: ms(1000),
        };
        let cases = [
            (1, None, 0.0, 100),
            (1, None, 1.0, 200),
            (1, None, 0.5, 150),
            (2, None, 1.0, 400),
            (3, None, 1.0, 800),
            (4, None, 1.0, 1000),
            (4, None, 0.0, 100),
            (u32::MAX, None, 1.0, 1000),
            (1, Some(ms(700)), 0.0, 700),
            (1, Some(ms(7000)), 0.0, 1000),
            (3, Some(ms(10)), 1.0, 800),
        ];
        for (failures, asked, chance, expected) in cases {
            let delay = backoff.delay(failures, asked, chance);
            assert_eq!(delay, ms(expected), "{failures} {asked:?} {chance}");
        }
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&chance()));
        }
    }
}
