//! The events of a queue in their order, of which any may be dropped; knows no bound.
//!
//! A short queue is scanned for the events of a channel. A longer one gets an index the first time
//! it is asked for them, and keeps it until it is empty; an event that is dropped then leaves an
//! empty slot, and once most slots are empty they are closed up. So nothing that is asked of a
//! channel costs more with more events queued, but for what their own pushes have paid for.

use std::collections::VecDeque;
use std::sync::Arc;

use super::index::Index;
use crate::bayeux::Event;

/// Up to so many slots are scanned rather than indexed.
const SCANNED: usize = 16;

/// Events in order.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Some are empty only if there is an index, and the first never is.
    slots: VecDeque<Option<Arc<Event>>>,
    bytes: usize,
    index: Option<Box<Index>>,
}

impl Slots {
    /// Tells whether there is no event.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the number of events.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.index.as_ref().map_or(0, |index| index.empty)
    }

    /// Returns the bytes of all events.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the oldest event.
    pub(super) fn first(&self) -> Option<&Arc<Event>> {
        self.slots.front()?.as_ref()
    }

    /// Adds an event behind all others.
    pub(super) fn push_back(&mut self, event: &Arc<Event>) {
        if let Some(index) = &mut self.index {
            index.add_last(event, self.slots.len());
        }
        self.bytes += event.json().len();
        self.slots.push_back(Some(Arc::clone(event)));
    }

    /// Adds an event before all others.
    pub(super) fn push_front(&mut self, event: Arc<Event>) {
        if let Some(index) = &mut self.index {
            index.add_first(&event);
        }
        self.bytes += event.json().len();
        self.slots.push_front(Some(event));
    }

    /// Takes the oldest event.
    pub(super) fn pop_front(&mut self) -> Option<Arc<Event>> {
        let event = self.slots.pop_front()??;
        self.bytes -= event.json().len();
        if let Some(index) = &mut self.index {
            index.note_first_taken(&event);
            self.tidy();
        }
        Some(event)
    }

    /// Takes all events, and gives the memory back.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Event>> {
        let slots = Vec::from(std::mem::take(self).slots);
        slots.into_iter().flatten().collect()
    }

    /// Returns how many events of a channel there are; of one with a bound of its own.
    pub(super) fn count_of(&mut self, channel: &str) -> usize {
        if self.index.is_none() && self.slots.len() > SCANNED {
            self.index = Some(Box::new(Index::new(&self.slots, false)));
        }
        match &self.index {
            Some(index) => index.count_of(channel),
            None => self.scanned(channel).count(),
        }
    }

    /// Returns the bytes of a channel's oldest events, which [`count_of`](Self::count_of) counted.
    pub(super) fn bytes_of_oldest(&self, channel: &str, count: usize) -> usize {
        let size = |event: &Arc<Event>| event.json().len();
        match &self.index {
            Some(index) => index
                .places_of(channel)
                .take(count)
                .filter_map(|place| self.slots[place].as_ref())
                .map(size)
                .sum(),
            None => self.scanned(channel).take(count).map(size).sum(),
        }
    }

    /// Drops a channel's oldest events, which [`count_of`](Self::count_of) counted.
    pub(super) fn drop_oldest_of(&mut self, channel: &str, count: usize) {
        if self.index.is_some() {
            self.empty_oldest_of(channel, count);
            self.tidy();
            return;
        }
        let mut left = count;
        let bytes = &mut self.bytes;
        self.slots.retain(|slot| match slot {
            Some(event) if left > 0 && event.channel() == channel => {
                left -= 1;
                *bytes -= event.json().len();
                false
            }
            _ => true,
        });
    }

    /// Drops the events of every channel but the latest, of one channel the latest too; returns
    /// how many these were.
    pub(super) fn conflate(&mut self, wholly: &str) -> usize {
        if self.is_empty() {
            return 0;
        }
        let before = self.len();
        let index = match self.index.take() {
            Some(index) if index.knows_all => index,
            _ => {
                self.close_up();
                Box::new(Index::new(&self.slots, true))
            }
        };
        let conflated = index.conflated;
        self.index = Some(index);
        // What was conflated before is superseded only by what came later.
        for place in conflated..self.slots.len() {
            let Some(event) = self.slots[place].clone() else {
                continue;
            };
            let count = self.count_of(event.channel());
            self.empty_oldest_of(event.channel(), count.saturating_sub(1));
        }
        self.empty_oldest_of(wholly, 1);
        if let Some(index) = &mut self.index {
            index.conflated = self.slots.len();
        }
        self.tidy();
        before - self.len()
    }

    fn scanned<'a>(&'a self, channel: &'a str) -> impl Iterator<Item = &'a Arc<Event>> {
        let events = self.slots.iter().flatten();
        events.filter(move |event| event.channel() == channel)
    }

    /// Empties the slots of a channel's oldest events. [`tidy`](Self::tidy) has to follow.
    fn empty_oldest_of(&mut self, channel: &str, count: usize) {
        let Some(index) = &mut self.index else { return };
        for _ in 0..count {
            let Some(place) = index.take_oldest_of(channel) else {
                return;
            };
            if let Some(event) = self.slots[place].take() {
                self.bytes -= event.json().len();
                index.empty += 1;
            }
        }
    }

    /// Removes empty slots at the front, and all of them once they are most; an index of nothing.
    fn tidy(&mut self) {
        let Some(index) = &mut self.index else { return };
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            index.note_empty_removed();
        }
        if self.slots.is_empty() {
            *self = Self::default();
        } else if index.empty > self.slots.len() - index.empty {
            let knows_all = index.knows_all;
            let is_conflated = index.conflated == self.slots.len();
            self.close_up();
            let mut index = Index::new(&self.slots, knows_all);
            index.conflated = if is_conflated { self.slots.len() } else { 0 };
            self.index = Some(Box::new(index));
        }
    }

    /// Removes the empty slots. A new index has to follow.
    fn close_up(&mut self) {
        self.slots.retain(Option::is_some);
        self.slots.shrink_to(2 * self.slots.len());
    }
}

