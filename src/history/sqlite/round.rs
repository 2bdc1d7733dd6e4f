//! How the tables are put in order, a slice at a time between appends.
//!
//! A message is written once, at the end of one table; its place among those of its channel is written much
//! later, in a round with tens of thousands of others. In the order of channels these are few pages, where
//! each alone would be a page of its own. What is gone leaves the tables likewise, in the order of numbers.

use rusqlite::Connection;

use super::index::{Index, Number};
use super::rows;
use super::schema::{self, Error, int};

/// With so many messages that have no place, or are to be deleted, a round begins.
pub(super) const MANY: usize = if cfg!(test) { 64 } else { 32 * 1024 };
/// Rows of a slice: some milliseconds.
pub(super) const SLICE: usize = if cfg!(test) { 20 } else { 512 };
/// Messages that are looked up to be deleted, at most, in a round.
const MAX_GARBAGE: usize = if cfg!(test) { 100 } else { 64 * 1024 };

/// One time through all channels.
#[derive(Debug)]
pub(super) struct Round {
    /// The last number when it began.
    head: u64,
    /// Channels whose messages are to get places.
    behind: Vec<Number>,
    step: Step,
    /// Messages to delete, the last first.
    garbage: Vec<u64>,
    /// Places to delete: of a channel, up to a number.
    places: Vec<(Number, u64)>,
    /// How many of them are.
    places_done: usize,
    /// There was more to delete.
    is_full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    File,
    Find,
    Delete,
    Clear,
    Count,
    End,
}

impl Round {
    /// Begins one.
    pub(super) fn new(index: &mut Index) -> Self {
        let behind = index.iter().filter(|(_, channel)| channel.is_behind());
        Self {
            head: index.head,
            behind: behind.map(|(number, _)| number).collect(),
            step: Step::File,
            garbage: std::mem::take(&mut index.garbage),
            places: Vec::new(),
            places_done: 0,
            is_full: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.step == Step::End
    }

    /// Gives back what it has not deleted.
    pub(super) fn abandon(self, index: &mut Index) {
        index.garbage.extend(self.garbage);
    }

    /// Writes the next places; returns of which channels and how many, for the index to note once that is
    /// committed.
    pub(super) fn file(
        &mut self,
        connection: &Connection,
        index: &Index,
    ) -> Result<Vec<(Number, usize)>, Error> {
        let mut left = SLICE;
        let mut filed = Vec::new();
        while left > 0
            && let Some(number) = self.behind.pop()
        {
            let Some(channel) = index.get(number) else {
                continue;
            };
            let count = channel.recent.len().min(left);
            rows::file(connection, number, channel, count)?;
            filed.push((number, count));
            if count < channel.recent.len() {
                self.behind.push(number);
            }
            left = left.saturating_sub(count + 1);
        }
        if self.behind.is_empty() {
            self.step = Step::Find;
        }
        Ok(filed)
    }

    /// Does the next slice of the rest; `index` is as it was when the last places were written, or later.
    pub(super) fn go_on(&mut self, connection: &Connection, index: &Index) -> Result<(), Error> {
        match self.step {
            Step::File | Step::End => {}
            Step::Find => self.find(connection, index)?,
            Step::Delete => self.delete(connection)?,
            Step::Clear => self.clear(connection)?,
            Step::Count => self.count(connection, index)?,
        }
        Ok(())
    }

    pub(super) fn is_filing(&self) -> bool {
        self.step == Step::File
    }

    /// Notes which places were deleted, once it is over; tells whether there was more.
    pub(super) fn finish(self, index: &mut Index) -> bool {
        for (number, up_to) in self.places {
            if let Some(channel) = index.get_mut(number) {
                channel.cleared = channel.cleared.max(up_to);
            }
        }
        self.is_full
    }

    /// Looks up what is gone and still has a place.
    fn find(&mut self, connection: &Connection, index: &Index) -> Result<(), Error> {
        let sql = "SELECT id FROM place WHERE channel = ?1 AND id <= ?2 ORDER BY id LIMIT ?3";
        let mut statement = connection.prepare_cached(sql)?;
        for (number, channel) in index.iter() {
            // What the table of channels does not say yet would be missing without a word after a crash.
            let end = channel.written_lost;
            if channel.cleared >= end {
                continue;
            }
            let left = MAX_GARBAGE.saturating_sub(self.garbage.len());
            if left == 0 {
                self.is_full = true;
                break;
            }
            let mut rows = statement.query((number, int(end), int(left as u64)))?;
            let mut count = 0;
            while let Some(row) = rows.next()? {
                let id = row.get::<_, i64>(0)?.cast_unsigned();
                self.garbage.push(id);
                count += 1;
                if count % SLICE == 0 {
                    self.places.push((number, id));
                }
            }
            if count < left {
                self.places.push((number, end));
            }
        }
        self.garbage.sort_unstable_by(|one, other| other.cmp(one));
        self.garbage.dedup();
        self.step = Step::Delete;
        Ok(())
    }

    fn delete(&mut self, connection: &Connection) -> Result<(), Error> {
        let start = self.garbage.len().saturating_sub(SLICE);
        let transaction = connection.unchecked_transaction()?;
        {
            let sql = "DELETE FROM message WHERE id = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            for id in self.garbage[start..].iter().rev() {
                statement.execute([int(*id)])?;
            }
        }
        transaction.commit()?;
        self.garbage.truncate(start);
        if self.garbage.is_empty() {
            self.step = Step::Clear;
        }
        Ok(())
    }

    fn clear(&mut self, connection: &Connection) -> Result<(), Error> {
        let transaction = connection.unchecked_transaction()?;
        let mut rows = 0;
        while rows < SLICE
            && let Some((number, up_to)) = self.places.get(self.places_done)
        {
            let sql = "DELETE FROM place WHERE channel = ?1 AND id <= ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            rows += 1 + statement.execute((number, int(*up_to)))?;
            let sql = "UPDATE channel SET cleared = ?2 WHERE number = ?1 AND cleared < ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            statement.execute((number, int(*up_to)))?;
            self.places_done += 1;
        }
        transaction.commit()?;
        if self.places_done == self.places.len() {
            self.step = Step::Count;
        }
        Ok(())
    }

    /// Notes up to where a start need not look.
    fn count(&mut self, connection: &Connection, index: &Index) -> Result<(), Error> {
        let garbage = index.garbage.iter().min();
        let counted = garbage.map_or(self.head, |id| self.head.min(id - 1));
        let transaction = connection.unchecked_transaction()?;
        schema::set_mark(&transaction, "counted", int(counted))?;
        schema::set_mark(&transaction, "head", int(index.head))?;
        transaction.commit()?;
        self.step = Step::End;
        Ok(())
    }
}
