//! The store in a directory: SQLite, whose files `sqlite3` reads.
//!
//! One thread writes (`writer`), a few read (`readers`). What is known of the channels is in memory (`index`);
//! messages are in the order of their numbers, and what finds those of a channel is written later, many at once
//! (`round`). How long anything is kept stands in `keeping`, how a store goes on after an end of any kind in
//! `recover`.

mod cut;
mod files;
mod index;
mod keeping;
mod merge;
mod readers;
mod reading;
mod recover;
mod round;
mod rows;
mod saved;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::{
    Entry, Epoch, Failed, Figures, Page, Place, Policy, Query, Saved, Settings, Store, Survey,
    Sync, Want,
};
use crate::bayeux::ChannelPattern;
use crate::metrics::Metrics;
use index::Index;
use readers::{Job, READERS, Reader};
use recover::Opened;
use writer::{Command, Reply, Writer};

/// Bytes of a page, in the tables and beside them.
const PAGE: u64 = 4096;
const LOGGED_PAGE: u64 = PAGE + 24;
/// A store has at least so many bytes.
const MIN_BYTES: u64 = 1024 * 1024;

/// How `max_bytes` is divided.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Pages of the tables, at most.
    pages: u64,
    /// With so many pages beside them, these are written into the tables.
    log_pages: u64,
    /// Above so many bytes nothing else is done before that.
    log_bytes: u64,
    /// Bytes of the bodies of one batch, at most.
    batch_bytes: u64,
}

impl Bounds {
    /// Divides so many bytes; 1 MiB at least.
    fn of(max_bytes: ByteSize) -> Self {
        let all = max_bytes.as_u64().max(MIN_BYTES);
        let log_bytes = (all / 16).min(32 << 20);
        let batch_bytes = (all / 8).min(64 << 20);
        // What is written beside the tables: all that may wait, and a batch; and 32 KiB for each 4096 pages of it.
        let beside = log_bytes + batch_bytes * 3 / 2 + 64 * 1024;
        Self {
            pages: (all - beside) / PAGE,
            log_pages: log_bytes / 2 / LOGGED_PAGE,
            log_bytes,
            batch_bytes,
        }
    }

    /// Returns how many pages have to be free before a batch is appended: for itself, and for what is written
    /// later because of it.
    fn pages_for(&self, size: u64, messages: usize) -> u64 {
        let rows = size + size / 4 + 64 * messages as u64;
        rows / PAGE + self.pages / 32 + 16
    }

    /// Returns how many bytes of the oldest messages go at once.
    fn slice_bytes(&self) -> u64 {
        self.pages * PAGE / 32
    }
}

/// Why a store cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("history.directory: {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The operating system, or what is there, does not allow it.
    #[error("history.directory: {}: {}", .0.display(), .1)]
    Io(PathBuf, io::Error),
}

/// What the threads share.
#[derive(Debug)]
struct Shared {
    directory: PathBuf,
    sync: Sync,
    /// How often what was appended is made safe, of [`Sync::Interval`].
    sync_interval: Duration,
    bounds: Bounds,
    max_channels: usize,
    policy: Policy,
    metrics: Arc<Metrics>,
    index: RwLock<Index>,
    epoch: RwLock<Epoch>,
    health: Mutex<Result<(), Failed>>,
    /// How often the files were opened.
    generation: AtomicU64,
}

