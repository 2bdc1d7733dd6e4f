//! Whether traces are sent, where, and how many.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The `[traces]` section.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// The collector, by OTLP over HTTP; nothing is sent if it is empty.
    pub endpoint: String,
    /// As what this server is known there.
    pub service_name: String,
    /// What part of the traces that begin here is sent, from 0 to 1. Whoever asks may have decided otherwise.
    pub sample: f64,
    /// How many spans may wait to be sent; above that they are left out.
    pub max_waiting: usize,
    /// How long the collector may take.
    #[serde(with = "humantime_serde")]
    pub export_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            service_name: "mirant".to_owned(),
            sample: 1.0,
            max_waiting: 2048,
            export_timeout: Duration::from_secs(10),
        }
    }
}

impl Settings {
    /// Returns where spans are sent: below an address without a path, where collectors have that.
    #[must_use]
    pub fn url(&self) -> String {
        let endpoint = self.endpoint.trim_end_matches('/');
        let behind_scheme = endpoint
            .split_once("://")
            .map_or(endpoint, |(_, rest)| rest);
        match behind_scheme.contains('/') {
            true => self.endpoint.clone(),
            false => format!("{endpoint}/v1/traces"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_collector_is_added_where_none_is_named() {
        for (endpoint, url) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://otel:4318/", "http://otel:4318/v1/traces"),
            ("https://otel/in/traces", "https://otel/in/traces"),
        ] {
            let settings = Settings {
                endpoint: endpoint.to_owned(),
                ..Settings::default()
            };
            assert_eq!(settings.url(), url);
        }
    }
}
