//! What an operator sets about the HTTP API: its bounds, and those of logins to the page that uses it.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The bounds in the `[api]` section.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Messages in one request; above it: 413.
    pub max_messages: usize,
    /// How long a request or a message that comes again gets the first receipt.
    #[serde(with = "humantime_serde")]
    pub idempotency_window: Duration,
    /// How many receipts are kept for that; above it the oldest is forgotten.
    pub max_idempotency_keys: usize,
    /// How many may watch figures, channels or sessions at once; above it: 503.
    pub max_watchers: usize,
    /// How many bytes may wait for one who watches; above it the oldest messages are dropped, and that is told.
    pub max_watched_bytes: ByteSize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_messages: 1000,
            idempotency_window: Duration::from_secs(600),
            max_idempotency_keys: 100_000,
            max_watchers: 32,
            max_watched_bytes: ByteSize::mib(1),
        }
    }
}

/// The bounds of logins in the `[admin]` section.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct LoginSettings {
    /// How long a login counts.
    #[serde(with = "humantime_serde")]
    pub login_lifetime: Duration,
    /// How many count at once; above it the oldest ends.
    pub max_logins: usize,
}

impl Default for LoginSettings {
    fn default() -> Self {
        Self {
            login_lifetime: Duration::from_secs(12 * 3600),
            max_logins: 100,
        }
    }
}
