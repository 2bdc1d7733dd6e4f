//! When messages are due at an even rate, whatever has become of those before.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;

/// The moments at which messages are due.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    start: Instant,
    rate: f64,
}

impl Schedule {
    /// So many messages in a second, the first now.
    pub(crate) fn begin(rate: f64) -> Self {
        Self {
            start: Instant::now(),
            rate,
        }
    }

    /// When a message is due.
    pub(crate) fn at(self, number: usize) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    /// Wakes up when messages are due, so many of them.
    ///
    /// It is a thread, since the limit of a poll is in milliseconds.
    ///
    /// # Errors
    ///
    /// When no thread can be had.
    pub(crate) fn announce(self, messages: usize, waker: Arc<Waker>) -> io::Result<()> {
        let pace = move || {
            for number in 0..messages {
                thread::sleep(self.at(number).saturating_duration_since(Instant::now()));
                if waker.wake().is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("pacer".to_owned())
            .spawn(pace)?;
        Ok(())
    }
}
