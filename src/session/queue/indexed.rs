//! Events in order, with an index by channel.
//!
//! An event that is dropped from the middle leaves an empty slot; once most slots are empty they
//! are closed up.

use std::collections::VecDeque;
use std::sync::Arc;

use super::index::Index;
use super::plain::Plain;
use crate::bayeux::Event;
use crate::memory::sizes;

/// Events in slots, and where those of a channel are.
#[derive(Debug)]
pub(super) struct Indexed {
    /// The first is never empty.
    slots: VecDeque<Option<Arc<Event>>>,
    /// How many are empty.
    empty: usize,
    bytes: usize,
    index: Index,
    /// In so many slots from the front on, no channel has more than one event.
    conflated: usize,
}

impl Indexed {
    /// Makes the index of all channels' events, or of those of channels with a bound of their own.
    pub(super) fn new(events: Plain, knows_all: bool) -> Self {
        let slots: VecDeque<_> = events.events.into_iter().map(Some).collect();
        Self {
            index: Index::new(&slots, knows_all),
            slots,
            empty: 0,
            bytes: events.bytes,
            conflated: 0,
        }
    }

    /// Tells whether the index is of all channels.
    pub(super) fn knows_all(&self) -> bool {
        self.index.knows_all()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.empty
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn places(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Option<Arc<Event>>>();
        sizes::block(size_of::<Self>()) + sizes::block(slots) + self.index.places(self.slots.len())
    }

    /// Returns how many slots are used, and how many there is room for.
    pub(super) fn used_places(&self) -> (usize, usize) {
        (self.slots.len(), self.slots.capacity())
    }

    pub(super) fn first(&self) -> Option<&Arc<Event>> {
        self.slots.front()?.as_ref()
    }

    pub(super) fn push_back(&mut self, event: &Arc<Event>) {
        self.index.add_last(event, self.slots.len());
        self.bytes += event.json().len();
        self.slots.push_back(Some(Arc::clone(event)));
    }

    pub(super) fn push_front(&mut self, event: Arc<Event>) {
        self.index.add_first(&event);
        self.conflated = 0;
        self.bytes += event.json().len();
        self.slots.push_front(Some(event));
    }

    pub(super) fn pop_front(&mut self) -> Option<Arc<Event>> {
        let event = self.first().cloned()?;
        if self.index.knows(&event) {
            self.index.take_oldest_of(event.channel());
        }
        self.empty_slot(0);
        self.tidy();
        Some(event)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.slots.iter().flatten()
    }

    pub(super) fn into_events(self) -> impl Iterator<Item = Arc<Event>> {
        self.slots.into_iter().flatten()
    }

    pub(super) fn count_of(&self, channel: &str) -> usize {
        self.index.count_of(channel)
    }

    /// Returns a channel's events, the oldest first.
    pub(super) fn of(&self, channel: &str) -> impl Iterator<Item = &Arc<Event>> {
        let places = self.index.places_of(channel);
        places.filter_map(|place| self.slots[place].as_ref())
    }

    pub(super) fn drop_oldest_of(&mut self, channel: &str, count: usize) {
        self.empty_oldest_of(channel, count);
        self.tidy();
    }

    /// Drops the events of every channel but the latest, of one channel the latest too. The index
    /// has to be of all channels.
    pub(super) fn conflate(&mut self, wholly: &str) {
        // What was conflated before is superseded only by what came later.
        for place in self.conflated..self.slots.len() {
            if let Some(event) = self.slots[place].clone() {
                let superseded = self.count_of(event.channel()).saturating_sub(1);
                self.empty_oldest_of(event.channel(), superseded);
            }
        }
        self.empty_oldest_of(wholly, 1);
        self.conflated = self.slots.len();
        self.tidy();
    }

    /// Empties the slots of a channel's oldest events. [`tidy`](Self::tidy) has to follow.
    fn empty_oldest_of(&mut self, channel: &str, count: usize) {
        for _ in 0..count {
            let Some(place) = self.index.take_oldest_of(channel) else {
                return;
            };
            self.empty_slot(place);
        }
    }

    fn empty_slot(&mut self, place: usize) {
        if let Some(event) = self.slots[place].take() {
            self.bytes -= event.json().len();
            self.empty += 1;
        }
    }

    /// Removes empty slots at the front, and all of them once they are most.
    fn tidy(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.empty -= 1;
            self.conflated = self.conflated.saturating_sub(1);
            self.index.note_first_removed();
        }
        if self.empty > self.len() {
            let is_conflated = self.conflated == self.slots.len();
            self.slots.retain(Option::is_some);
            self.slots.shrink_to(2 * self.slots.len());
            self.empty = 0;
            self.index = Index::new(&self.slots, self.knows_all());
            self.conflated = if is_conflated { self.slots.len() } else { 0 };
        }
    }
}

#[cfg(test)]
impl Indexed {
    /// Returns the events in order, once all that has to hold of them was checked.
    pub(super) fn checked(&self) -> Vec<&Arc<Event>> {
        let events: Vec<&Arc<Event>> = self.slots.iter().flatten().collect();
        assert!(self.first().is_some(), "no index of nothing");
        assert!(self.empty <= self.len(), "not more empty than full");
        let mut seen = std::collections::HashSet::new();
        for (place, event) in self.slots.iter().enumerate() {
            let Some(event) = event else { continue };
            let places: Vec<usize> = self.index.places_of(event.channel()).collect();
            assert_eq!(places.contains(&place), self.index.knows(event));
            assert_eq!(places.len(), self.index.count_of(event.channel()));
            assert!(places.is_sorted(), "{places:?}");
            assert!(seen.insert(event.channel()) || place >= self.conflated);
        }
        events
    }
}
