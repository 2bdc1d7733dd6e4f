//! Events in order, without an index: those of a channel are found by a scan.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::bayeux::Event;

/// Events in order, and their bytes.
#[derive(Debug, Default)]
pub(super) struct Plain {
    pub(super) events: VecDeque<Arc<Event>>,
    pub(super) bytes: usize,
}

impl Plain {
    /// Returns a channel's events, the oldest first.
    pub(super) fn of(&self, channel: &str) -> impl Iterator<Item = &Arc<Event>> {
        let events = self.events.iter();
        events.filter(move |event| event.channel() == channel)
    }

    /// Drops a channel's oldest events, at most so many.
    pub(super) fn drop_oldest_of(&mut self, channel: &str, count: usize) {
        let mut left = count;
        self.events.retain(|event| {
            let is_dropped = left > 0 && event.channel() == channel;
            if is_dropped {
                left -= 1;
                self.bytes -= event.json().len();
            }
            !is_dropped
        });
    }
}
