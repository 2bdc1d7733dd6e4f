//! Says on standard error how far a run has come.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

/// How often a terminal's line is rewritten, and how often a log gets a new line.
const ON_TERMINAL: Duration = Duration::from_millis(200);
const IN_LOG: Duration = Duration::from_secs(2);

/// Who is told how far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// Someone who watches a terminal, whose line is rewritten.
    Terminal,
    /// A log that was asked for.
    Log,
    /// Nobody.
    Nobody,
}

impl Audience {
    /// Who reads standard error.
    pub(super) fn of_stderr(wants_log: bool) -> Self {
        match (stderr().is_terminal(), wants_log) {
            (true, _) => Self::Terminal,
            (false, true) => Self::Log,
            (false, false) => Self::Nobody,
        }
    }
}

/// A running progress line; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Progress {
    task: Option<JoinHandle<()>>,
    is_terminal: bool,
}

impl Progress {
    /// Shows `count()` of `total` until dropped.
    pub(super) fn start(
        audience: Audience,
        label: &'static str,
        total: u64,
        count: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        let (period, start, end) = match audience {
            Audience::Terminal => (ON_TERMINAL, "\r", "\x1b[K"),
            Audience::Log => (IN_LOG, "", "\n"),
            Audience::Nobody => {
                return Self {
                    task: None,
                    is_terminal: false,
                };
            }
        };
        let began = Instant::now();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(period).await;
                let line = line(label, count(), total, began.elapsed());
                // A progress line that cannot be written is no reason to stop measuring.
                let _ = write!(stderr(), "{start}{line}{end}");
            }
        });
        Self {
            task: Some(task),
            is_terminal: audience == Audience::Terminal,
        }
    }
}

fn line(label: &str, count: u64, total: u64, elapsed: Duration) -> String {
    let percent = u128::from(count) * 100 / u128::from(total.max(1));
    let seconds = elapsed.as_secs_f64();
    format!("{label}: {count} of {total} ({percent} %) after {seconds:.1} s")
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_long() {
        let elapsed = Duration::from_millis(2340);
        let expected = "deliveries: 50 of 200 (25 %) after 2.3 s";
        assert_eq!(line("deliveries", 50, 200, elapsed), expected);
        assert!(line("deliveries", 0, 0, elapsed).contains("(0 %)"));
    }
}
