//! How messages are added, and how room is made for them.

use std::collections::HashMap;
use std::sync::Arc;

use super::Writer;
use crate::history::sqlite::index::{Channel, Cut, Item, Number};
use crate::history::sqlite::schema::{self, Error};
use crate::history::sqlite::{cut, keeping, rows};
use crate::history::{Entry, Place};
use crate::metrics::Limit;

impl Writer {
    pub(super) fn append(&mut self, batch: &[Entry]) -> Result<Vec<Place>, Error> {
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
    pub(super) fn forget(&self) -> Result<(), Error> {
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
}
