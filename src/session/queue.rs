//! The events a session has yet to receive, in order and within bounds.

mod events;
mod index;
mod indexed;
mod plain;

use std::sync::Arc;
use std::time::Instant;

use self::events::Events;
use super::record::{EventRecord, QueueRecord, Revive, Unreadable};
use super::{MaxQueuePolicy, Settings};
use crate::bayeux::Event;

/// A queue of events, which knows how urgent they are and what happens at its bounds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: Events,
    beside: Beside,
    /// Whether an event is queued that does not wait for company, or one made room for another.
    is_urgent: bool,
    /// When the lazy events that are queued stop waiting. An event that made room for another
    /// leaves its time, so that a channel of which only the latest is kept is not put off for ever.
    lazy_deadline: Option<Instant>,
    /// The session's bound was reached since the queue was last empty.
    is_at_bound: bool,
    /// The bound of a channel was reached.
    was_at_channel_bound: bool,
}

/// What counts for the bounds beside the queue, because it may have to be sent again.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// What became of an event that was to be queued.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// The bound of its channel was reached.
    pub(super) at_channel_bound: Option<AtBound>,
    /// The bound of the session was reached.
    pub(super) at_bound: Option<AtBound>,
    /// The queue is full, and the session has to end.
    pub(super) is_refused: bool,
    /// The event was not queued.
    pub(super) is_dropped: bool,
}

/// What happened at a bound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AtBound {
    pub(super) policy: MaxQueuePolicy,
    /// So many events were dropped.
    pub(super) dropped: usize,
    /// It has to be said: a session's bound was reached for the first time since the queue was last
    /// empty, a channel's for the first time. A channel's bound is there to be reached, by a client
    /// that is well also between any two of its polls.
    pub(super) is_first: bool,
}

impl AtBound {
    fn new(policy: MaxQueuePolicy, dropped: usize) -> Self {
        Self {
            policy,
            dropped,
            is_first: false,
        }
    }
}

impl Queue {
    /// Makes the record of it; what counts beside it has one of its own.
    pub(super) fn record(&self, now: Instant) -> Result<QueueRecord, Unreadable> {
        let Self {
            events,
            beside: _,
            is_urgent,
            lazy_deadline,
            is_at_bound,
            was_at_channel_bound,
        } = self;
        Ok(QueueRecord {
            events: EventRecord::of_all(&events.to_vec())?,
            is_urgent: *is_urgent,
            lazy_left: lazy_deadline.map(|due| due.saturating_duration_since(now)),
            is_at_bound: *is_at_bound,
            was_at_channel_bound: *was_at_channel_bound,
        })
    }

    /// Makes one of its record.
    pub(super) fn of_record(
        record: QueueRecord,
        revive: &mut Revive<'_>,
        now: Instant,
    ) -> Result<Self, Unreadable> {
        let mut events = Events::default();
        for event in record.events {
            events.push_back(&revive(event)?);
        }
        Ok(Self {
            events,
            beside: Beside::default(),
            is_urgent: record.is_urgent,
            lazy_deadline: record.lazy_left.map(|left| now + left),
            is_at_bound: record.is_at_bound,
            was_at_channel_bound: record.was_at_channel_bound,
        })
    }

    /// Returns the least of the numbers in history of its events.
    pub(super) fn first_id(&self) -> Option<u64> {
        let events = self.events.to_vec();
        let ids = events.iter().map(|event| event.id());
        ids.filter(|id| *id > 0).min()
    }

    /// Returns how many events there are.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the bytes of the places of events, but for those of a few.
    pub(super) fn places(&self) -> usize {
        self.events.places()
    }

    /// Tells whether the next event needs more places than there are, of which there are many.
    pub(super) fn grows_long(&self) -> bool {
        self.events.grows_long()
    }

    /// Returns the bytes of all events.
    pub(super) fn bytes(&self) -> usize {
        self.events.bytes()
    }

