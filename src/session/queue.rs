//! The events a session has yet to receive, in order and within bounds.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::bayeux::Event;

/// A queue of events; it counts, and leaves what to do at a bound to its owner.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Tells whether one more event of this size would pass a bound. An empty queue takes any
    /// event: its size was bounded when it came in.
    pub(super) fn is_full_for(&self, event: &Event, max_events: usize, max_bytes: u64) -> bool {
        let bytes = self.bytes + event.json().len();
        !self.events.is_empty() && (self.events.len() >= max_events || bytes as u64 > max_bytes)
    }

    pub(super) fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.json().len();
        self.events.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Arc<Event>> {
        let event = self.events.pop_front()?;
        self.bytes -= event.json().len();
        Some(event)
    }

    /// Takes the oldest events, at least one and at most `max_bytes`; gives back the memory of a
    /// queue that is empty then.
    pub(super) fn take(&mut self, max_bytes: u64) -> Vec<Arc<Event>> {
        if self.bytes as u64 <= max_bytes {
            self.bytes = 0;
            return std::mem::take(&mut self.events).into();
        }
        let mut taken = Vec::new();
        let mut left = max_bytes;
        while let Some(event) = self.events.front() {
            let size = event.json().len() as u64;
            if size > left && !taken.is_empty() {
                break;
            }
            left = left.saturating_sub(size);
            taken.extend(self.pop());
        }
        taken
    }

    /// Puts events back before all others.
    pub(super) fn put_back(&mut self, events: Vec<Arc<Event>>) {
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
            queue.push(event(name));
        }
        let size = event("a").json().len() as u64;
        let first = queue.take(2 * size);
        assert_eq!(names(&first), "ab");
        queue.put_back(first);
        assert_eq!(names(&queue.take(1)), "a", "at least one");
        assert_eq!(names(&queue.take(u64::MAX)), "bcd");
        assert!(queue.is_empty() && queue.bytes == 0);
    }

    #[test]
    fn bounds_are_of_events_and_of_bytes() {
        let mut queue = Queue::default();
        let size = event("a").json().len() as u64;
        assert!(
            !queue.is_full_for(&event("a"), 1, 1),
            "an empty queue takes any event"
        );
        queue.push(event("a"));
        assert!(queue.is_full_for(&event("b"), 1, u64::MAX));
        assert!(!queue.is_full_for(&event("b"), 2, 2 * size));
        assert!(queue.is_full_for(&event("b"), 2, 2 * size - 1));
    }
}
