//! What an operator sets about extensions, and the row they make.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::activity::Activities;
use super::timestamp::Timestamps;
use super::timesync::Timesync;
use super::{Extension, Pipeline};

/// Which extensions are on.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Whether clients may acknowledge what they receive, and get again what was lost.
    pub ack: bool,
    /// Whether clients learn how far their clocks are from the server's.
    pub timesync: bool,
    /// The time that messages to clients carry.
    pub timestamp: Timestamp,
    /// Whose messages keep a session active.
    pub activity: Activity,
    /// How long a session may be inactive until it ends; not for `activity = "off"`.
    #[serde(with = "humantime_serde")]
    pub max_inactivity: Duration,
}

/// The form of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Timestamp {
    /// None.
    Off,
    /// As CometD writes it: `Fri Nov 20 20:26:42 UTC 2026`.
    Cometd,
    /// As RFC 3339 has it: `2026-11-20T20:26:42.123Z`.
    Iso8601,
}

/// Whose messages keep a session active, connects and their replies aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// No session is inactive.
    Off,
    /// Its client's.
    Client,
    /// Its client's, and events for it.
    ClientServer,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack: true,
            timesync: true,
            timestamp: Timestamp::Off,
            activity: Activity::Off,
            max_inactivity: Duration::from_secs(600),
        }
    }
}

impl Settings {
    /// Makes the row: what is on of these, and then `more`. Acknowledgement is no part of it, but of
    /// how a session lets events go.
    #[must_use]
    pub fn build(&self, more: Vec<Box<dyn Extension>>) -> Pipeline {
        let mut row: Vec<Box<dyn Extension>> = Vec::new();
        row.extend(Activities::boxed(self.activity, self.max_inactivity));
        row.extend(Timesync::boxed(self.timesync));
        row.extend(Timestamps::boxed(self.timestamp));
        row.extend(more);
        row.into()
    }
}
