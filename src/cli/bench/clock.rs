//! The clock of a run, which all its times are on.

use std::time::Instant;

/// The time since a run began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that begins now.
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Nanoseconds; never 0.
    pub(super) fn elapsed(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The same at a moment.
    pub(super) fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.start);
        u64::try_from(since.as_nanos()).map_or(u64::MAX, |nanos| nanos.max(1))
    }
}
