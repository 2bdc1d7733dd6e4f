//! What a connection that goes on as a stream needs from its listener.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::web::Patience;

/// What a connection that goes on has to know of its server.
#[derive(Debug)]
pub struct Link {
    /// Turns true when the server stops.
    pub stopping: watch::Receiver<bool>,
    /// What connections wait for, and how long.
    pub times: Times,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// How long a connection that goes on waits.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How slowly a client may read what is written.
    pub patience: Patience,
    /// How long a message may take to arrive once it has begun.
    pub message_timeout: Duration,
    /// How long the connection is kept without a session.
    pub idle_timeout: Duration,
}
