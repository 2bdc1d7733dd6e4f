//! The result of a run, as a table or as JSON.

use std::io::Write;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::deliveries::Flaws;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    /// A count.
    Count(u64),
    /// A measure, shown with one decimal.
    Measure(f64),
    /// Words.
    Text(String),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Measure(measure) => write!(f, "{measure:.1}"),
            Self::Text(text) => write!(f, "{text}"),
        }
    }
}

/// What a scenario found, in rows; a name ends in its unit.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<(&'static str, Value)>,
    /// What was wrong with the deliveries, if anything was.
    pub(super) flaws: Option<Flaws>,
}

impl Report {
    /// Adds a count.
    pub(super) fn count(&mut self, name: &'static str, count: u64) {
        self.rows.push((name, Value::Count(count)));
    }

    /// Adds a measure; one that is not a finite number is left out.
    pub(super) fn measure(&mut self, name: &'static str, measure: f64) {
        if measure.is_finite() {
            let rounded = (measure * 1000.0).round() / 1000.0;
            self.rows.push((name, Value::Measure(rounded)));
        }
    }

    /// Adds a duration in microseconds.
    pub(super) fn microseconds(&mut self, name: &'static str, duration: Duration) {
        self.measure(name, duration.as_secs_f64() * 1e6);
    }

    /// Adds words.
    pub(super) fn text(&mut self, name: &'static str, text: impl Into<String>) {
        self.rows.push((name, Value::Text(text.into())));
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
        let width = self
            .rows
            .iter()
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        let lines: Vec<_> = self
            .rows
            .iter()
            .map(|(name, value)| match value {
                Value::Text(text) => format!("{:width$}  {text}", name.replace('_', " ")),
                number => format!(
                    "{:width$}  {number:>14}",
                    name.replace('_', " "),
                    number = number.to_string()
                ),
            })
            .collect();
        lines.join("\n")
    }
}

#[cfg(test)]
impl Report {
    /// The value of a row.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.rows.iter().find(|row| row.0 == name).map(|row| &row.1)
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.rows.iter().map(|(name, value)| (name, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        report.text("scenario", "idle");
        report.count("clients", 3);
        report.measure("setup_clients_per_s", 1.23456);
        report.measure("impossible", f64::NAN);
        report
    }

    #[test]
    fn prints_rows_in_order() {
        let table = "scenario             idle\n\
                     clients                           3\n\
                     setup clients per s             1.2";
        assert_eq!(report().table(), table);
        let json = r#"{"scenario":"idle","clients":3,"setup_clients_per_s":1.235}"#;
        assert_eq!(serde_json::to_string(&report()).unwrap(), json);
    }
}
