//! The messages of some channels in one order: those with places in the tables, and those that came lately.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rusqlite::Connection;

use super::index::{Channel, Number};
use super::schema::{Error, int};

/// Goes through the numbers of some channels' messages, forwards or back.
pub(super) struct Merge {
    /// Messages with larger numbers came later than what the index said.
    head: u64,
    /// Up to here all are known of: less than the head if a channel has more than is copied of it.
    pub(super) end: u64,
    is_back: bool,
    /// How many are wanted: no more are copied of a channel.
    max: usize,
    sources: Vec<Source>,
    /// The next of each source, once begun.
    next: Option<BinaryHeap<Reverse<(u64, usize)>>>,
}

/// One channel.
struct Source {
    number: Number,
    /// Wanted are those above.
    after: u64,
    /// Those that are not looked up in the tables.
    recent: VecDeque<u64>,
    /// Those that have been looked up.
    places: VecDeque<u64>,
    /// From where the next are looked up, unless there are no more.
    from: Option<u64>,
}

impl Merge {
    /// Makes one that goes forwards, to the head.
    pub(super) fn new(head: u64, max: usize) -> Self {
        Self {
            head,
            end: head,
            is_back: false,
            max,
            sources: Vec::new(),
            next: None,
        }
    }

    /// Makes one that goes from the head back.
    pub(super) fn back(head: u64, max: usize) -> Self {
        Self {
            is_back: true,
            ..Self::new(head, max)
        }
    }

    /// Adds a channel, as it is now in the index.
    pub(super) fn add(&mut self, number: Number, channel: &Channel, after: u64) {
        let after = after.max(channel.lost);
        if channel.newest().is_none_or(|newest| newest <= after) {
            return;
        }
        let start = channel.recent.partition_point(|item| item.id <= after);
        let recent = channel.recent.range(start..).map(|item| item.id);
        let max = self.max + 1;
        let recent: VecDeque<_> = if self.is_back {
            recent.rev().take(max).collect()
        } else {
            recent.take(max).collect()
        };
        if !self.is_back && recent.len() == max {
            self.end = recent.back().copied().unwrap_or(self.end).min(self.end);
        }
        let from = if self.is_back { self.head + 1 } else { after };
        self.sources.push(Source {
            number,
            after,
            recent,
            places: VecDeque::new(),
            from: Some(from),
        });
    }

    /// Returns the next message, and its channel.
    pub(super) fn next(&mut self, connection: &Connection) -> Result<Option<(u64, Number)>, Error> {
        if self.next.is_none() {
            let mut next = BinaryHeap::with_capacity(self.sources.len());
            for slot in 0..self.sources.len() {
                next.extend(self.pull(connection, slot)?);
            }
            self.next = Some(next);
        }
        let Some(Reverse((key, slot))) = self.next.as_mut().and_then(BinaryHeap::pop) else {
            return Ok(None);
        };
        let following = self.pull(connection, slot)?;
        if let Some(next) = &mut self.next {
            next.extend(following);
        }
        let id = if self.is_back { u64::MAX - key } else { key };
        Ok((id <= self.end).then_some((id, self.sources[slot].number)))
    }

    /// Takes the next of one source, with what puts it in order.
    fn pull(
        &mut self,
        connection: &Connection,
        slot: usize,
    ) -> Result<Option<Reverse<(u64, usize)>>, Error> {
        let chunk = 8 + 2 * self.max / self.sources.len();
        let is_back = self.is_back;
        let source = &mut self.sources[slot];
        if source.places.is_empty() {
            source.look_up(connection, self.head, is_back, chunk)?;
        }
        let id = source.pop(is_back);
        let key = |id| if is_back { u64::MAX - id } else { id };
        Ok(id.map(|id| Reverse((key(id), slot))))
    }
}

impl Source {
    /// Takes the next. A message may be in both, if it got its place in between.
    fn pop(&mut self, is_back: bool) -> Option<u64> {
        let is_recent = match (self.places.front(), self.recent.front()) {
            (Some(place), Some(recent)) => (recent < place) != is_back || recent == place,
            (place, _) => place.is_none(),
        };
        if !is_recent {
            return self.places.pop_front();
        }
        let id = self.recent.pop_front()?;
        if self.places.front() == Some(&id) {
            self.places.pop_front();
        }
        Some(id)
    }

    fn look_up(
        &mut self,
        connection: &Connection,
        head: u64,
        is_back: bool,
        chunk: usize,
    ) -> Result<(), Error> {
        let Some(from) = self.from else {
            return Ok(());
        };
        let (sql, low, high) = if is_back {
            let sql = "SELECT id FROM place WHERE channel = ?1 AND id > ?2 AND id <= ?3
                 ORDER BY id DESC LIMIT ?4";
            (sql, self.after, from - 1)
        } else {
            let sql = "SELECT id FROM place WHERE channel = ?1 AND id > ?2 AND id <= ?3
                 ORDER BY id LIMIT ?4";
            (sql, from, head)
        };
        let mut statement = connection.prepare_cached(sql)?;
        let range = (self.number, int(low), int(high), int(chunk as u64));
        let mut rows = statement.query(range)?;
        while let Some(row) = rows.next()? {
            self.places.push_back(row.get::<_, i64>(0)?.cast_unsigned());
        }
        let is_last = self.places.len() < chunk;
        self.from = self.places.back().copied().filter(|_| !is_last);
        Ok(())
    }
}
