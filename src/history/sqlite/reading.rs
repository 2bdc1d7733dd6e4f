//! Pages, and what there is to be read: of few channels by merging them, of many by walking all messages.
//!
//! What the index says is copied before the tables are looked at, and asked again afterwards what has gone
//! meanwhile. So whatever is missing in the tables by then is known to be gone.

use std::collections::HashMap;
use std::sync::RwLock;

use rusqlite::{Connection, OptionalExtension};

use super::index::{Channel, Index, Number};
use super::merge::Merge;
use super::schema::{Error, int};
use super::{peek, rows};
use crate::bayeux::ChannelName;
use crate::history::{Kept, Page, Query, Selection, Survey, Want};

/// Up to how many channels of each pattern are merged: above, all messages are walked.
const FEW: usize = if cfg!(test) { 3 } else { 64 };
/// Messages that a page may look at, wanted or not: some milliseconds.
const MAX_STEPS: usize = if cfg!(test) { 50 } else { 10_000 };

/// Reads a page.
pub(super) fn read(
    connection: &Connection,
    index: &RwLock<Index>,
    query: &Query,
) -> Result<Page, Error> {
    let transaction = connection.unchecked_transaction()?;
    let (head, plan) = {
        let index = peek(index);
        (index.head, Plan::new(&index, query))
    };
    let mut found = Found::new(query, head);
    match plan {
        Plan::Merge(mut merge) => {
            while let Some((id, number)) = merge.next(&transaction)? {
                if !found.take(&transaction, index, id, number)? {
                    break;
                }
            }
            found.is_end &= merge.end == head;
            found.head = merge.end;
        }
        Plan::Ids(ids) => {
            for (id, number) in ids {
                if !found.take(&transaction, index, id, number)? {
                    break;
                }
            }
        }
        Plan::Walk => found.walk(&transaction, index)?,
    }
    found.page(&peek(index))
}

/// How a page is read.
enum Plan {
    Merge(Merge),
    /// These messages.
    Ids(Vec<(u64, Number)>),
    Walk,
}

impl Plan {
    fn new(index: &Index, query: &Query) -> Self {
        if let Selection::LastOfEach(limit) = query.selection {
            return Self::Ids(last_of_each(index, query, limit));
        }
        let mut after: HashMap<Number, u64> = HashMap::new();
        for want in &query.wants {
            if index.below(&want.pattern).nth(FEW).is_some() {
                return Self::Walk;
            }
            for (number, _) in index.matching(&want.pattern) {
                let after = after.entry(number).or_insert(want.after);
                *after = want.after.min(*after);
            }
        }
        let mut merge = Merge::new(index.head, query.max_messages);
        for (number, after) in after {
            if let Some(channel) = index.get(number) {
                merge.add(number, channel, after.max(query.position));
            }
        }
        Self::Merge(merge)
    }
}

