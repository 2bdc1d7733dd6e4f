//! Where in a queue the events of each channel are; it holds no events.
//!
//! Slots are numbered in their order, the first by `first`, which moves with the queue's front. The
//! numbers wrap around; only their distance from the first counts.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::bayeux::Event;
use crate::memory::sizes;

/// The events of each channel in a queue: of all channels, or of those with a bound of their own.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_channel: HashMap<Box<str>, Numbers>,
    /// The number of the first slot.
    first: usize,
    /// Whether all channels are known, not only those with a bound of their own.
    knows_all: bool,
}

/// The slots of one channel's events; most channels have one.
#[derive(Debug)]
struct Numbers {
    earlier: VecDeque<usize>,
    latest: usize,
}

impl Index {
    /// Makes the index of slots of which none is empty.
    pub(super) fn new(slots: &VecDeque<Option<Arc<Event>>>, knows_all: bool) -> Self {
        let mut index = Self {
            knows_all,
            ..Self::default()
        };
        for (place, event) in slots.iter().flatten().enumerate() {
            index.add_last(event, place);
        }
        index
    }

    /// Returns about how many bytes it takes, for so many slots: the table, the names, and the numbers.
    pub(super) fn places(&self, slots: usize) -> usize {
        const NAME: usize = 48;
        let entry = size_of::<(Box<str>, Numbers)>() + 1;
        let table = sizes::block(self.by_channel.capacity() * entry * 8 / 7);
        table + self.by_channel.len() * NAME + slots * size_of::<usize>() * 2
    }

    /// Tells whether all channels' events are in it.
    pub(super) fn knows_all(&self) -> bool {
        self.knows_all
    }

    /// Tells whether it holds where an event is.
    pub(super) fn knows(&self, event: &Event) -> bool {
        self.knows_all || event.bound().is_some()
    }

    /// Adds an event behind all others, which are in so many slots.
    pub(super) fn add_last(&mut self, event: &Event, slots: usize) {
        if !self.knows(event) {
            return;
        }
        let number = self.first.wrapping_add(slots);
        if let Some(numbers) = self.by_channel.get_mut(event.channel()) {
            let earlier = std::mem::replace(&mut numbers.latest, number);
            numbers.earlier.push_back(earlier);
        } else {
            self.add_only(event, number);
        }
    }

    /// Adds an event before all others.
    pub(super) fn add_first(&mut self, event: &Event) {
        self.first = self.first.wrapping_sub(1);
        if !self.knows(event) {
            return;
        }
        if let Some(numbers) = self.by_channel.get_mut(event.channel()) {
            numbers.earlier.push_front(self.first);
        } else {
            self.add_only(event, self.first);
        }
    }

    fn add_only(&mut self, event: &Event, number: usize) {
        let numbers = Numbers {
            earlier: VecDeque::new(),
            latest: number,
        };
        self.by_channel.insert(event.channel().into(), numbers);
    }

    /// Notes that the first slot, which is empty, leaves.
    pub(super) fn note_first_removed(&mut self) {
        self.first = self.first.wrapping_add(1);
    }

    /// Returns how many events of a channel there are.
    pub(super) fn count_of(&self, channel: &str) -> usize {
        let numbers = self.by_channel.get(channel);
        numbers.map_or(0, |numbers| numbers.earlier.len() + 1)
    }

    /// Returns the places of a channel's events from the front, the oldest first.
    pub(super) fn places_of(&self, channel: &str) -> impl Iterator<Item = usize> {
        let numbers = self.by_channel.get(channel).into_iter();
        numbers
            .flat_map(|numbers| numbers.earlier.iter().chain([&numbers.latest]))
            .map(|number| number.wrapping_sub(self.first))
    }

    /// Forgets the oldest event of a channel, and returns its place.
    pub(super) fn take_oldest_of(&mut self, channel: &str) -> Option<usize> {
        let numbers = self.by_channel.get_mut(channel)?;
        let number = match numbers.earlier.pop_front() {
            Some(number) => number,
            None => self.by_channel.remove(channel)?.latest,
        };
        Some(number.wrapping_sub(self.first))
    }
}
