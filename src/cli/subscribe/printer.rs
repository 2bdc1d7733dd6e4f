//! Standard output on a thread of its own: who reads slowly, or not at all, keeps nobody from being interrupted.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::mpsc;

use tokio::io::Interest;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

type Order = (String, oneshot::Sender<io::Result<()>>);

/// What writes to standard output.
#[derive(Debug)]
pub(super) struct Printer {
    orders: mpsc::Sender<Order>,
}

impl Printer {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let (orders, taken) = mpsc::channel::<Order>();
        let work = move || {
            for (text, done) in taken {
                let mut out = io::stdout().lock();
                let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
                let _ = done.send(written);
            }
        };
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(work)?;
        Ok(Self { orders })
    }

    /// Writes a text, and waits until it is written; no other is on its way then.
    pub(super) async fn print(&self, text: String) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let (done, written) = oneshot::channel();
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.orders.send((text, done)).map_err(|_| gone(()))?;
        written.await.map_err(|_| gone(()))?
    }
}

/// Waits until standard output is a pipe that nobody can read any more.
pub(super) async fn unread() {
    if watch().await.is_err() {
        // A file, which cannot be waited for, is never closed.
        std::future::pending().await
    }
}

async fn watch() -> io::Result<()> {
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    // Nothing is written by this, so the pipe may block as others expect.
    let out = pipe::Sender::from_owned_fd_unchecked(out)?;
    out.ready(Interest::ERROR).await.map(drop)
}