#[cfg(test)]
impl Slots {
    /// Returns the events in order, once all that has to hold of them was checked.
    pub(super) fn checked(&self) -> Vec<&Arc<Event>> {
        let events: Vec<&Arc<Event>> = self.slots.iter().flatten().collect();
        let bytes: usize = events.iter().map(|event| event.json().len()).sum();
        assert_eq!((self.len(), self.bytes), (events.len(), bytes));
        assert_eq!(
            self.slots.is_empty(),
            events.is_empty(),
            "no empty slots alone"
        );
        assert!(self.slots.front().is_none_or(Option::is_some));
        let Some(index) = &self.index else {
            assert_eq!(
                self.slots.len(),
                events.len(),
                "no empty slots without an index"
            );
            return events;
        };
        assert!(!events.is_empty(), "no index of nothing");
        assert!(
            self.slots.len() <= 2 * events.len(),
            "not more empty than full"
        );
        for (place, event) in self.slots.iter().enumerate() {
            let Some(event) = event else { continue };
            let is_known = index.knows_all || event.bound().is_some();
            let places: Vec<usize> = index.places_of(event.channel()).collect();
            assert_eq!(places.contains(&place), is_known);
            assert_eq!(places.len(), index.count_of(event.channel()));
            assert!(places.is_sorted(), "{places:?}");
            let others = self.slots.range(..index.conflated.min(place)).flatten();
            let is_superseding = others
                .into_iter()
                .any(|other| other.channel() == event.channel());
            assert!(place >= index.conflated || !is_superseding);
        }
        events
    }

    /// Tells whether there is an index.
    pub(super) fn is_indexed(&self) -> bool {
        self.index.is_some()
    }
}
