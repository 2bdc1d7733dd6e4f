//! The one that writes: a thread that takes what is asked of it in turn, and puts the tables in order between.

mod append;
mod order;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::{error, info};

use super::files::Identity;
use super::index::{Cut, Number};
use super::recover::{self, Known, Opened};
use super::round::Round;
use super::schema::{self, Error, int};
use super::{Shared, cut, files, keeping, saved};
use crate::bayeux::ChannelPattern;
use crate::history::{Entry, Failed, Place, Saved};

/// Where what was asked for is answered.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Failed>>;

/// What the writer does for others.
#[derive(Debug)]
pub(super) enum Command {
    Append(Vec<Entry>, Reply<Vec<Place>>),
    Remove(ChannelPattern, u64, Reply<u64>),
    Trim(SystemTime, Reply<()>),
    Save(Vec<Saved>, Reply<()>),
    Take(usize, usize, Reply<Vec<Saved>>),
    /// A reader found that the files, as they were opened for that time, are damaged.
    Damaged(u64, &'static str),
    Close(Option<oneshot::Sender<()>>),
}

/// How long it takes to put things in order at the end, at most.
const LAST: Duration = Duration::from_secs(5);

/// So long nothing may have failed until it is said to be well again, unless something is kept: a file system
/// without room takes small writes, and refuses others.
pub(super) const QUIET: Duration = if cfg!(test) {
    Duration::from_millis(200)
} else {
    Duration::from_secs(10)
};

/// What the thread has.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
    /// Which file that is.
    file: Option<Identity>,
    /// There has been another file at the path since it was opened.
    is_replaced: bool,
    commands: Receiver<Command>,
    /// The number that the next message gets.
    next: u64,
    round: Option<Round>,
    last_round: Instant,
    /// A round left something.
    is_full: bool,
    /// Some channels may have messages that are too old as of this time.
    aging: Option<SystemTime>,
    /// Whose retention is asked for next.
    asked: Number,
    last_sync: Instant,
    is_unsynced: bool,
    is_well: bool,
    /// When something failed.
    last_failure: Instant,
    must_reopen: bool,
    /// Keeps other processes out.
    lock: File,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        (connection, file): (Connection, Option<Identity>),
        commands: Receiver<Command>,
        lock: File,
    ) -> Self {
        let next = shared.index().head + 1;
        let now = Instant::now();
        Self {
            shared,
            connection,
            file,
            is_replaced: false,
            commands,
            next,
            round: None,
            last_round: now,
            is_full: false,
            aging: None,
            asked: 0,
            last_sync: now,
            is_unsynced: false,
            is_well: true,
            last_failure: now,
            must_reopen: false,
            lock,
        }
    }

    /// Works until the store is closed.
    pub(super) fn run(mut self) {
        loop {
            let command = match self.wait() {
                Ok(command) => command,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            };
            if let Some(command) = command
                && let Some(closed) = self.answer(command)
            {
                self.close();
                if let Some(closed) = closed {
                    let _ = closed.send(());
                }
                return;
            }
            let _ = self.attempt(Self::keep_in_order);
        }
    }

    /// Waits for something to do, unless there is something anyway.
    fn wait(&self) -> Result<Option<Command>, RecvTimeoutError> {
        if self.has_work() {
            return match self.commands.try_recv() {
                Ok(command) => Ok(Some(command)),
                Err(TryRecvError::Empty) => Ok(None),
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            };
        }
        match self.until_sync() {
            Some(timeout) => self.commands.recv_timeout(timeout).map(Some),
            None => {
                let command = self.commands.recv();
                command
                    .map(Some)
                    .map_err(|_| RecvTimeoutError::Disconnected)
            }
        }
    }

    /// Does what is asked for; returns who waits for the end, if that is it.
    fn answer(&mut self, command: Command) -> Option<Option<oneshot::Sender<()>>> {
        match command {
            Command::Append(batch, reply) => {
                let _ = reply.send(self.attempt(|writer| writer.append(&batch)));
            }
            Command::Remove(pattern, up_to, reply) => {
                let _ = reply.send(self.attempt(|writer| writer.remove(&pattern, up_to)));
            }
            Command::Trim(now, reply) => {
                let _ = reply.send(self.attempt(|writer| writer.trim(now)));
            }
            Command::Save(batch, reply) => {
                let save = |writer: &mut Self| saved::save(&writer.connection, &batch);
                let _ = reply.send(self.attempt(save));
            }
            Command::Take(max, max_bytes, reply) => {
                let take = |writer: &mut Self| saved::take(&writer.connection, max, max_bytes);
                let _ = reply.send(self.attempt(take));
            }
            Command::Damaged(generation, what) => {
                if generation == self.shared.generation() {
                    self.fail(&Error::Damaged(what));
                }
            }
            Command::Close(closed) => return Some(closed),
        }
        None
    }

    /// Tries something, with files that are opened again if something was wrong with them, and notes how it went.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Failed> {
        let ready = if self.must_reopen {
            self.reopen()
        } else {
            Ok(())
        };
        let result = ready.and_then(|()| work(self));
        result.map_err(|error| self.fail(&error))
    }

    /// Notes that something did not work.
    fn fail(&mut self, error: &Error) -> Failed {
        let failed = error.failed();
        if let Some(round) = self.round.take() {
            round.abandon(&mut self.shared.index_mut());
        }
        self.aging = None;
        if self.is_well {
            error!("history cannot be kept: {error}");
        }
        self.is_well = false;
        self.last_failure = Instant::now();
        self.shared.set_health(Err(failed.clone()));
        self.must_reopen |= failed != Failed::Full;
        if error.is_damage() {
            let begun = self.let_go().and_then(|()| {
                recover::move_aside(&self.shared.directory, error)?;
                self.reopen()
            });
            if let Err(error) = begun {
                error!("history cannot begin anew: {error}");
            }
        }
        failed
    }

    /// Notes that nothing has failed for a while.
    fn calm_down(&mut self) {
        if self.last_failure.elapsed() >= QUIET {
            self.succeed();
        }
    }

    /// Notes that messages can be kept.
    fn succeed(&mut self) {
        if !self.is_well {
            info!("history is kept again");
            self.is_well = true;
            self.shared.set_health(Ok(()));
        }
    }

    /// Closes the files.
    fn let_go(&mut self) -> Result<(), Error> {
        self.connection = Connection::open_in_memory()?;
        self.must_reopen = true;
        Ok(())
    }

    /// Opens the files again and takes up what they say.
    fn reopen(&mut self) -> Result<(), Error> {
        // As long as it is open no other can have its identity.
        self.is_replaced |= self.file != files::at(&schema::file(&self.shared.directory));
        self.let_go()?;
        if !recover::is_locked(&self.shared.directory, &self.lock) {
            let lock = recover::lock(&self.shared.directory);
            self.lock = lock.map_err(io::Error::other)?;
        }
        let known = Known {
            is_replaced: self.is_replaced,
            epoch: self.shared.epoch(),
            head: self.shared.index().head,
        };
        let Opened {
            connection,
            mut index,
            epoch,
            file,
        } = recover::open(&self.shared, Some(&known))?;
        self.connection = connection;
        self.file = file;
        self.is_replaced = false;
        // Numbers that were given to messages that could not be kept are not given again.
        self.next = self.next.max(index.head + 1);
        index.head = index.head.max(known.head);
        self.shared.replace(index, epoch);
        self.must_reopen = false;
        Ok(())
    }

    /// Checks that what is written is what somebody who opens the files would find.
    fn check_files(&self) -> Result<(), Error> {
        let directory = &self.shared.directory;
        let is_same = self.file == files::at(&schema::file(directory))
            && recover::is_locked(directory, &self.lock);
        if is_same { Ok(()) } else { Err(Error::Gone) }
    }

    fn begin(&self) -> Result<Transaction<'_>, Error> {
        let immediate = TransactionBehavior::Immediate;
        Ok(Transaction::new_unchecked(&self.connection, immediate)?)
    }

    fn remove(&mut self, pattern: &ChannelPattern, up_to: u64) -> Result<u64, Error> {
        let mut cuts = Vec::new();
        {
            let index = self.shared.index();
            for (number, channel) in index.matching(pattern) {
                let cut = cut::up_to(&self.connection, number, channel, up_to)?;
                cuts.extend(cut.map(|cut| (number, cut)));
            }
        }
        let count = cuts.iter().map(|(_, cut)| cut.messages).sum();
        if cuts.is_empty() {
            return Ok(count);
        }
        let numbers = self.cut(&cuts);
        let transaction = self.begin()?;
        keeping::write_all(&transaction, &self.shared.index(), &numbers)?;
        transaction.commit()?;
        self.note_written(&numbers);
        Ok(count)
    }

    /// Lets go of messages, as far as those who read are concerned.
    fn cut(&self, cuts: &[(Number, Cut)]) -> Vec<Number> {
        let mut index = self.shared.index_mut();
        for (number, cut) in cuts {
            index.cut(*number, cut);
        }
        cuts.iter().map(|(number, _)| *number).collect()
    }

    fn note_written(&self, numbers: &[Number]) {
        let mut index = self.shared.index_mut();
        for number in numbers {
            index.note_written(*number, 0);
        }
    }

    /// Puts everything in order, so that the next start has nothing to do, and notes that.
    fn close(mut self) {
        let end = Instant::now() + LAST;
        let _ = self.attempt(|writer| {
            while writer.round.is_some() && Instant::now() < end {
                writer.go_round()?;
            }
            writer.begin_round();
            while writer.round.is_some() && Instant::now() < end {
                writer.go_round()?;
            }
            writer
                .connection
                .pragma_update(None, "synchronous", "FULL")?;
            let transaction = writer.begin()?;
            schema::set_mark(&transaction, "head", int(writer.next - 1))?;
            schema::set_mark(&transaction, "clean", true)?;
            transaction.commit()?;
            schema::checkpoint(&writer.connection, "TRUNCATE")
        });
    }
}
