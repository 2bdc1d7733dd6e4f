//! Sends the log to standard error; knows nothing of what is logged.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use crate::config::{Log, LogFormat};

/// What is logged, to be changed while it is.
#[derive(Debug, Clone)]
pub(super) struct Level(Handle<EnvFilter, Registry>);

impl Level {
    /// Logs by other directives from now on.
    ///
    /// # Errors
    /// They are none.
    pub(super) fn set(&self, log: &Log) -> Result<(), ParseError> {
        let filter = EnvFilter::builder().parse(&log.level)?;
        // Whoever has started a log in this process before keeps it.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Starts logging; the flag and its variable have been laid over `log` before.
pub(super) fn start(log: &Log) -> Result<Level, ParseError> {
    let filter = EnvFilter::builder().parse(&log.level)?;
    let (filter, handle) = reload::Layer::new(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let log_by = tracing_subscriber::registry().with(filter);
    let started = match log.format {
        LogFormat::Text => log_by.with(lines).try_init(),
        LogFormat::Json => log_by.with(lines.json()).try_init(),
    };
    // Whoever has started a log in this process before keeps it.
    drop(started);
    Ok(Level(handle))
}
