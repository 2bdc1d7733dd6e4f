//! How long things took, counted by classes.

use std::time::Duration;

use super::Counter;
use super::render::{head, line};

/// Up to how long each class but the last is, in microseconds.
const CLASSES: [u64; 19] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// How many there were of each class.
pub type Counts = [u64; CLASSES.len() + 1];

/// Counts how long things took.
#[derive(Debug, Default)]
pub struct Latency {
    counts: [Counter; CLASSES.len() + 1],
    /// What all took together, in microseconds.
    micros: Counter,
}

impl Latency {
    /// Counts one.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.counts[CLASSES.partition_point(|most| *most < micros)].increment();
        self.micros
            .add(usize::try_from(micros).unwrap_or(usize::MAX));
    }

    /// Returns how many there were of each class.
    #[must_use]
    pub fn counts(&self) -> Counts {
        std::array::from_fn(|class| self.counts[class].value())
    }

    /// Writes them as a histogram of Prometheus, in seconds.
    pub(super) fn render(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, help, "histogram");
        let bounds = CLASSES.iter().map(|&most| seconds(most).to_string());
        let bounds = bounds.chain(["+Inf".to_owned()]);
        let mut so_far = 0;
        let bucket = format!("{name}_bucket");
        for (bound, count) in bounds.zip(self.counts()) {
            so_far += count;
            line(out, &bucket, &format!("{{le=\"{bound}\"}}"), &so_far);
        }
        line(
            out,
            &format!("{name}_sum"),
            "",
            &seconds(self.micros.value()),
        );
        line(out, &format!("{name}_count"), "", &so_far);
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is a figure for people")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// Returns within how many milliseconds such a part was done, from 0 to 1: the end of the class in which it was. None
/// is known if there were none; of the last class its beginning is.
#[must_use]
pub fn within(counts: &Counts, part: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    if all == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a rank among them"
    )]
    let rank = ((all as f64 * part).ceil() as u64).clamp(1, all);
    let mut so_far = 0;
    let class = counts.iter().position(|count| {
        so_far += count;
        so_far >= rank
    })?;
    let micros = CLASSES.get(class).or(CLASSES.last())?;
    #[expect(clippy::cast_precision_loss, reason = "it is a short time")]
    Some(*micros as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_a_histogram_whose_classes_include_the_shorter_ones() {
        let latency = Latency::default();
        for micros in [15, 1_000, 60_000_000] {
            latency.observe(Duration::from_micros(micros));
        }
        let mut out = String::new();
        latency.render(&mut out, "x_seconds", "What it is.");
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[1], "# TYPE mirant_x_seconds histogram");
        assert_eq!(lines.len(), 2 + CLASSES.len() + 1 + 2);
        for expected in [
            "mirant_x_seconds_bucket{le=\"0.00001\"} 0",
            "mirant_x_seconds_bucket{le=\"0.00002\"} 1",
            "mirant_x_seconds_bucket{le=\"0.001\"} 2",
            "mirant_x_seconds_bucket{le=\"10\"} 2",
            "mirant_x_seconds_bucket{le=\"+Inf\"} 3",
            "mirant_x_seconds_sum 60.001015",
            "mirant_x_seconds_count 3",
        ] {
            assert!(lines.contains(&expected), "{expected}: {out}");
        }
    }

    #[test]
    fn a_part_was_done_within_the_end_of_its_class() {
        let latency = Latency::default();
        assert_eq!(within(&latency.counts(), 0.5), None);
        for _ in 0..98 {
            latency.observe(Duration::from_micros(15));
        }
        latency.observe(Duration::from_millis(1));
        latency.observe(Duration::from_secs(60));
        let counts = latency.counts();
        assert_eq!(counts.iter().sum::<u64>(), 100);
        for (part, expected) in [
            (0.0, 0.02),
            (0.5, 0.02),
            (0.98, 0.02),
            (0.99, 1.0),
            (1.0, 10_000.0),
        ] {
            assert_eq!(within(&counts, part), Some(expected), "{part}");
        }
    }
}
