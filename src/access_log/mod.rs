//! The access log: a line for each request, once it is over. Off unless it is configured; who is served never waits for it.

mod line;
pub mod settings;
mod target;
mod writer;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime};

use crate::metrics::{Limit, Metrics};
use crate::peer::Peer;
use crate::web::{Head, Witness};
use line::Line;
use settings::Format;
pub use settings::Settings;
use writer::Writer;

/// Where lines go, and what they look like.
#[derive(Debug)]
pub struct AccessLog {
    writer: Writer,
    format: Format,
    metrics: Arc<Metrics>,
}

/// The access log cannot be written where it is configured.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.access: {path} cannot be written; name a file in a folder that the server may write to"
)]
pub struct NotWritable {
    path: String,
    #[source]
    source: io::Error,
}

impl AccessLog {
    /// Opens the log; nothing if there is to be none.
    ///
    /// # Errors
    /// Its file cannot be opened.
    pub fn open(settings: &Settings, metrics: &Arc<Metrics>) -> Result<Option<Self>, NotWritable> {
        let opened = target::Open::new(&settings.access).map_err(|source| NotWritable {
            path: settings.access.to_string(),
            source,
        })?;
        Ok(opened.map(|opened| Self {
            writer: Writer::start(opened, settings.access_max_waiting, Arc::clone(metrics)),
            format: settings.access_format,
            metrics: Arc::clone(metrics),
        }))
    }

    /// Opens its file anew with the next line, which may have been moved away.
    pub fn reopen(&self) {
        self.writer.reopen();
    }

    /// Writes what waits, and nothing any more.
    pub fn close(&self) {
        self.writer.close();
    }

    /// Begins to watch a request: its line is written once the watcher is gone. `head` is missing of what cannot be
    /// read.
    #[must_use]
    pub fn watch(
        self: &Arc<Self>,
        head: Option<&Head>,
        peer: Peer,
        purpose: &'static str,
    ) -> Box<dyn Witness> {
        Box::new(Watched {
            log: Arc::clone(self),
            line: Line::new(head, peer, purpose, SystemTime::now()),
            begun: Instant::now(),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
        })
    }
}

/// A request that goes on.
struct Watched {
    log: Arc<AccessLog>,
    line: Line,
    begun: Instant,
    status: AtomicU16,
    sent: AtomicU64,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Witness for Watched {
    fn responds(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    fn sends(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let (status, sent) = (*self.status.get_mut(), *self.sent.get_mut());
        let text = self.line.finish(status, sent, self.begun.elapsed());
        if !self.log.writer.write(text.encode(self.log.format)) {
            self.log.metrics.limited(Limit::AccessMaxWaiting);
        }
    }
}
