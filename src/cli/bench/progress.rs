//! Says on standard error how far a run has come.

use std::io::{IsTerminal, Write, stderr};
use std::time::Duration;

use tokio::task::JoinHandle;

/// How often a terminal's line is rewritten, and how often a log gets a new line.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const IN_LOG: Duration = Duration::from_secs(2);

/// A running progress line; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    task: JoinHandle<()>,
    is_terminal: bool,
}

impl Progress {
    /// Shows `count()` of `total` until dropped.
    pub(super) fn start(
        label: &'static str,
        total: u64,
        count: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        let is_terminal = stderr().is_terminal();
        let task = tokio::spawn(async move {
            let period = if is_terminal { ON_TERMINAL } else { IN_LOG };
            loop {
                tokio::time::sleep(period).await;
                let (start, end) = if is_terminal { ("\r", "") } else { ("", "\n") };
                // A progress line that cannot be written is no reason to stop measuring.
                let _ = write!(stderr(), "{start}{label}: {} of {total}{end}", count());
            }
        });
        Self { task, is_terminal }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
