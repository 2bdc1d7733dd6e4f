//! The events of a queue in their order, of which any may be dropped; knows no bound.
//!
//! A short queue is scanned for the events of a channel. A longer one gets an index the first time
//! it is asked for them, and keeps it until it is empty. So nothing that is asked of a channel costs
//! more with more events queued, but for what their own pushes have paid for; and a queue that is
//! never asked pays nothing.

use std::sync::Arc;

use super::indexed::Indexed;
use super::plain::Plain;
use crate::bayeux::Event;
use crate::memory::sizes;

/// Up to so many events are scanned rather than indexed.
const SCANNED: usize = 16;
/// As many places a queue has with its first event. They come and go with every event that a stream takes at
/// once, and count with the session.
const FIRST: usize = 4;

/// Events in order.
#[derive(Debug)]
pub(super) enum Events {
    /// Without an index.
    Plain(Plain),
    /// With an index, and at least one event.
    Indexed(Box<Indexed>),
}

impl Default for Events {
    fn default() -> Self {
        Self::Plain(Plain::default())
    }
}

impl Events {
    /// Tells whether there is no event.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of events.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.events.len(),
            Self::Indexed(indexed) => indexed.len(),
        }
    }

    /// Returns the bytes of all events.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.bytes,
            Self::Indexed(indexed) => indexed.bytes(),
        }
    }

    /// Returns the bytes of the places that events have, of a short queue none.
    pub(super) fn places(&self) -> usize {
        match self {
            Self::Plain(plain) if plain.events.capacity() <= FIRST => 0,
            Self::Plain(plain) => sizes::block(plain.events.capacity() * size_of::<Arc<Event>>()),
            Self::Indexed(indexed) => indexed.places(),
        }
    }

    /// Tells whether there is no place for one more event, and there are many.
    pub(super) fn grows_long(&self) -> bool {
        let (used, places) = match self {
            Self::Plain(plain) => (plain.events.len(), plain.events.capacity()),
            Self::Indexed(indexed) => indexed.used_places(),
        };
        used == places && places > SCANNED
    }

    /// Returns the oldest event.
    pub(super) fn first(&self) -> Option<&Arc<Event>> {
        match self {
            Self::Plain(plain) => plain.events.front(),
            Self::Indexed(indexed) => indexed.first(),
        }
    }

    /// Adds an event behind all others.
    pub(super) fn push_back(&mut self, event: &Arc<Event>) {
        match self {
            Self::Plain(plain) => {
                plain.bytes += event.json().len();
                plain.events.push_back(Arc::clone(event));
            }
            Self::Indexed(indexed) => indexed.push_back(event),
        }
    }

    /// Adds an event before all others.
    pub(super) fn push_front(&mut self, event: Arc<Event>) {
        match self {
            Self::Plain(plain) => {
                plain.bytes += event.json().len();
                plain.events.push_front(event);
            }
            Self::Indexed(indexed) => indexed.push_front(event),
        }
    }

    /// Takes the oldest event.
    pub(super) fn pop_front(&mut self) -> Option<Arc<Event>> {
        match self {
            Self::Plain(plain) => {
                let event = plain.events.pop_front()?;
                plain.bytes -= event.json().len();
                Some(event)
            }
            Self::Indexed(indexed) => {
                let event = indexed.pop_front();
                self.drop_empty_index();
                event
            }
        }
    }

    /// Returns all events in order.
    pub(super) fn to_vec(&self) -> Vec<Arc<Event>> {
        match self {
            Self::Plain(plain) => plain.events.iter().map(Arc::clone).collect(),
            Self::Indexed(indexed) => indexed.iter().map(Arc::clone).collect(),
        }
    }

    /// Takes all events, and gives the memory back.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Event>> {
        match std::mem::take(self) {
            Self::Plain(plain) => plain.events.into(),
            Self::Indexed(indexed) => indexed.into_events().collect(),
        }
    }

    /// Returns how many events of a channel with a bound of its own there are.
    pub(super) fn count_of(&mut self, channel: &str) -> usize {
        if let Self::Plain(plain) = self
            && plain.events.len() > SCANNED
        {
            *self = Self::Indexed(Box::new(Indexed::new(std::mem::take(plain), false)));
        }
        match self {
            Self::Plain(plain) => plain.of(channel).count(),
            Self::Indexed(indexed) => indexed.count_of(channel),
        }
    }

    /// Returns the bytes of a channel's oldest events, which [`count_of`](Self::count_of) counted.
    pub(super) fn bytes_of_oldest(&self, channel: &str, count: usize) -> usize {
        let size = |event: &Arc<Event>| event.json().len();
        match self {
            Self::Plain(plain) => plain.of(channel).take(count).map(size).sum(),
            Self::Indexed(indexed) => indexed.of(channel).take(count).map(size).sum(),
        }
    }

    /// Drops a channel's oldest events, which [`count_of`](Self::count_of) counted.
    pub(super) fn drop_oldest_of(&mut self, channel: &str, count: usize) {
        match self {
            Self::Plain(plain) => plain.drop_oldest_of(channel, count),
            Self::Indexed(indexed) => {
                indexed.drop_oldest_of(channel, count);
                self.drop_empty_index();
            }
        }
    }

    /// Drops the events of every channel but the latest, of one channel the latest too; returns
    /// how many these were.
    pub(super) fn conflate(&mut self, wholly: &str) -> usize {
        let before = self.len();
        let mut indexed = match std::mem::take(self) {
            Self::Indexed(indexed) if indexed.knows_all() => indexed,
            Self::Indexed(indexed) => {
                let events = Plain {
                    bytes: indexed.bytes(),
                    events: indexed.into_events().collect(),
                };
                Box::new(Indexed::new(events, true))
            }
            Self::Plain(plain) => Box::new(Indexed::new(plain, true)),
        };
        indexed.conflate(wholly);
        *self = Self::Indexed(indexed);
        let dropped = before - self.len();
        self.drop_empty_index();
        dropped
    }

    fn drop_empty_index(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
impl Events {
    /// Returns the events in order, once all that has to hold of them was checked.
    pub(super) fn checked(&self) -> Vec<&Arc<Event>> {
        let events: Vec<&Arc<Event>> = match self {
            Self::Plain(plain) => plain.events.iter().collect(),
            Self::Indexed(indexed) => indexed.checked(),
        };
        let bytes: usize = events.iter().map(|event| event.json().len()).sum();
        assert_eq!((self.len(), self.bytes()), (events.len(), bytes));
        events
    }

    /// Tells whether there is an index.
    pub(super) fn is_indexed(&self) -> bool {
        matches!(self, Self::Indexed(_))
    }
}
