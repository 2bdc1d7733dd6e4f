//! The thread that writes lines, and the bounded queue in front of it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::target::Open;
use crate::metrics::{Metrics, Notice};

/// As many bytes are written at once at most, and one line more.
const AT_ONCE: usize = 64 * 1024;

/// Writes lines in the order in which they come.
#[derive(Debug)]
pub(super) struct Writer {
    /// A line; nothing after the last.
    queue: SyncSender<Option<String>>,
    reopens: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. As many lines may wait for it.
    pub(super) fn start(target: Open, max_waiting: usize, metrics: Arc<Metrics>) -> Self {
        let (queue, lines) = sync_channel(max_waiting.max(1));
        let reopens = Arc::<AtomicBool>::default();
        let writing = Writing {
            lines,
            target,
            reopens: Arc::clone(&reopens),
            metrics,
        };
        let thread = thread::Builder::new().name("access-log".to_owned());
        // Without a thread the queue has no other end, and each line counts as left out.
        let thread = thread.spawn(|| writing.run()).ok();
        Self {
            queue,
            reopens,
            thread: Mutex::new(thread),
        }
    }

    /// Adds a line; false if too many wait.
    pub(super) fn write(&self, line: String) -> bool {
        self.queue.try_send(Some(line)).is_ok()
    }

    pub(super) fn reopen(&self) {
        self.reopens.store(true, Relaxed);
    }

    /// Waits until all that was added is written.
    pub(super) fn close(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // An error says that the thread is gone.
            let _ = self.queue.send(None);
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Writing {
    lines: Receiver<Option<String>>,
    target: Open,
    reopens: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
}

impl Writing {
    fn run(mut self) {
        while let Ok(Some(first)) = self.lines.recv() {
            let (lines, is_last) = self.with_more(first);
            if self.reopens.swap(false, Relaxed) {
                let reopened = self.target.reopen();
                self.note(reopened);
            }
            let written = self.target.write(lines.as_bytes());
            self.note(written);
            if is_last {
                return;
            }
        }
    }

    /// Adds what else waits, as far as it is written at once; tells whether nothing comes after it.
    fn with_more(&self, first: String) -> (String, bool) {
        let mut lines = first;
        while lines.len() < AT_ONCE
            && let Ok(next) = self.lines.try_recv()
        {
            let Some(line) = next else {
                return (lines, true);
            };
            lines.push_str(&line);
        }
        (lines, false)
    }

    fn note(&self, result: io::Result<()>) {
        if let Err(error) = result
            && let Some(permit) = self.metrics.may_log(Notice::AccessLog)
        {
            tracing::error!(
                %error,
                suppressed = permit.suppressed,
                "the access log cannot be written: see that the file of log.access may be, and its disk has room"
            );
        }
    }
}
