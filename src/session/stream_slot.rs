//! The stream a session's events leave by, and what of them is kept to be repeated.
//!
//! At most one stream is *open*: the newest. One may be *writing* that is no longer open: what it
//! took comes back unless it was written, so until then no other takes any, and order is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Settings;
use super::record::{EventRecord, Revive, StreamRecord, Unreadable};
use crate::bayeux::Event;
use crate::memory::sizes;

/// Where events leave beside replies.
#[derive(Debug, Default)]
pub(super) struct StreamSlot {
    open: Option<u64>,
    writing: Option<Writing>,
    keeps_session: bool,
    /// The stream is the response of a connect.
    is_of_connect: bool,
    /// How many events have left and were numbered, so also the number of the newest.
    left: u64,
    replay: Option<Box<Replay>>,
}

/// A stream that has taken events.
#[derive(Debug)]
struct Writing {
    ticket: u64,
    /// So many of the newest events that are kept are what it took.
    kept: usize,
    /// Whether what it took was numbered.
    is_numbered: bool,
}

/// The last events that left by a stream, numbered from 1.
#[derive(Debug, Default)]
struct Replay {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl StreamSlot {
    /// Makes the record of what has left, and is kept. The stream itself ends with its connection: what is on
    /// its way by then counts as what has left.
    pub(super) fn record(&self) -> Result<StreamRecord, Unreadable> {
        let Self {
            open: _,
            writing: _,
            keeps_session,
            is_of_connect: _,
            left,
            replay,
        } = self;
        let kept = replay.as_ref();
        let kept = kept.map(|replay| EventRecord::of_all(&replay.events));
        Ok(StreamRecord {
            left: *left,
            kept: kept.transpose()?,
            keeps_session: *keeps_session,
        })
    }

    /// Makes the record of it without events.
    pub(super) fn skeleton(&self) -> StreamRecord {
        StreamRecord {
            left: self.left,
            kept: None,
            keeps_session: self.keeps_session,
        }
    }

    /// Makes one without a stream of its record.
    pub(super) fn of_record(
        record: StreamRecord,
        revive: &mut Revive<'_>,
    ) -> Result<Self, Unreadable> {
        let revived = |events: Vec<EventRecord>| -> Result<_, Unreadable> {
            let mut replay = Box::<Replay>::default();
            for event in events {
                replay.push(revive(event)?);
            }
            Ok(replay)
        };
        Ok(Self {
            left: record.left,
            replay: record.kept.map(revived).transpose()?,
            keeps_session: record.keeps_session,
            ..Self::default()
        })
    }

    /// Lets a stream in, in place of the one that was closed.
    pub(super) fn open(&mut self, ticket: u64) {
        self.open = Some(ticket);
        self.keeps_session = false;
        self.is_of_connect = false;
    }

    /// Lets no stream write from now on; true if one was open.
    pub(super) fn close(&mut self) -> bool {
        self.open.take().is_some()
    }

    /// Lets events leave by other ways from now on; true if a stream was open.
    pub(super) fn end(&mut self) -> bool {
        self.stop_replay();
        self.close()
    }

