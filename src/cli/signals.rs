//! What the operating system tells the server: to stop, and what it does not do yet.

use std::fmt;
use std::io;

use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;

use super::manager;
use crate::run::Stop;

/// A signal that stops the server; its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// ^C.
    Interrupt = 2,
    /// What service managers send.
    Terminate = 15,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// The signals that the server listens to from now on.
pub(super) struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
    hangup: unix::Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Has the configuration read anew at each SIGHUP, and the server stop at the first other signal; returns the second.
    pub(super) async fn second(
        &mut self,
        stop: oneshot::Sender<Stop>,
        reload: impl AsyncFn(),
    ) -> Signal {
        let first = self.next(&reload).await;
        let how = match first {
            Signal::Interrupt => Stop::AtOnce,
            Signal::Terminate => Stop::Gently,
        };
        tracing::info!("{first}: stopping; send it again to stop at once");
        manager::stopping();
        // Who has stopped by itself needs not be told.
        let _ = stop.send(how);
        self.next(&async || tracing::warn!("SIGHUP: the server is stopping"))
            .await
    }

    async fn next(&mut self, reload: &impl AsyncFn()) -> Signal {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Signal::Interrupt,
                _ = self.terminate.recv() => return Signal::Terminate,
                _ = self.hangup.recv() => reload().await,
            }
        }
    }
}
