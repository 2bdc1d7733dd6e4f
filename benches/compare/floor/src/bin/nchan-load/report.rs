//! The result as one JSON object.

use crate::options::Options;
use crate::subscriber::Flaws;

/// Named figures, in their order.
pub(crate) struct Report {
    rows: Vec<(String, String)>,
    /// Whether a delivery was lost or repeated.
    pub(crate) is_flawed: bool,
}

impl Report {
    /// A report that says what was asked for.
    pub(crate) fn new(scenario: &str, options: &Options) -> Self {
        let mut report = Self {
            rows: Vec::new(),
            is_flawed: false,
        };
        for (name, text) in [("scenario", scenario), ("transport", options.transport())] {
            report.rows.push((name.into(), format!("\"{text}\"")));
        }
        report.add("clients", options.clients as f64);
        report.add("payload_bytes", options.payload as f64);
        report
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, name: &str, figure: f64) {
        let rounded = (figure * 1000.0).round() / 1000.0;
        self.rows.push((name.into(), rounded.to_string()));
    }

    /// Adds what was wrong with the deliveries.
    pub(crate) fn flaws(&mut self, flaws: Flaws) {
        self.add("lost", flaws.lost as f64);
        self.add("repeated", flaws.repeated as f64);
        self.is_flawed = flaws != Flaws::default();
    }

    /// The object.
    pub(crate) fn json(&self) -> String {
        let fields: Vec<_> = self
            .rows
            .iter()
            .map(|(name, value)| format!("  \"{name}\": {value}"))
            .collect();
        format!("{{\n{}\n}}", fields.join(",\n"))
    }
}