/// Finds the newest message of each channel, if that is wanted, in order.
fn last_of_each(index: &Index, query: &Query, limit: u64) -> Vec<(u64, Number)> {
    let mut ids: Vec<_> = query
        .wants
        .iter()
        .flat_map(|want| {
            let after = want.after.max(query.position);
            let newest = |(number, channel): (Number, &Channel)| Some((channel.newest()?, number));
            let newest = index.matching(&want.pattern).filter_map(newest);
            newest.filter(move |(id, _)| *id > after && *id <= limit)
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What a page has so far.
struct Found<'a> {
    query: &'a Query,
    /// Up to here there is nothing else, once it has been looked for.
    head: u64,
    messages: Vec<(Number, Kept)>,
    bytes: usize,
    position: u64,
    /// It has no more room.
    is_full: bool,
    is_end: bool,
}

impl<'a> Found<'a> {
    fn new(query: &'a Query, head: u64) -> Self {
        Self {
            query,
            head,
            messages: Vec::new(),
            bytes: 0,
            position: query.position,
            is_full: false,
            is_end: true,
        }
    }

    /// Takes a message of which only the number is known; false: the page is full without it.
    fn take(
        &mut self,
        connection: &Connection,
        index: &RwLock<Index>,
        id: u64,
        number: Number,
    ) -> Result<bool, Error> {
        if self.is_full(0) {
            return Ok(false);
        }
        let Some(name) = peek(index).get(number).map(|channel| channel.name.clone()) else {
            return Ok(true);
        };
        let sql = "SELECT id, channel, before, at, data, ext, custom FROM message WHERE id = ?1";
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row([int(id)], |row| Ok(rows::kept(row, name)));
        match found.optional()? {
            Some(kept) => Ok(self.push(number, kept?)),
            None if peek(index)
                .get(number)
                .is_none_or(|channel| channel.lost >= id) =>
            {
                Ok(true)
            }
            None => Err(Error::Damaged("a message is missing")),
        }
    }

    /// Takes a message; false: the page is full without it.
    fn push(&mut self, number: Number, kept: Kept) -> bool {
        let len = kept.entry.body.len();
        if self.is_full(len) {
            return false;
        }
        self.bytes += len;
        self.position = kept.place.id;
        self.messages.push((number, kept));
        true
    }

    /// Tells whether a message of so many bytes is too much, and if so that there is more than the page has.
    fn is_full(&mut self, len: usize) -> bool {
        let is_full = self.messages.len() >= self.query.max_messages
            || self.bytes.saturating_add(len) > self.query.max_bytes;
        self.is_full |= is_full && !self.messages.is_empty();
        self.is_end &= !self.is_full;
        self.is_full
    }

    /// Looks at all messages in their order.
    fn walk(&mut self, connection: &Connection, index: &RwLock<Index>) -> Result<(), Error> {
        let after = self.query.wants.iter().map(|want| want.after).min();
        let start = self.query.position.max(after.unwrap_or(u64::MAX >> 1));
        let sql = "SELECT id, channel, before, at, data, ext, custom FROM message
             WHERE id > ?1 AND id <= ?2 ORDER BY id";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query((int(start), int(self.head)))?;
        let mut known: HashMap<Number, Option<(ChannelName, u64)>> = HashMap::new();
        let mut steps = 0;
        while let Some(row) = rows.next()? {
            let id = row.get::<_, i64>(0)?.cast_unsigned();
            let number = row.get(1)?;
            let wanted = known
                .entry(number)
                .or_insert_with(|| wanted(self.query, peek(index).get(number)?));
            if let Some((name, after)) = wanted
                && id > *after
            {
                let kept = rows::kept(row, name.clone())?;
                if !self.push(number, kept) {
                    return Ok(());
                }
            }
            steps += 1;
            if steps == MAX_STEPS {
                self.head = id;
                self.is_end = false;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Makes a page of it, without what is gone by now.
    fn page(self, index: &Index) -> Result<Page, Error> {
        let is_there = |number: Number, id: u64| {
            let channel = index.get(number);
            channel.is_some_and(|channel| id > channel.lost)
        };
        let messages = self.messages.into_iter();
        let messages = messages.filter(|(number, kept)| is_there(*number, kept.place.id));
        let is_all = self.query.selection == Selection::All;
        Ok(Page {
            messages: messages.map(|(_, kept)| kept).collect(),
            position: if self.is_full {
                self.position
            } else {
                self.position.max(self.head)
            },
            is_end: self.is_end,
            lost: if is_all { lost(index, self.query) } else { 0 },
        })
    }
}

/// Returns from where on a channel is wanted, if it is.
fn wanted(query: &Query, channel: &Channel) -> Option<(ChannelName, u64)> {
    let is_of = |want: &&Want| want.pattern.covers(channel.name.as_str());
    let after = query
        .wants
        .iter()
        .filter(is_of)
        .map(|want| want.after)
        .min()?;
    Some((channel.name.clone(), after.max(channel.lost)))
}

/// Returns the largest number of a message that the page, or one after it, lacks.
fn lost(index: &Index, query: &Query) -> u64 {
    let mut lost = 0;
    for want in &query.wants {
        let after = want.after.max(query.position).max(lost);
        if index.lost <= after {
            continue;
        }
        let channels = index.matching(&want.pattern);
        let newest = channels.map(|(_, channel)| channel.lost).max();
        let newest = newest.unwrap_or(0).max(index.forgotten);
        if newest > after {
            lost = newest;
        }
    }
    lost
}

/// Finds what there is of something that is wanted.
pub(super) fn survey(
    connection: &Connection,
    index: &RwLock<Index>,
    want: &Want,
    max: usize,
) -> Result<Survey, Error> {
    let transaction = connection.unchecked_transaction()?;
    let (mut survey, merge) = {
        let index = peek(index);
        let (survey, count) = overview(&index, want);
        let is_few = index.below(&want.pattern).nth(FEW).is_none();
        let merge = (count > max as u64).then(|| {
            let mut merge = Merge::back(index.head, max);
            let channels = index.matching(&want.pattern);
            for (number, channel) in channels.filter(|_| is_few) {
                merge.add(number, channel, want.after);
            }
            is_few.then_some(merge)
        });
        (survey, merge)
    };
    survey.too_many = match merge {
        None => None,
        Some(Some(mut merge)) => {
            for _ in 0..max {
                if merge.next(&transaction)?.is_none() {
                    return Ok(survey);
                }
            }
            merge.next(&transaction)?.map(|(id, _)| id)
        }
        Some(None) => walk_back(&transaction, index, want, (survey.head, max))?,
    };
    Ok(survey)
}

/// How many messages are looked at to find whether too many are wanted: more would keep others waiting.
const MAX_WALK: i64 = 200_000;

/// Returns what the index says, and how many messages there are to be read at most.
fn overview(index: &Index, want: &Want) -> (Survey, u64) {
    let mut survey = Survey {
        first: None,
        last: None,
        lost: index.forgotten,
        head: index.head,
        too_many: None,
    };
    let mut count = 0;
    for (_, channel) in index.matching(&want.pattern) {
        survey.lost = survey.lost.max(channel.lost);
        if let Some(newest) = channel.newest() {
            let first = Some(channel.first);
            survey.first = survey.first.into_iter().chain(first).min();
            survey.last = survey.last.max(Some(newest));
            if newest > want.after {
                count += channel.messages;
            }
        }
    }
    (survey, count)
}

/// Goes back through the newest messages until so many that are wanted have come, and finds the one before these; if
/// they are not among those that are looked at, there are not too many.
fn walk_back(
    connection: &Connection,
    index: &RwLock<Index>,
    want: &Want,
    (head, max): (u64, usize),
) -> Result<Option<u64>, Error> {
    let sql =
        "SELECT id, channel FROM message WHERE id <= ?1 AND id > ?2 ORDER BY id DESC LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((int(head), int(want.after), MAX_WALK))?;
    let mut known: HashMap<Number, Option<u64>> = HashMap::new();
    let mut left = max;
    while let Some(row) = rows.next()? {
        let id = row.get::<_, i64>(0)?.cast_unsigned();
        let number = row.get(1)?;
        let lost = known.entry(number).or_insert_with(|| {
            let index = peek(index);
            let channel = index.get(number)?;
            let is_wanted = want.pattern.covers(channel.name.as_str());
            is_wanted.then_some(channel.lost)
        });
        if lost.is_some_and(|lost| id > lost) {
            if left == 0 {
                return Ok(Some(id));
            }
            left -= 1;
        }
    }
    Ok(None)
}
