//! How long things took.

use std::time::Duration;

/// Durations, in any order.
#[derive(Default)]
pub(crate) struct Durations {
    all: Vec<Duration>,
}

impl Durations {
    /// Notes one.
    pub(crate) fn note(&mut self, duration: Duration) {
        self.all.push(duration);
    }

    /// The microseconds that so many of a hundred do not exceed; 0 if there are none.
    pub(crate) fn percentile(&mut self, percent: usize) -> f64 {
        self.all.sort_unstable();
        let at = (self.all.len() * percent).div_ceil(100).saturating_sub(1);
        self.all
            .get(at)
            .map_or(0.0, |found| found.as_secs_f64() * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_noted() {
        let mut durations = Durations::default();
        assert_eq!(durations.percentile(50), 0.0);
        for micros in (1..=200).rev() {
            durations.note(Duration::from_micros(micros));
        }
        let found = [1, 50, 99, 100].map(|percent| durations.percentile(percent).round());
        assert_eq!(found, [2.0, 100.0, 198.0, 200.0]);
    }
}
