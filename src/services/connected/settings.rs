//! The `[backends]` section.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Who may take calls as a connected application server, and how many calls there may be.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// The role of those who may; nothing: nobody.
    pub role: Option<String>,
    /// How long a caller waits for its answer.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// How long the session of one lives without a connect, before its calls go to another.
    #[serde(with = "humantime_serde")]
    pub max_interval: Duration,
    /// How many calls may wait for their answers at once.
    pub max_calls: usize,
    /// How many of one session.
    pub max_calls_per_session: usize,
    /// The service channel on which they hear of sessions and channels; nothing: they do not.
    pub events_channel: Option<String>,
    /// How many events of sessions and channels may wait to be sent to them.
    pub max_events: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            role: None,
            call_timeout: Duration::from_secs(10),
            max_interval: Duration::from_secs(3),
            max_calls: 100_000,
            max_calls_per_session: 1000,
            events_channel: None,
            max_events: 10_000,
        }
    }
}
