//! What the operating system tells the server: to stop, and what it does not do yet.

use std::fmt;
use std::io;

use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::oneshot;

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

    /// Has the server stop at the first signal, and returns the second.
    pub(super) async fn second(&mut self, stop: oneshot::Sender<()>) -> Signal {
        let first = self.next().await;
        tracing::info!("{first}: stopping; send it again to stop at once");
        // Who has stopped by itself needs not be told.
        let _ = stop.send(());
        self.next().await
    }

    async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return Signal::Interrupt,
                _ = self.terminate.recv() => return Signal::Terminate,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: the configuration is not read again; restart the server for that");
                }
            }
        }
    }
}