    /// Keeps nothing of what leaves.
    pub(super) fn stop_replay(&mut self) {
        self.replay = None;
        if let Some(writing) = &mut self.writing {
            writing.kept = 0;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn is_current(&self, ticket: u64) -> bool {
        self.open == Some(ticket)
    }

    pub(super) fn keep_session(&mut self) {
        self.keeps_session = true;
    }

    pub(super) fn be_of_connect(&mut self) {
        self.is_of_connect = true;
    }

    pub(super) fn is_of_connect(&self) -> bool {
        self.is_of_connect
    }

    pub(super) fn keeps_session(&self) -> bool {
        self.keeps_session
    }

    /// Tells whether events are on their way, and may come back.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Notes that a stream takes these events; returns the number of the first.
    pub(super) fn write(&mut self, ticket: u64, events: &[Arc<Event>], settings: &Settings) -> u64 {
        let replay = self.replay.as_mut();
        let kept = replay.as_ref().map_or(0, |_| events.len());
        self.writing = Some(Writing {
            ticket,
            kept,
            is_numbered: replay.is_some(),
        });
        let Some(replay) = replay else { return 0 };
        replay.keep(events, settings);
        let first = self.left + 1;
        self.left += events.len() as u64;
        first
    }

    /// Notes that a stream has written what it took.
    pub(super) fn note_written(&mut self, ticket: u64) {
        self.writing.take_if(|writing| writing.ticket == ticket);
    }

    /// Takes back the last `count` events that a stream took; false if they are not its any more.
    pub(super) fn take_back(&mut self, ticket: u64, count: usize) -> bool {
        let own = self.writing.take_if(|writing| writing.ticket == ticket);
        let is_kept = own.as_ref().is_some_and(|own| own.kept > 0);
        if let Some(replay) = self.replay.as_mut().filter(|_| is_kept) {
            replay.forget_newest(count);
        }
        if own.as_ref().is_some_and(|own| own.is_numbered) {
            self.left -= count as u64;
        }
        own.is_some()
    }

    /// Returns the bytes of the places of events that are kept.
    pub(super) fn places(&self) -> usize {
        self.replay.as_ref().map_or(0, |replay| {
            let places = replay.events.capacity() * size_of::<Arc<Event>>();
            sizes::block(size_of::<Replay>()) + sizes::block(places)
        })
    }

    /// Returns the bytes of the events that are kept.
    pub(super) fn kept_bytes(&self) -> usize {
        self.replay.as_ref().map_or(0, |replay| replay.bytes)
    }

    pub(super) fn is_replaying(&self) -> bool {
        self.replay.is_some()
    }

    /// Returns the number of the last event that left for good; zero if they are not counted.
    pub(super) fn left(&self) -> u64 {
        let on_its_way = self.writing.as_ref().map_or(0, |writing| writing.kept);
        self.left.saturating_sub(on_its_way as u64)
    }

    /// Keeps events from now on. Returns those that left after the event `last`, which leave again
    /// under the same numbers, and whether they are all.
    pub(super) fn replay(&mut self, last: Option<u64>) -> (Vec<Arc<Event>>, bool) {
        let replay = self.replay.get_or_insert_default();
        let Some(last) = last else {
            return (Vec::new(), true);
        };
        let Some(missing) = self.left.checked_sub(last) else {
            // It names an event that is yet to leave.
            return (Vec::new(), false);
        };
        // What is on its way leaves again too if it is among those that are kept.
        self.writing.take_if(|writing| writing.kept > 0);
        let again = replay.take_newest(usize::try_from(missing).unwrap_or(usize::MAX));
        self.left -= again.len() as u64;
        let is_complete = again.len() as u64 == missing;
        (again, is_complete)
    }
}

impl Replay {
    fn keep(&mut self, events: &[Arc<Event>], settings: &Settings) {
        for event in events {
            self.push(Arc::clone(event));
        }
        while self.events.len() > settings.max_replay
            || self.bytes as u64 > settings.max_queue_bytes.as_u64()
        {
            let Some(oldest) = self.events.pop_front() else {
                break;
            };
            self.bytes -= oldest.json().len();
        }
    }

    fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.json().len();
        self.events.push_back(event);
    }

    fn forget_newest(&mut self, count: usize) {
        for _ in 0..count {
            let Some(newest) = self.events.pop_back() else {
                break;
            };
            self.bytes -= newest.json().len();
        }
    }

    /// Takes the newest events, at most so many, and forgets the others.
    fn take_newest(&mut self, count: usize) -> Vec<Arc<Event>> {
        self.bytes = 0;
        let mut events = std::mem::take(&mut self.events);
        events.split_off(events.len().saturating_sub(count)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::state::tests::event;

    fn slot(events: &[&str], max_replay: usize) -> (StreamSlot, Settings) {
        let settings = Settings {
            max_replay,
            ..Settings::default()
        };
        let mut slot = StreamSlot::default();
        slot.open(1);
        assert!(slot.replay(None).1);
        for name in events {
            slot.write(1, &[event(name)], &settings);
            slot.note_written(1);
        }
        (slot, settings)
    }

    #[test]
    fn what_came_after_the_last_event_leaves_again_under_the_same_numbers() {
        let cases = [
            (4, 10, 0, true),
            (2, 10, 2, true),
            (0, 10, 4, true),
            // Only two are kept.
            (2, 2, 2, true),
            (1, 2, 2, false),
            (0, 2, 2, false),
            // It was never sent.
            (5, 10, 0, false),
        ];
        for (last, max_replay, again, is_complete) in cases {
            let (mut slot, settings) = slot(&["a", "b", "c", "d"], max_replay);
            let (events, complete) = slot.replay(Some(last));
            assert_eq!((events.len(), complete), (again, is_complete), "{last}");
            let first = slot.write(1, &events, &settings);
            assert_eq!(first, 5 - again as u64, "{last}");
        }
    }

    #[test]
    fn what_was_not_written_is_not_kept() {
        let (mut slot, settings) = slot(&["a"], 10);
        assert_eq!(slot.write(1, &[event("b"), event("c")], &settings), 2);
        assert!(slot.take_back(1, 1));
        assert!(!slot.take_back(1, 1), "it was taken back");
        assert_eq!(slot.write(1, &[event("c")], &settings), 3);
    }

    #[test]
    fn what_leaves_again_is_not_taken_back_too() {
        let (mut slot, settings) = slot(&["a"], 10);
        slot.write(1, &[event("b")], &settings);
        slot.open(2);
        assert_eq!(slot.replay(Some(0)).0.len(), 2);
        assert!(!slot.take_back(1, 1));
    }

    #[test]
    fn what_was_taken_before_the_replay_began_anew_is_not_of_it() {
        let (mut slot, settings) = slot(&["a"], 10);
        slot.write(1, &[event("b"), event("c")], &settings);
        // A poll takes the session over, and a stream comes back, while they are on their way.
        slot.end();
        slot.open(2);
        assert!(slot.replay(Some(0)).0.is_empty());
        assert!(slot.take_back(1, 2), "nothing else would repeat them");
        assert_eq!(slot.write(2, &[event("b"), event("c")], &settings), 2);
    }

    #[test]
    fn what_is_on_its_way_comes_back_if_nothing_leaves_again() {
        let (mut slot, settings) = slot(&["a"], 10);
        slot.write(1, &[event("b")], &settings);
        slot.open(2);
        assert!(slot.replay(Some(99)).0.is_empty());
        assert!(slot.take_back(1, 1));
    }
}
