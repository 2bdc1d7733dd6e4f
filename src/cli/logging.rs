//! Sends the log to standard error; knows nothing of what is logged.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{Log, LogFormat};

/// Starts logging; the flag and its variable have been laid over `log` before.
pub(super) fn start(log: &Log) -> Result<(), ParseError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&log.level)?)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Whoever has started a log in this process before keeps it.
    drop(started);
    Ok(())
}
