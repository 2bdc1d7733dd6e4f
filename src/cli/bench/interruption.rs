//! Someone who ends a run before its time, as with ^C; what was measured so far is told.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Error;

/// Whether a run is to end now.
#[derive(Debug, Clone)]
pub(super) struct Interruption {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Interruption {
    /// One that comes when it is asked for.
    fn default() -> Self {
        Self {
            sender: Arc::new(watch::Sender::new(false)),
        }
    }
}

impl Interruption {
    /// One that comes with SIGINT or SIGTERM.
    pub(super) fn of_signals() -> Result<Self, Error> {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
        let interruption = Self::default();
        let interrupted = interruption.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            interrupted.come();
        });
        Ok(interruption)
    }

    /// Ends the run.
    pub(super) fn come(&self) {
        self.sender.send_replace(true);
    }

    /// Waits until the run is to end.
    pub(super) async fn wait(&self) {
        // The sender lives as long as this.
        let _ = self.sender.subscribe().wait_for(|has_come| *has_come).await;
    }
}
