//! What an operator sets about extensions, and the row they make.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::activity::{Activities, Activity};
use super::timestamp::{Timestamp, Timestamps};
use super::timesync::Timesync;
use super::{Extension, Pipeline};

/// The bounds of what messages and replies wait for.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(default)]
pub struct WaitBounds {
    /// How long one waits at most before it is processed, and before its reply leaves; after it the
    /// message fails.
    #[serde(with = "humantime_serde")]
    pub max_wait: Duration,
    /// How many batches may wait at once on this server; above it what would wait fails.
    pub max_waiting: usize,
}

impl Default for WaitBounds {
    fn default() -> Self {
        Self {
            max_wait: Duration::from_secs(5),
            max_waiting: 10_000,
        }
    }
}

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
    /// The bounds of what messages and replies wait for, if an extension lets them.
    #[serde(flatten)]
    pub waits: WaitBounds,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ack: true,
            timesync: true,
            timestamp: Timestamp::Off,
            activity: Activity::Off,
            max_inactivity: Duration::from_secs(600),
            waits: WaitBounds::default(),
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
