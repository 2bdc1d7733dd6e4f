//! The part of a session's life in which events leave with replies: taken, on their way, come back,
//! acknowledged.

use std::sync::Arc;
use std::time::Instant;

use super::{Phase, State, Wake};
use crate::bayeux::Event;
use crate::session::{Backlog, Settings, Taken};

/// Bytes to which a reply is made smaller at most.
const MIN_REPLY: u64 = 16 * 1024;
/// After more cuts than these a reply becomes no smaller.
const MAX_CUTS: u8 = 16;

/// Returns how many bytes of events a reply may carry after so many that were cut.
fn max_reply(cuts: u8, settings: &Settings) -> u64 {
    let max = settings.max_response_size.as_u64();
    (max >> cuts).max(MIN_REPLY.min(max))
}

impl State {
    /// Takes queued events for the reply to a publish, unless they leave otherwise.
    pub(in crate::session) fn drain_for_publish(&mut self, settings: &Settings) -> Vec<Arc<Event>> {
        if self.delivers_on_connect_only(settings) {
            return Vec::new();
        }
        self.drain(settings)
    }

    /// Takes queued events for the reply to a connect: the newest, or its client may have given it up.
    pub(in crate::session) fn drain_for_connect(
        &mut self,
        connect: u64,
        settings: &Settings,
    ) -> Taken {
        if connect != self.connects {
            return Taken::default();
        }
        let Some(acks) = &mut self.acks else {
            let events = self.drain(settings);
            if !events.is_empty() {
                self.replying = Some(connect);
                self.has_new_stream = false;
            }
            return Taken::of(events);
        };
        // Of what was cut, what is too much for one reply now is as if it had never been sent.
        let max = max_reply(self.cuts, settings);
        self.queue.put_back(acks.take_back(max));
        let mut events = acks.again();
        let resent = events.len();
        let left = max.saturating_sub(acks.size().bytes as u64);
        if events.is_empty() || self.queue.fits(left) {
            events.extend(self.queue.take(left, usize::MAX));
        }
        let number = acks.send(&events[resent..]);
        self.queue.count_beside(acks.size());
        Taken {
            events,
            number: Some(number),
            resent,
            ..Taken::default()
        }
    }

    pub(super) fn drain(&mut self, settings: &Settings) -> Vec<Arc<Event>> {
        if !self.may_drain(settings) {
            return Vec::new();
        }
        self.queue.take(max_reply(self.cuts, settings), usize::MAX)
    }

    /// Notes whether a reply with events was written whole: after one that was not the next is
    /// smaller, so that it may be.
    pub(in crate::session) fn note_reply(&mut self, is_whole: bool) {
        self.cuts = if is_whole {
            self.cuts.saturating_sub(1)
        } else {
            self.cuts.saturating_add(1).min(MAX_CUTS)
        };
    }

    /// Notes that a response could not be written at once.
    pub(in crate::session) fn begin_writing(&mut self, to_connect: bool) {
        *self.writing_to(to_connect) += 1;
    }

    /// Notes that one is written, or given up; from then on its client has time to connect, and after
    /// what answered none no more than messages would give it.
    pub(in crate::session) fn end_writing(
        &mut self,
        to_connect: bool,
        settings: &Settings,
        now: Instant,
    ) {
        let writing = self.writing_to(to_connect);
        *writing = writing.saturating_sub(1);
        let expiry = now + self.interval(settings) + self.times().max_interval(settings);
        if to_connect {
            self.connected = self.connected.max(now);
            self.expiry = self.expiry.max(expiry);
        } else {
            let longest = self.connected + settings.max_unconnected;
            self.expiry = self.expiry.max(longest.min(expiry));
        }
    }

    fn writing_to(&mut self, connect: bool) -> &mut u32 {
        if connect {
            &mut self.writing.to_connects
        } else {
            &mut self.writing.to_others
        }
    }

    /// Returns what has to be put back of events whose response was not written: with
    /// acknowledgement the next connect says what has arrived, and may have said so already.
    pub(in crate::session) fn restorable(&self, events: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
        if self.acknowledges() {
            return Vec::new();
        }
        events
    }

    /// Ends the way of events with a reply, and puts those back that were not written.
    pub(in crate::session) fn end_reply(
        &mut self,
        connect: Option<u64>,
        unwritten: Vec<Arc<Event>>,
        settings: &Settings,
    ) -> Wake {
        self.replying.take_if(|replying| Some(*replying) == connect);
        if matches!(self.phase, Phase::Ended(_)) {
            return Wake::NONE;
        }
        self.queue.put_back(unwritten);
        let gap = self.resume_for_gap();
        self.resume_for_events(settings).and(gap)
    }

    /// Tells whether a connect is the newest, with whose reply events are on their way. With
    /// acknowledgement a newer one has them too, and a stream has none.
    pub(in crate::session) fn is_replying(&self, connect: u64) -> bool {
        let lives = !self.is_cut && !matches!(self.phase, Phase::Ended(_));
        let is_newest = self.connects == connect && lives;
        let is_undisplaced = self.replying == Some(connect) && !self.has_new_stream;
        is_newest && (is_undisplaced || self.acknowledges())
    }

    pub(in crate::session) fn begin_acks(&mut self) {
        self.acks.get_or_insert_default();
    }

    pub(in crate::session) fn acknowledges(&self) -> bool {
        self.acks.is_some()
    }

    pub(in crate::session) fn backlog(&self) -> Backlog {
        Backlog {
            queued: self.queue.len(),
            unacknowledged: self.acks.as_ref().map_or(0, |acks| acks.size().events),
        }
    }

    /// Takes a connect's acknowledgement.
    pub(super) fn acknowledge(&mut self, number: Option<u64>) {
        if let Some(acks) = &mut self.acks {
            acks.acknowledge(number);
            self.queue.count_beside(acks.size());
            let number = number.unwrap_or(0);
            self.gaps.take_if(|gaps| gaps.has_arrived(number));
        }
    }

    /// Tells whether the reply to a connect would have something to carry that does not wait.
    pub(super) fn has_something_due(&self, now: Instant) -> bool {
        self.queue.is_due(now)
            || self.acks.as_ref().is_some_and(|acks| !acks.is_empty())
            || self.owes_gap()
    }
}
