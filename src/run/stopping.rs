//! The end of a run: connections close, and hooks hear the last that they are told.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::listener::Listener;
use crate::server::BayeuxServer;

/// How long connections that are cut have, to give back what they have not written.
const LAST_MOMENT: Duration = Duration::from_secs(1);

/// A server that stops.
pub(super) struct Stopping<'r> {
    pub(super) server: &'r BayeuxServer,
    pub(super) listeners: &'r [Arc<Listener>],
    /// When its patience ends (`http.shutdown_timeout`).
    pub(super) end: Instant,
}

impl Stopping<'_> {
    /// Waits until none is accepted and all connections are closed, and then cuts those that are not.
    pub(super) async fn close(&self, mut accepting: JoinSet<()>) {
        // They have been told, and wait for nothing.
        while accepting.join_next().await.is_some() {}
        if timeout_at(self.end, self.closed()).await.is_ok() {
            return;
        }
        let left = self.server.metrics().connections.value();
        tracing::warn!(left, "connections were cut (http.shutdown_timeout)");
        if self.server.has_durable_sessions() {
            self.server.cut();
            // Those that have nothing to give back may not notice.
            let _ = timeout(LAST_MOMENT, self.closed()).await;
        }
    }

    async fn closed(&self) {
        for listener in self.listeners {
            listener.closed().await;
        }
    }

    /// Waits until hooks have heard all.
    pub(super) async fn tell(&self, delivering: &mut JoinSet<()>) {
        if timeout_at(self.end, delivering.join_next()).await.is_err() {
            let left = self.server.metrics().hooks.queued.value();
            tracing::warn!(
                left,
                "events did not reach their hooks (http.shutdown_timeout)"
            );
        }
    }
}
