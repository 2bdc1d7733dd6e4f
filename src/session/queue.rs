//! The events a session has yet to receive, in order and within bounds.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{MaxQueuePolicy, Settings};
use crate::bayeux::Event;

/// A queue of events, which knows how urgent they are and what happens at its bounds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    /// Whether an event is queued that does not wait for company.
    is_urgent: bool,
    /// When the lazy events that are queued stop waiting.
    lazy_deadline: Option<Instant>,
    is_at_bound: bool,
}

/// What became of an event that was to be queued.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// So many older events were dropped to make room.
    pub(super) dropped: usize,
    /// The queue is full, and the session has to end.
    pub(super) is_refused: bool,
    /// The bound was reached for the first time since the queue was last empty.
    pub(super) first_at_bound: bool,
}

impl Queue {
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
        let mut pushed = Pushed::default();
        while self.is_full_for(event, settings) {
            pushed.first_at_bound |= !std::mem::replace(&mut self.is_at_bound, true);
            match settings.max_queue_policy {
                MaxQueuePolicy::End => {
                    pushed.is_refused = true;
                    return pushed;
                }
                MaxQueuePolicy::DropOldest => {
                    self.pop();
                    pushed.dropped += 1;
                }
            }
        }
        self.bytes += event.json().len();
        self.events.push_back(Arc::clone(event));
        match lazy {
            Some(due) => {
                let due = self.lazy_deadline.map_or(due, |earlier| earlier.min(due));
                self.lazy_deadline = Some(due);
            }
            None => self.is_urgent = true,
        }
        pushed
    }

    /// Tells whether one more event of this size would pass a bound. An empty queue takes any
    /// event: its size was bounded when it came in.
    fn is_full_for(&self, event: &Event, settings: &Settings) -> bool {
        let bytes = (self.bytes + event.json().len()) as u64;
        let is_full = self.events.len() >= settings.max_queue;
        !self.events.is_empty() && (is_full || bytes > settings.max_queue_bytes.as_u64())
    }

    fn pop(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.bytes -= event.json().len();
        Some(event)
    }

    /// Takes the oldest events, lazy or not: at most so many, and of those at least one and at most
    /// so many bytes. What is left does not wait. Gives back the memory of a queue that is empty then.
    pub(super) fn take(&mut self, max_bytes: u64, max_events: usize) -> Vec<Arc<Event>> {
        let taken = if self.bytes as u64 <= max_bytes && self.events.len() <= max_events {
            self.bytes = 0;
            std::mem::take(&mut self.events).into()
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
        while let Some(event) = self.events.front() {
            let size = event.json().len() as u64;
            if taken.len() >= max_events || (size > left && !taken.is_empty()) {
                break;
            }
            left = left.saturating_sub(size);
            taken.extend(self.pop());
        }
        taken
    }

    /// Puts events back before all others; they have waited once. They may pass the bounds by what
    /// one response holds, and the next event then meets them.
    pub(super) fn put_back(&mut self, events: Vec<Arc<Event>>) {
        self.is_urgent |= !events.is_empty();
        for event in events.into_iter().rev() {
            self.bytes += event.json().len();
            self.events.push_front(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::state::tests::event;

    fn names(events: &[Arc<Event>]) -> String {
        events
            .iter()
            .map(|event| {
                String::from_utf8_lossy(event.json())
                    .chars()
                    .nth(24)
                    .unwrap_or('?')
            })
            .collect()
    }

    #[test]
    fn order_survives_taking_in_parts_and_putting_back() {
        let mut queue = Queue::default();
        for name in ["a", "b", "c", "d"] {
            queue.push(&event(name), None, &Settings::default());
        }
        let size = event("a").json().len() as u64;
        let first = queue.take(2 * size, 9);
        assert_eq!(names(&first), "ab");
        queue.put_back(first);
        assert_eq!(names(&queue.take(1, 9)), "a", "at least one");
        let second = queue.take(u64::MAX, 1);
        assert_eq!(names(&second), "b");
        queue.put_back(second);
        assert_eq!(names(&queue.take(u64::MAX, 9)), "bcd");
        assert!(queue.events.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn bounds_are_of_events_and_of_bytes() {
        let size = event("a").json().len() as u64;
        let cases = [
            (1, 2 * size, true),
            (2, 2 * size, false),
            (2, 2 * size - 1, true),
        ];
        for (max_queue, max_bytes, is_refused) in cases {
            let settings = Settings {
                max_queue,
                max_queue_bytes: bytesize::ByteSize(max_bytes),
                ..Settings::default()
            };
            let mut queue = Queue::default();
            let first = queue.push(&event("a"), None, &settings);
            assert_eq!(first, Pushed::default());
            let second = queue.push(&event("b"), None, &settings);
            assert_eq!(second.is_refused, is_refused, "{max_queue} {max_bytes}");
        }
    }

    #[test]
    fn an_empty_queue_takes_any_event() {
        let settings = Settings {
            max_queue_bytes: bytesize::ByteSize(1),
            ..Settings::default()
        };
        let pushed = Queue::default().push(&event("a"), None, &settings);
        assert_eq!(pushed, Pushed::default());
    }
}