    /// Tells whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Tells whether events are queued that do not wait for company.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Tells whether events are queued that do not wait, or no longer.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.is_urgent || self.lazy_deadline.is_some_and(|due| due <= now)
    }

    /// Returns when the lazy events that are queued stop waiting.
    pub(super) fn lazy_deadline(&self) -> Option<Instant> {
        self.lazy_deadline
    }

    /// Lets the lazy events that are queued wait no longer.
    pub(super) fn stop_waiting(&mut self) {
        self.lazy_deadline = None;
        self.is_urgent = !self.events.is_empty();
    }

    /// Queues an event; a lazy one may wait for company until the time given.
    pub(super) fn push(
        &mut self,
        event: &Arc<Event>,
        lazy: Option<Instant>,
        settings: &Settings,
    ) -> Pushed {
        let pushed = self.make_room(event, settings);
        if pushed.is_refused || pushed.is_dropped {
            return pushed;
        }
        self.events.push_back(event);
        match lazy {
            Some(due) => {
                let due = self.lazy_deadline.map_or(due, |earlier| earlier.min(due));
                self.lazy_deadline = Some(due);
            }
            None => self.is_urgent = true,
        }
        pushed
    }

    /// Meets the bound of the event's channel, then the session's. What the first asks for is done
    /// only if the second lets the event in: one that is dropped takes none with it.
    fn make_room(&mut self, event: &Event, settings: &Settings) -> Pushed {
        let mut pushed = Pushed::default();
        let superseded = self.meet_channel_bound(event, &mut pushed);
        if !pushed.is_refused && !pushed.is_dropped {
            let is_full = self.is_full_for(event, superseded, settings);
            if is_full && settings.max_queue_policy == MaxQueuePolicy::DropNewest {
                pushed.at_channel_bound = None;
            } else if superseded > 0 {
                self.events.drop_oldest_of(event.channel(), superseded);
            }
            if is_full {
                self.meet_bound(event, settings, &mut pushed);
            }
        }
        if let Some(at_bound) = &mut pushed.at_channel_bound {
            at_bound.is_first = !std::mem::replace(&mut self.was_at_channel_bound, true);
        }
        if let Some(at_bound) = &mut pushed.at_bound {
            at_bound.is_first = !std::mem::replace(&mut self.is_at_bound, true);
        }
        pushed
    }

    /// Returns how many of the oldest events of its channel have to go for this one.
    fn meet_channel_bound(&mut self, event: &Event, pushed: &mut Pushed) -> usize {
        let Some(bound) = event.bound() else { return 0 };
        let queued = self.events.count_of(event.channel());
        if queued < bound.max_queue {
            return 0;
        }
        let superseded = match bound.policy {
            MaxQueuePolicy::DropOldest => queued + 1 - bound.max_queue,
            MaxQueuePolicy::Conflate => queued,
            MaxQueuePolicy::End | MaxQueuePolicy::DropNewest => 0,
        };
        pushed.is_refused = bound.policy == MaxQueuePolicy::End;
        pushed.is_dropped = bound.policy == MaxQueuePolicy::DropNewest;
        let dropped = superseded + usize::from(pushed.is_dropped);
        pushed.at_channel_bound = Some(AtBound::new(bound.policy, dropped));
        superseded
    }

    fn meet_bound(&mut self, event: &Event, settings: &Settings, pushed: &mut Pushed) {
        let mut dropped = 0;
        match settings.max_queue_policy {
            MaxQueuePolicy::End => pushed.is_refused = true,
            MaxQueuePolicy::DropOldest => {
                while self.is_full_for(event, 0, settings) {
                    dropped += 1;
                    if self.events.pop_front().is_none() {
                        // All else may have been received.
                        pushed.is_dropped = true;
                        break;
                    }
                }
            }
            MaxQueuePolicy::DropNewest => {
                pushed.is_dropped = true;
                dropped = 1;
            }
            MaxQueuePolicy::Conflate => {
                dropped = self.events.conflate(event.channel());
                pushed.is_refused = self.is_full_for(event, 0, settings);
            }
        }
        // A client that is there takes what is queued, rather than lose more of it while it waits.
        self.stop_waiting();
        pushed.at_bound = Some(AtBound::new(settings.max_queue_policy, dropped));
    }

    /// Tells whether one more event of this size would pass a bound of the session, once so many of
    /// the oldest of its channel are gone. With nothing in the queue or beside it any event
    /// fits: its size was bounded when it came in.
    fn is_full_for(&self, event: &Event, superseded: usize, settings: &Settings) -> bool {
        let freed = match superseded {
            0 => 0,
            _ => self.events.bytes_of_oldest(event.channel(), superseded),
        };
        let kept = self.events.len() - superseded + self.beside.events;
        let bytes = self.events.bytes() - freed + self.beside.bytes + event.json().len();
        kept > 0 && (kept >= settings.max_queue || bytes as u64 > settings.max_queue_bytes.as_u64())
    }

    /// Tells whether an event fits into a part of the bounds, and of those of its channel, so that nothing has to
    /// go for it.
    pub(super) fn has_room_for(&mut self, event: &Event, part: usize, settings: &Settings) -> bool {
        let kept = self.events.len() + self.beside.events;
        let bytes = self.events.bytes() + self.beside.bytes + event.json().len();
        let max_bytes = settings.max_queue_bytes.as_u64() / part as u64;
        let bound = event.bound();
        let is_full =
            bound.is_some_and(|bound| self.events.count_of(event.channel()) >= bound.max_queue);
        kept == 0
            || (kept < settings.max_queue.div_ceil(part) && bytes as u64 <= max_bytes && !is_full)
    }

    /// Queues an event that is read from what is kept, whatever the bounds are.
    pub(super) fn push_read(&mut self, event: &Arc<Event>) {
        self.events.push_back(event);
        self.is_urgent = true;
    }

    /// Tells whether fewer events are there, with those beside the queue, and fewer bytes.
    pub(super) fn has_fewer(&self, events: usize, bytes: usize) -> bool {
        self.events.len() + self.beside.events < events
            && self.events.bytes() + self.beside.bytes < bytes
    }

    /// Sets what counts for the bounds beside the queue.
    pub(super) fn count_beside(&mut self, beside: Beside) {
        self.beside = beside;
    }

    /// Tells whether the oldest event is at most so large.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        let first = self.events.first();
        first.is_some_and(|first| first.json().len() as u64 <= bytes)
    }

    /// Takes the oldest events, lazy or not: at most so many, and of those at least one and at most
    /// so many bytes. What is left does not wait. Gives back the memory of a queue that is empty then.
    pub(super) fn take(&mut self, max_bytes: u64, max_events: usize) -> Vec<Arc<Event>> {
        let all = self.events.bytes() as u64 <= max_bytes && self.events.len() <= max_events;
        let taken = if all {
            self.events.take_all()
        } else {
            self.take_some(max_bytes, max_events)
        };
        self.lazy_deadline = None;
        self.is_urgent = !self.events.is_empty();
        self.is_at_bound &= self.is_urgent;
        taken
    }

    fn take_some(&mut self, max_bytes: u64, max_events: usize) -> Vec<Arc<Event>> {
        let mut taken = Vec::new();
        let mut left = max_bytes;
        while let Some(event) = self.events.first() {
            let size = event.json().len() as u64;
            if taken.len() >= max_events || (size > left && !taken.is_empty()) {
                break;
            }
            left = left.saturating_sub(size);
            taken.extend(self.events.pop_front());
        }
        taken
    }

    /// Puts events back before all others; they have waited once. They may pass the bounds by what
    /// one response holds, and the next event then meets them.
    pub(super) fn put_back(&mut self, events: Vec<Arc<Event>>) {
        self.is_urgent |= !events.is_empty();
        for event in events.into_iter().rev() {
            self.events.push_front(event);
        }
    }
}

#[cfg(test)]
mod tests;
