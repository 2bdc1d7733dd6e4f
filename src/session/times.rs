//! The times of a session that are its own: those that an extension gave it, instead of those of all, and
//! its end.

use std::time::{Duration, Instant};

use super::Settings;

/// What is not set is as the settings say.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Times {
    pub(super) timeout: Option<Duration>,
    pub(super) interval: Option<Duration>,
    pub(super) max_interval: Option<Duration>,
    /// When it ends whatever its client does: who it is has to be shown again then.
    pub(super) ends: Option<Instant>,
}

impl Times {
    pub(super) fn are_own(&self) -> bool {
        self.timeout.is_some()
            || self.interval.is_some()
            || self.max_interval.is_some()
            || self.ends.is_some()
    }

    /// How long a connect is held when nothing happens.
    pub(super) fn timeout(&self, settings: &Settings) -> Duration {
        self.timeout.unwrap_or(settings.timeout)
    }

    /// How long its client is advised to wait between two connects.
    pub(super) fn interval(&self, settings: &Settings) -> Duration {
        self.interval.unwrap_or(settings.interval)
    }

    /// How long it lives without a connect.
    pub(super) fn max_interval(&self, settings: &Settings) -> Duration {
        self.max_interval.unwrap_or(settings.max_interval)
    }
}
