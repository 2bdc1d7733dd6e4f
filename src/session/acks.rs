//! What a client that acknowledges has yet to acknowledge (CometD's `ack` extension).
//!
//! The replies to connects are numbered, and the next connect names the last that arrived. So what
//! can be lost is what went with one reply, no more: a connect that does not name that reply has its
//! events queued again, before all others.

use std::sync::Arc;

use crate::bayeux::Event;

/// The events of the last reply to a connect, until a connect names it.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The number of the last reply, from 1.
    last: u64,
    unacknowledged: Vec<Arc<Event>>,
}

impl Acks {
    /// Takes what a connect says: the number of the last reply that its client has received, if it is
    /// one. Returns the events that it has not.
    ///
    /// A number that was never given, as any other nonsense, acknowledges nothing.
    pub(super) fn acknowledge(&mut self, number: Option<u64>) -> Vec<Arc<Event>> {
        let unacknowledged = std::mem::take(&mut self.unacknowledged);
        if number == Some(self.last) {
            return Vec::new();
        }
        unacknowledged
    }

    /// Notes the events that go with the next reply, and returns its number.
    pub(super) fn send(&mut self, events: &[Arc<Event>]) -> u64 {
        self.last += 1;
        self.unacknowledged.extend_from_slice(events);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::state::tests::event;

    #[test]
    fn only_the_number_of_the_last_reply_acknowledges() {
        let cases = [
            (Some(2), 0),
            (Some(1), 1),
            (Some(0), 1),
            (Some(3), 1),
            (Some(999_999), 1),
            (None, 1),
        ];
        for (number, again) in cases {
            let mut acks = Acks::default();
            assert_eq!(acks.send(&[]), 1);
            assert!(acks.acknowledge(Some(1)).is_empty());
            assert_eq!(acks.send(&[event("a")]), 2);
            assert_eq!(acks.acknowledge(number).len(), again, "{number:?}");
            assert!(acks.acknowledge(None).is_empty(), "it is queued again");
        }
    }

    #[test]
    fn a_reply_after_another_that_no_connect_came_between_adds_to_what_is_unacknowledged() {
        let mut acks = Acks::default();
        acks.send(&[event("a")]);
        assert_eq!(acks.send(&[event("b")]), 2);
        assert_eq!(acks.acknowledge(Some(1)).len(), 2);
    }
}
