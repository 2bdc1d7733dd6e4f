//! What is done now and then, or between what is asked for: trims, rounds, and what makes appends safe.

use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Transaction, TransactionBehavior};

use super::Writer;
use crate::history::Sync;
use crate::history::sqlite::index::Number;
use crate::history::sqlite::keeping;
use crate::history::sqlite::round::{MANY, Round};
use crate::history::sqlite::schema::{self, Error, int};

/// After so long what changed gets into order, however little it is.
const LONG: Duration = Duration::from_secs(10);
/// Channels whose retention is asked for again in one go.
const ASKED: Number = 4096;
/// Pages that are given back to the file system in one go.
const GIVEN_BACK: u64 = 1024;

impl Writer {
    pub(super) fn trim(&mut self, now: SystemTime) -> Result<(), Error> {
        self.check_files()?;
        if !self.is_well {
            schema::set_mark(&self.connection, "head", int(self.shared.index().head))?;
            self.calm_down();
        }
        self.ask_again();
        self.let_go_of_channels()?;
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

    /// Lets go of channels that have no history any more, among those that were asked for.
    fn let_go_of_channels(&mut self) -> Result<(), Error> {
        let numbers = keeping::without_history(&self.shared.index(), self.asked_for());
        if numbers.is_empty() {
            return Ok(());
        }
        keeping::let_go(&mut self.shared.index_mut(), &numbers, self.next);
        self.next += 1;
        let transaction = self.begin()?;
        keeping::write_all(&transaction, &self.shared.index(), &numbers)?;
        transaction.commit()?;
        self.note_written(&numbers);
        Ok(())
    }

    fn asked_for(&self) -> std::ops::Range<Number> {
        self.asked..self.asked.saturating_add(ASKED)
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

    pub(super) fn begin_round(&mut self) {
        if self.round.is_none() {
            self.round = Some(Round::new(&mut self.shared.index_mut()));
            self.last_round = Instant::now();
        }
    }

    pub(super) fn has_work(&self) -> bool {
        self.round.is_some() || self.aging.is_some()
    }

    /// Does a slice of what is to be done without anybody asking.
    pub(super) fn keep_in_order(&mut self) -> Result<(), Error> {
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

    pub(super) fn go_round(&mut self) -> Result<(), Error> {
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
    pub(super) fn until_sync(&self) -> Option<Duration> {
        let is_due = self.shared.sync == Sync::Interval && self.is_unsynced;
        is_due.then(|| {
            self.shared
                .sync_interval
                .saturating_sub(self.last_sync.elapsed())
        })
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
}