/// Looks at the index.
fn peek(index: &RwLock<Index>) -> RwLockReadGuard<'_, Index> {
    index.read().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn note_closed(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        *health = Err(Failed::Io("the store of history is closed".into()));
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        peek(&self.index)
    }

    /// Locks the index to change it. Only the writer does.
    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn epoch(&self) -> Epoch {
        let epoch = self.epoch.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&epoch)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn set_health(&self, health: Result<(), Failed>) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// Goes on with files that were opened again.
    fn replace(&self, index: Index, epoch: Epoch) {
        *self.index_mut() = index;
        *self.epoch.write().unwrap_or_else(PoisonError::into_inner) = epoch;
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

/// A store whose messages are in a directory.
#[derive(Debug)]
pub struct SqliteStore {
    shared: Arc<Shared>,
    commands: Sender<Command>,
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl SqliteStore {
    /// Opens the store in a directory, or begins one, and keeps of each channel what the policy says. Of the
    /// settings it takes how it is kept, and the bounds. Files that are damaged are moved into its directory
    /// `damaged`, and it begins anew.
    ///
    /// # Errors
    /// Another process has it, or it cannot be read or written.
    pub fn open(
        directory: &Path,
        settings: &Settings,
        policy: Policy,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let failed = |error: io::Error| OpenError::Io(directory.to_owned(), error);
        let lock = recover::lock(directory)?;
        let shared = Shared {
            directory: directory.to_owned(),
            sync: settings.sync,
            sync_interval: settings.sync_interval,
            bounds: Bounds::of(settings.max_bytes),
            max_channels: settings.max_channels,
            policy,
            metrics,
            index: RwLock::default(),
            epoch: RwLock::new("".into()),
            health: Mutex::new(Ok(())),
            generation: AtomicU64::new(0),
        };
        let Opened {
            connection,
            index,
            epoch,
            file,
        } = recover::open(&shared, None)
            .map_err(|error| failed(io::Error::other(error.to_string())))?;
        shared.replace(index, epoch);
        let shared = Arc::new(shared);
        let (commands, receiver) = channel();
        let writer = Writer::new(Arc::clone(&shared), (connection, file), receiver, lock);
        let (jobs, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let start = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.to_owned());
            thread.spawn(run).map_err(failed)
        };
        let mut threads = Vec::with_capacity(1 + READERS);
        for _ in 0..READERS {
            let reader = Reader {
                shared: Arc::clone(&shared),
                jobs: Arc::clone(&receiver),
                writer: commands.clone(),
                connection: None,
            };
            threads.push(start("history-read", Box::new(|| reader.run()))?);
        }
        threads.push(start("history-write", Box::new(|| writer.run()))?);
        Ok(Self {
            shared,
            commands,
            jobs,
            threads,
        })
    }

    /// Has the writer do something.
    fn write<T: Send + 'static>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> BoxFuture<'_, Result<T, Failed>> {
        let (reply, answer) = oneshot::channel();
        // If that fails, the reply is dropped.
        let _ = self.commands.send(command(reply));
        Self::answer(answer)
    }

    /// Has a reader do something.
    fn look<T: Send + 'static>(
        &self,
        job: impl FnOnce(Reply<T>) -> Job,
    ) -> BoxFuture<'_, Result<T, Failed>> {
        let (reply, answer) = oneshot::channel();
        let _ = self.jobs.send(job(reply));
        Self::answer(answer)
    }

    fn answer<T: Send + 'static>(
        answer: oneshot::Receiver<Result<T, Failed>>,
    ) -> BoxFuture<'static, Result<T, Failed>> {
        let closed = || Err(Failed::Io("the store of history is closed".into()));
        answer
            .map(move |answer| answer.unwrap_or_else(|_| closed()))
            .boxed()
    }

    /// Lets the readers end, so that the writer is the last to close the files.
    fn end_readers(&self) {
        for _ in 0..READERS {
            let _ = self.jobs.send(Job::End);
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.end_readers();
        let _ = self.commands.send(Command::Close(None));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Store for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.shared.epoch()
    }

    fn append(&self, batch: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        self.write(|reply| Command::Append(batch, reply))
    }

    fn read(&self, query: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        self.look(|reply| Job::Read(query, reply))
    }

    fn survey(&self, want: Want, max: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        self.look(|reply| Job::Survey(want, max, reply))
    }

    fn remove(&self, pattern: ChannelPattern, up_to: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        self.write(|reply| Command::Remove(pattern, up_to, reply))
    }

    fn trim(&self, now: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        self.write(|reply| Command::Trim(now, reply))
    }

    fn figures(&self) -> Figures {
        Figures {
            bytes: schema::size(&self.shared.directory),
            ..self.shared.index().figures()
        }
    }

    fn health(&self) -> Result<(), Failed> {
        if self.threads.iter().any(JoinHandle::is_finished) {
            return Err(Failed::Io("the store of history is closed".into()));
        }
        let health = self.shared.health.lock();
        health.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn is_synced(&self) -> bool {
        self.shared.sync == Sync::Always
    }

    fn save_sessions(&self, batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        self.write(|reply| Command::Save(batch, reply))
    }

    fn take_sessions(
        &self,
        max_sessions: usize,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        self.write(|reply| Command::Take(max_sessions, max_bytes, reply))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let (reply, closed) = oneshot::channel();
        self.end_readers();
        let _ = self.commands.send(Command::Close(Some(reply)));
        let shared = Arc::clone(&self.shared);
        // Its thread may end a little later.
        closed.map(move |_| shared.note_closed()).boxed()
    }
}
