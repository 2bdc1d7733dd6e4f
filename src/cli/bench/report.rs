//! The result of a run, as a table or as JSON.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::deliveries::Flaws;
use super::latency::{Bar, Latency};

/// The widest bar of a histogram in the table.
const BAR_WIDTH: u64 = 40;
/// The quantiles that are told, by their names.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99_9", 0.999)];

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// A count.
    Count(u64),
    /// A measure, shown with as many decimals as matter.
    Measure(f64),
    /// Words.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => f.write_str(&grouped(&count.to_string())),
            Self::Measure(measure) => {
                let decimals = match measure.abs() {
                    _ if measure.fract() == 0.0 => 0,
                    1000.0.. => 0,
                    10.0.. => 1,
                    _ => 3,
                };
                f.write_str(&grouped(&format!("{measure:.decimals$}")))
            }
            Self::Text(text) => write!(f, "{text}"),
        }
    }
}

/// A number with its digits in groups of three.
fn grouped(number: &str) -> String {
    let end = number.find('.').unwrap_or(number.len());
    let mut grouped = String::with_capacity(number.len() + end / 3);
    for (at, digit) in number.char_indices() {
        let is_after_digit = number[..at].ends_with(|before: char| before.is_ascii_digit());
        if at < end && is_after_digit && (end - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The name of a row as the table has it.
fn label(name: &str) -> String {
    let name = name.replace("p99_9", "p99.9");
    let words = name.split('_').map(|word| match word {
        "us" => "µs",
        "cpu" => "CPU",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a scenario found, in rows; a name ends in its unit, and `fields.rs` has what it means.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(Cow<'static, str>, Value)>,
    histogram: Vec<Bar>,
    /// What was wrong with the deliveries, if anything was.
    pub(super) flaws: Option<Flaws>,
    /// The run was ended before its time.
    pub(super) is_interrupted: bool,
}

impl Report {
    /// Adds a count.
    pub(super) fn count(&mut self, name: &'static str, count: u64) {
        self.rows.push((name.into(), Value::Count(count)));
    }

    /// Adds a measure; one that is not a finite number is left out.
    pub(super) fn measure(&mut self, name: impl Into<Cow<'static, str>>, measure: f64) {
        if measure.is_finite() {
            let rounded = (measure * 1000.0).round() / 1000.0;
            self.rows.push((name.into(), Value::Measure(rounded)));
        }
    }

    /// Adds a duration in microseconds.
    pub(super) fn microseconds(&mut self, name: impl Into<Cow<'static, str>>, duration: Duration) {
        self.measure(name, duration.as_secs_f64() * 1e6);
    }

    /// Adds words.
    pub(super) fn text(&mut self, name: &'static str, text: impl Into<String>) {
        self.rows.push((name.into(), Value::Text(text.into())));
    }

    /// Adds the quantiles of durations, and their histogram, which is the report's only one.
    pub(super) fn latency(&mut self, name: &str, latency: &Latency) {
        if latency.is_empty() {
            return;
        }
        for (quantile, share) in QUANTILES {
            self.microseconds(format!("{name}_{quantile}_us"), latency.quantile(share));
        }
        self.microseconds(format!("{name}_max_us"), latency.max());
        self.histogram = latency.bars();
    }

    /// Adds the counts of flaws, which decide how the run ends.
    pub(super) fn deliveries(&mut self, flaws: Flaws) {
        self.count("lost", flaws.lost);
        self.count("repeated", flaws.repeated);
        self.count("reordered", flaws.reordered);
        self.flaws = (flaws != Flaws::default()).then_some(flaws);
    }

    /// Prints the rows on standard output.
    pub(super) fn print(&self, as_json: bool) -> std::io::Result<()> {
        let text = if as_json {
            serde_json::to_string_pretty(self)?
        } else {
            self.table()
        };
        writeln!(std::io::stdout(), "{text}")
    }

    fn table(&self) -> String {
        let labels = self.rows.iter().map(|(name, value)| (label(name), value));
        let labels: Vec<_> = labels.collect();
        let widths = labels.iter().map(|(label, _)| label.chars().count());
        let width = widths.max().unwrap_or(0);
        let mut table = String::new();
        for (label, value) in labels {
            let line = match value {
                Value::Text(text) => format!("{label:width$}  {text}\n"),
                number => format!("{label:width$}  {:>14}\n", number.to_string()),
            };
            table.push_str(&line);
        }
        let highest = self.histogram.iter().map(|bar| bar.count).max();
        for bar in &self.histogram {
            let length = (bar.count * BAR_WIDTH).div_ceil(highest.unwrap_or(1).max(1));
            let stars = "#".repeat(usize::try_from(length).unwrap_or(0));
            let up_to = format!("up to {:?}", bar.up_to);
            let count = grouped(&bar.count.to_string());
            let line = format!("{up_to:>width$}  {count:>14}  {stars}");
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table.truncate(table.trim_end().len());
        table
    }
}

#[cfg(test)]
impl Report {
    /// The names of the rows.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|(name, _)| &**name)
    }

    /// The value of a row.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.rows.iter().find(|row| row.0 == name).map(|row| &row.1)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in &self.rows {
            map.serialize_entry(name, value)?;
        }
        if !self.histogram.is_empty() {
            map.serialize_entry("histogram", &self.histogram)?;
        }
        map.end()
    }
}

impl Serialize for Bar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("up_to_us", &self.up_to.as_micros())?;
        map.serialize_entry("count", &self.count)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.text("scenario", "idle");
        report.count("clients", 3);
        report.measure("handshakes_per_s", 1.23456);
        report.measure("impossible", f64::NAN);
        report
    }

    #[test]
    fn prints_rows_in_order() {
        let table = "scenario          idle\n\
                     clients                        3\n\
                     handshakes per s           1.235";
        assert_eq!(report().table(), table);
        let json = r#"{"scenario":"idle","clients":3,"handshakes_per_s":1.235}"#;
        assert_eq!(serde_json::to_string(&report()).unwrap(), json);
    }

    #[test]
    fn numbers_read_well() {
        let cases = [
            (Value::Count(0), "0"),
            (Value::Count(999), "999"),
            (Value::Count(1_234_567), "1,234,567"),
            (Value::Measure(0.0), "0"),
            (Value::Measure(60.0), "60"),
            (Value::Measure(0.0124), "0.012"),
            (Value::Measure(12.345), "12.3"),
            (Value::Measure(-4669.4), "-4,669"),
            (Value::Measure(123_456.7), "123,457"),
        ];
        for (value, expected) in cases {
            assert_eq!(value.to_string(), expected);
        }
        let name = "bench_cpu_us_per_delivery";
        assert_eq!(label(name), "bench CPU µs per delivery");
    }

    #[test]
    fn durations_are_quantiles_and_a_histogram() {
        let latency = Latency::new();
        let mut report = Report::default();
        report.latency("latency", &latency);
        assert_eq!(report.table(), "");
        for microseconds in [15, 15, 150] {
            latency.record(microseconds * 1000);
        }
        report.latency("latency", &latency);
        let table = report.table();
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 9);
        let names = ["p50", "p90", "p99", "p99.9", "max"];
        for (line, name) in lines.iter().zip(names) {
            assert!(line.starts_with(&format!("latency {name} µs")), "{line}");
        }
        assert!(lines[5].ends_with(&format!("up to 20µs               2  {}", "#".repeat(40))));
        assert!(lines[6].ends_with("up to 50µs               0"), "{table}");
        assert!(lines[8].ends_with(&format!("up to 200µs               1  {}", "#".repeat(20))));
        let json = serde_json::to_string(&report).unwrap();
        let bars = r#""histogram":[{"up_to_us":20,"count":2},{"up_to_us":50,"count":0},"#;
        assert!(json.contains(bars), "{json}");
    }
}
