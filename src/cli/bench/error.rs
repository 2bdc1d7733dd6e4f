//! Why a run did not end well.

use super::client::{Phase, Who};
use super::deliveries::Flaws;
use crate::client::Fault;

/// Why a run did not end well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server of `--url` has no address, or cannot be spoken to.
    #[error(transparent)]
    Server(Fault),
    /// An option was given that has no effect.
    #[error("{option} has no effect here: {reason}")]
    Misuse {
        /// The option.
        option: &'static str,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// Someone ended the run while it went on.
    #[error("interrupted")]
    Interrupted,
    /// More clients were asked for than this process may open sockets.
    #[error(
        "--clients {clients} needs {needed} file descriptors and this process may open {limit}: \
         raise the hard limit (ulimit -Hn) or ask for at most {} clients",
        possible
    )]
    Descriptors {
        /// The value of `--clients`.
        clients: usize,
        /// The descriptors that takes.
        needed: u64,
        /// The descriptors there are.
        limit: u64,
        /// The clients that there are enough for.
        possible: u64,
    },
    /// The limit of open files could not be read or set.
    #[error("cannot raise the limit of open files")]
    Limit(#[source] std::io::Error),
    /// A file below /proc could not be read or understood.
    #[error("cannot read {path} (is --pid the server's, and on this host?)")]
    Process {
        /// The file.
        path: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// One client could not go on.
    #[error("{who} failed while {phase}")]
    Client {
        /// Which client.
        who: Who,
        /// What it was doing.
        phase: Phase,
        /// What the server answered, or that it did not.
        source: Fault,
    },
    /// A client's task panicked.
    #[error("a simulated client panicked")]
    Task(#[from] tokio::task::JoinError),
    /// The run ended and its deliveries were not exactly once and in order.
    #[error("deliveries are not exactly once and in order: {0}")]
    Flawed(Flaws),
    /// The operating system gives no threads.
    #[error("cannot start")]
    Runtime(#[source] std::io::Error),
    /// The result could not be printed.
    #[error("cannot print the result")]
    Print(#[source] std::io::Error),
}
