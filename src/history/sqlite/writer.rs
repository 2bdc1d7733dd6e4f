//! The one that writes: a thread that takes what is asked of it in turn, and puts the tables in order between.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;
use tracing::{error, info};

use super::index::{Channel, Cut, Item, Number};
use super::recover::{self, Known, Opened};
use super::round::{MANY, Round};
use super::schema::{self, Error, int};
use super::{Shared, cut, keeping, rows};
use crate::bayeux::ChannelPattern;
use crate::history::{Entry, Failed, Place, Saved, Sync};
use crate::metrics::Limit;

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

/// After so long what changed gets into order, however little it is.
const LONG: Duration = Duration::from_secs(10);
/// Channels whose retention is asked for again in one go.
const ASKED: usize = 4096;
/// Pages that are given back to the file system in one go.
const GIVEN_BACK: u64 = 1024;
/// How long it takes to put things in order at the end, at most.
const LAST: Duration = Duration::from_secs(5);

/// What the thread has.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    connection: Connection,
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
    must_reopen: bool,
    /// Keeps other processes out.
    _lock: File,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connection: Connection,
        commands: Receiver<Command>,
        lock: File,
    ) -> Self {
        let next = shared.index().head + 1;
        let now = Instant::now();
        Self {
            shared,
            connection,
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
            must_reopen: false,
            _lock: lock,
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
                let _ = reply.send(self.attempt(|writer| writer.save(&batch)));
            }
            Command::Take(max, max_bytes, reply) => {
                let _ = reply.send(self.attempt(|writer| writer.take(max, max_bytes)));
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
        self.let_go()?;
        let known = Known {
            epoch: self.shared.epoch(),
            head: self.shared.index().head,
        };
        let Opened {
            connection,
            mut index,
            epoch,
        } = recover::open(&self.shared, Some(&known))?;
        self.connection = connection;
        // Numbers that were given to messages that could not be kept are not given again.
        self.next = self.next.max(index.head + 1);
        index.head = index.head.max(known.head);
        self.shared.replace(index, epoch);
        self.must_reopen = false;
        Ok(())
    }

    fn append(&mut self, batch: &[Entry]) -> Result<Vec<Place>, Error> {
        let size: u64 = batch.iter().map(|entry| entry.body.len() as u64).sum();
        self.make_room(size, batch.len())?;
        let numbers = self.numbers(batch)?;
        let first = self.next;
        self.next += batch.len() as u64;
        let shared = Arc::clone(&self.shared);
        let index = shared.index();
        let mut new: HashMap<Number, Vec<Item>> = HashMap::new();
        let mut places = Vec::with_capacity(batch.len());
        let transaction = self.begin()?;
        for (entry, (number, id)) in batch.iter().zip(numbers.into_iter().zip(first..)) {
            let items = new.entry(number).or_default();
            let known = index.get(number).map_or(0, |channel| channel.last);
            let before = items.last().map_or(known, |item| item.id);
            let place = Place { id, before };
            rows::insert(&transaction, number, place, entry)?;
            let size = entry.body.len() as u64;
            items.push(Item { id, size });
            places.push(place);
        }
        let mut cuts: Vec<(Number, Cut)> = Vec::new();
        for (number, items) in &new {
            if let Some(channel) = index.get(*number) {
                if !channel.is_written {
                    rows::file(&transaction, *number, channel, 0)?;
                }
                let cut = cut::excess(&transaction, *number, channel, items)?;
                cuts.extend(cut.map(|cut| (*number, cut)));
            }
        }
        transaction.commit()?;
        drop(index);
        let mut index = shared.index_mut();
        for (number, items) in &new {
            index.push(*number, items);
            if let Some(channel) = index.get_mut(*number) {
                channel.is_written = true;
            }
        }
        for (number, cut) in &cuts {
            index.cut(*number, cut);
        }
        index.head = self.next - 1;
        drop(index);
        self.is_unsynced = true;
        self.succeed();
        if let Err(error) = self.forget() {
            // What was to be appended is.
            self.fail(&error);
        }
        Ok(places)
    }

    fn begin(&self) -> Result<Transaction<'_>, Error> {
        let immediate = TransactionBehavior::Immediate;
        Ok(Transaction::new_unchecked(&self.connection, immediate)?)
    }

    /// Finds what stands for the channels of a batch, which may be new.
    fn numbers(&mut self, batch: &[Entry]) -> Result<Vec<Number>, Error> {
        let mut numbers = Vec::with_capacity(batch.len());
        for entry in batch {
            let known = self.shared.index().number(entry.channel.as_str());
            numbers.push(match known {
                Some(number) => number,
                None => {
                    let retention = self.shared.policy.of(&entry.channel);
                    let mut index = self.shared.index_mut();
                    let forgotten = index.forgotten;
                    let channel = Channel::new(entry.channel.clone(), retention, forgotten);
                    index.add(channel)
                }
            });
        }
        Ok(numbers)
    }

    /// Forgets channels if there are too many, and then some more so that it does not come to that with each
    /// new one.
    fn forget(&self) -> Result<(), Error> {
        let max = self.shared.max_channels;
        let above = self.shared.index().len().saturating_sub(max);
        if above == 0 {
            return Ok(());
        }
        self.shared.metrics.limited(Limit::MaxHistoryChannels);
        let numbers = keeping::least_used(&self.shared.index(), above + max / 128);
        let mut index = self.shared.index_mut();
        let mut forgotten = index.forgotten;
        for number in &numbers {
            if let Some(channel) = index.get(*number) {
                let all = Cut {
                    lost: channel.last,
                    messages: channel.messages,
                    bytes: channel.bytes,
                    first: 0,
                };
                forgotten = forgotten.max(channel.last);
                index.cut(*number, &all);
            }
        }
        drop(index);
        keeping::forget(&self.connection, &numbers, forgotten)?;
        let mut index = self.shared.index_mut();
        for number in &numbers {
            index.forget(*number);
        }
        Ok(())
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

    fn trim(&mut self, now: SystemTime) -> Result<(), Error> {
        if !self.is_well {
            schema::set_mark(&self.connection, "head", int(self.shared.index().head))?;
            self.succeed();
        }
        self.ask_again();
        let numbers = self.asked_for();
        let cuts = keeping::excess(&self.connection, &self.shared.index(), numbers)?;
        self.cut(&cuts);
        let next = self.asked_for().end;
        let is_last = next as usize >= self.shared.index().slots();
        self.asked = if is_last { 0 } else { next };
        self.forget()?;
        self.aging = Some(now);
        self.age()?;
        if self.last_round.elapsed() >= LONG || self.is_full {
            self.begin_round();
        }
        self.give_back()
    }

    /// Asks how much is to be kept of some channels: it may be configured anew.
    fn ask_again(&self) {
        let mut index = self.shared.index_mut();
        for number in self.asked_for() {
            if let Some(channel) = index.get_mut(number) {
                channel.retention = self.shared.policy.of(&channel.name);
            }
        }
    }

    fn asked_for(&self) -> std::ops::Range<Number> {
        self.asked..self.asked.saturating_add(ASKED as Number)
    }

    /// Lets go of what is too old, of some channels.
    fn age(&mut self) -> Result<(), Error> {
        if let Some(now) = self.aging {
            let (cuts, are_all) = keeping::aged(&self.connection, &self.shared.index(), now)?;
            self.cut(&cuts);
            if are_all {
                self.aging = None;
            }
        }
        Ok(())
    }

    fn begin_round(&mut self) {
        if self.round.is_none() {
            self.round = Some(Round::new(&mut self.shared.index_mut()));
            self.last_round = Instant::now();
        }
    }

    fn has_work(&self) -> bool {
        self.round.is_some() || self.aging.is_some()
    }

    /// Does a slice of what is to be done without anybody asking.
    fn keep_in_order(&mut self) -> Result<(), Error> {
        if self.until_sync() == Some(Duration::ZERO) {
            schema::checkpoint(&self.connection, "PASSIVE")?;
            self.last_sync = Instant::now();
            self.is_unsynced = false;
        }
        self.age()?;
        let many = {
            let index = self.shared.index();
            index.recent + index.garbage.len() >= MANY
        };
        if many {
            self.begin_round();
        }
        self.go_round()
    }

    fn go_round(&mut self) -> Result<(), Error> {
        let Some(round) = &mut self.round else {
            return Ok(());
        };
        if round.is_filing() {
            let immediate = TransactionBehavior::Immediate;
            let transaction = Transaction::new_unchecked(&self.connection, immediate)?;
            let filed = round.file(&transaction, &self.shared.index())?;
            transaction.commit()?;
            let mut index = self.shared.index_mut();
            for (number, count) in filed {
                index.note_written(number, count);
            }
        } else {
            round.go_on(&self.connection, &self.shared.index())?;
        }
        if let Some(round) = self.round.take_if(|round| round.is_over()) {
            self.is_full = round.finish(&mut self.shared.index_mut());
        }
        Ok(())
    }

    /// Returns how long it is to the next time that what was appended is made safe, if that is done in turns.
    fn until_sync(&self) -> Option<Duration> {
        let is_due = self.shared.sync == Sync::Interval && self.is_unsynced;
        is_due.then(|| {
            self.shared
                .sync_interval
                .saturating_sub(self.last_sync.elapsed())
        })
    }

    /// Makes room for a batch: what is beside the tables has to get into them, and the oldest messages to go.
    fn make_room(&mut self, size: u64, messages: usize) -> Result<(), Error> {
        let bounds = self.shared.bounds;
        if size > bounds.batch_bytes {
            return Err(Error::Full);
        }
        let directory = &self.shared.directory;
        if schema::log_size(directory) > bounds.log_bytes {
            schema::checkpoint(&self.connection, "TRUNCATE")?;
            if schema::log_size(directory) > bounds.log_bytes {
                // Somebody else has been reading for long.
                return Err(Error::Full);
            }
        }
        let need = bounds.pages_for(size, messages);
        loop {
            let (used, _) = schema::pages(&self.connection)?;
            if used + need <= bounds.pages {
                return Ok(());
            }
            if !self.drop_oldest()? {
                return Err(Error::Full);
            }
        }
    }

    /// Deletes the oldest messages of all; tells whether there were any.
    fn drop_oldest(&mut self) -> Result<bool, Error> {
        let (end, cuts) = {
            let bytes = self.shared.bounds.slice_bytes();
            keeping::oldest(&self.connection, &self.shared.index(), bytes)?
        };
        if end == 0 {
            return Ok(false);
        }
        self.shared.metrics.limited(Limit::MaxHistoryBytes);
        let numbers = self.cut(&cuts);
        keeping::delete(&self.connection, &self.shared.index(), end, &numbers)?;
        self.note_written(&numbers);
        Ok(true)
    }

    /// Gives pages that are not used back to the file system, if they are many.
    fn give_back(&self) -> Result<(), Error> {
        let (used, free) = schema::pages(&self.connection)?;
        let bounds = self.shared.bounds;
        let is_many = free > GIVEN_BACK && free > used / 3;
        if is_many || used + free > bounds.pages {
            let sql = format!("PRAGMA incremental_vacuum({GIVEN_BACK})");
            self.connection.execute_batch(&sql)?;
            schema::set_max_pages(&self.connection, bounds.pages)?;
        }
        Ok(())
    }

    fn save(&mut self, batch: &[Saved]) -> Result<(), Error> {
        let transaction = self.begin()?;
        for saved in batch {
            let sql = "INSERT INTO session (key, state) VALUES (?1, ?2)
                 ON CONFLICT DO UPDATE SET state = excluded.state";
            let mut statement = transaction.prepare_cached(sql)?;
            statement.execute((&saved.key, &saved.state[..]))?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn take(&mut self, max: usize, max_bytes: usize) -> Result<Vec<Saved>, Error> {
        let transaction = self.begin()?;
        let mut taken = Vec::new();
        {
            let sql = "SELECT key, state FROM session ORDER BY number LIMIT ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            let mut rows = statement.query([int(max as u64)])?;
            let mut left = max_bytes;
            while let Some(row) = rows.next()? {
                let saved = Saved {
                    key: row.get(0)?,
                    state: row.get::<_, Vec<u8>>(1)?.into(),
                };
                if saved.state.len() > left && !taken.is_empty() {
                    break;
                }
                left = left.saturating_sub(saved.state.len());
                taken.push(saved);
            }
            for saved in &taken {
                let sql = "DELETE FROM session WHERE key = ?1";
                transaction.prepare_cached(sql)?.execute([&saved.key])?;
            }
        }
        transaction.commit()?;
        Ok(taken)
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
