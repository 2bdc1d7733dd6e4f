//! The messages that were delivered last, for sessions that come from another node.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::bayeux::{ChannelName, Event};

/// How many are remembered, and how many bytes of them.
const MAX: usize = 8192;
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The messages that were delivered last.
#[derive(Debug, Default)]
pub(in crate::server) struct Recent {
    events: VecDeque<(u64, ChannelName, Arc<Event>)>,
    bytes: usize,
    /// All that came with larger numbers is remembered.
    since: u64,
    last: u64,
}

impl Recent {
    /// Returns the number of the last one.
    pub(in crate::server) fn last(&self) -> u64 {
        self.last
    }

    /// Returns those with larger numbers; nothing if it does not reach back so far.
    pub(in crate::server) fn after(
        &self,
        id: u64,
    ) -> Option<impl Iterator<Item = (&ChannelName, &Arc<Event>)>> {
        let begin = self.events.partition_point(|(number, ..)| *number <= id);
        let events = self.events.range(begin..);
        (id >= self.since).then(|| events.map(|(_, channel, event)| (channel, event)))
    }

    /// Notes a message that nobody is sent.
    pub(in crate::server) fn pass(&mut self, id: u64) {
        self.last = id;
    }

    pub(in crate::server) fn push(&mut self, id: u64, channel: ChannelName, event: Arc<Event>) {
        self.last = id;
        self.bytes += event.json().len();
        self.events.push_back((id, channel, event));
        while self.events.len() > MAX || self.bytes > MAX_BYTES {
            let Some((id, _, event)) = self.events.pop_front() else {
                break;
            };
            self.bytes -= event.json().len();
            self.since = id;
        }
    }

    /// Notes that all up to a number has come, or is told to be missing; nothing before is remembered.
    pub(in crate::server) fn begin(&mut self, id: u64) {
        self.events.clear();
        self.bytes = 0;
        self.since = id;
        self.last = id;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::{Limits, Parts, ReplayId};

    fn event(channel: &ChannelName, data: &str) -> Arc<Event> {
        let parts = Parts {
            data: data.as_bytes().into(),
            ext: None,
            custom: None,
        };
        Arc::new(parts.encode(channel, 0, ReplayId::None))
    }

    fn ids(recent: &Recent, after: u64) -> Option<usize> {
        recent.after(after).map(Iterator::count)
    }

    #[test]
    fn it_reaches_back_as_far_as_there_is_room() {
        let channel = ChannelName::parse("/a", &Limits::default()).expect("a channel");
        let mut recent = Recent::default();
        recent.begin(100);
        assert_eq!((ids(&recent, 99), ids(&recent, 100)), (None, Some(0)));
        for id in 101..=110 {
            recent.push(id, channel.clone(), event(&channel, "1"));
        }
        assert_eq!(recent.last(), 110);
        assert_eq!((ids(&recent, 100), ids(&recent, 105)), (Some(10), Some(5)));
        let large = format!("\"{}\"", "x".repeat(MAX_BYTES - 1000));
        recent.push(111, channel.clone(), event(&channel, &large));
        assert_eq!(ids(&recent, 100), Some(11));
        recent.push(112, channel.clone(), event(&channel, &large));
        assert_eq!((ids(&recent, 110), ids(&recent, 111)), (None, Some(1)));
    }
}
