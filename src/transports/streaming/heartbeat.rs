//! When a stream has been silent for so long that something is to be written that means nothing.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::transports::runtime::now;

/// When something was written last, and how long silence may last.
#[derive(Debug)]
pub struct Heartbeat {
    /// Zero is for ever.
    interval: Duration,
    wrote: Instant,
}

impl Heartbeat {
    /// Begins with what was written now.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            wrote: now(),
        }
    }

    /// Notes that something was written.
    pub fn wrote(&mut self) {
        self.wrote = now();
    }

    /// Returns when something is to be written, if ever.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        (!self.interval.is_zero()).then(|| self.wrote + self.interval)
    }

    /// Tells whether that time has come; if not, the task is woken then.
    pub fn is_due(&self, mut sleep: Pin<&mut Sleep>, context: &mut Context<'_>) -> bool {
        let Some(due) = self.due() else { return false };
        if sleep.deadline() != due.into() {
            sleep.as_mut().reset(due.into());
        }
        sleep.poll(context).is_ready()
    }
}
