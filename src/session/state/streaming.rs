//! The part of a session's life that it spends with a stream: events leave by that, and resume
//! nothing.

use std::sync::Arc;
use std::time::Instant;

use super::{Phase, State, Wake};
use crate::bayeux::Event;
use crate::session::{Beginning, Settings, StreamStep};

impl State {
    /// Makes a stream the one that events leave by, instead of another; nothing if the session has
    /// ended.
    pub(in crate::session) fn attach(&mut self) -> Option<(u64, Wake)> {
        if matches!(self.phase, Phase::Ended(_)) {
            return None;
        }
        let stream = self.stream_slot.close();
        let ticket = self.take_ticket();
        self.stream_slot.open(ticket);
        self.has_new_stream = self.replying.is_some();
        self.has_had_stream = true;
        Some((
            ticket,
            Wake {
                stream,
                reply: self.replying.is_some(),
                ..Wake::NONE
            },
        ))
    }

    /// Tells whether a stream has ever been the session's.
    pub(in crate::session) fn has_had_stream(&self) -> bool {
        self.has_had_stream
    }

    /// Keeps nothing of what leaves by the stream.
    pub(in crate::session) fn do_not_replay(&mut self) {
        self.stream_slot.stop_replay();
    }

    /// Keeps what leaves by the stream, to repeat what came after the event `last` to one that
    /// continues another.
    pub(in crate::session) fn replay(&mut self, last: Option<u64>) -> Beginning {
        let (events, is_complete) = self.stream_slot.replay(last);
        self.queue.put_back(events);
        Beginning {
            after: self.stream_slot.left(),
            is_complete,
        }
    }

    /// Notes that the stream is the response of a connect, by which events leave also if they leave by
    /// connects only.
    pub(in crate::session) fn stream_is_of_connect(&mut self) {
        self.stream_slot.be_of_connect();
    }

    /// Closes the stream that would have been the response of a connect, if that is not held: its
    /// events leave with the reply.
    pub(in crate::session) fn close_stream_of_connect(&mut self) {
        if self.stream_slot.is_of_connect() {
            self.stream_slot.close();
        }
    }

    /// Keeps the session as long as its stream is open, with no connect.
    pub(in crate::session) fn keep_with_stream(&mut self) {
        self.stream_slot.keep_session();
    }

    /// Returns what its stream has to do.
    pub(in crate::session) fn next_for_stream(
        &mut self,
        ticket: u64,
        max_bytes: u64,
        settings: &Settings,
    ) -> Option<StreamStep> {
        if let Phase::Ended(reason) = self.phase {
            return Some(StreamStep::Ended(reason));
        }
        if !self.stream_slot.is_current(ticket) {
            return Some(StreamStep::Displaced);
        }
        self.stream_slot.note_written(ticket);
        let has_events = self.queue.is_urgent() && self.batches == 0;
        let is_away = self.stream_slot.is_writing() || self.replying.is_some();
        if !has_events || is_away || self.is_cut || !self.is_streamed(settings) {
            return None;
        }
        // More than are kept could not be repeated if all of them were lost.
        let max_events = if self.stream_slot.is_replaying() {
            settings.max_replay
        } else {
            usize::MAX
        };
        let events = self.queue.take(max_bytes, max_events);
        let first = self.stream_slot.write(ticket, &events, settings);
        Some(StreamStep::Events { first, events })
    }

    /// Tells whether no other took the session over from a stream.
    pub(in crate::session) fn is_undisplaced(&self, ticket: u64) -> bool {
        self.stream_slot.is_current(ticket) || matches!(self.phase, Phase::Ended(_))
    }

    /// Tells whether a stream is still the session's.
    pub(in crate::session) fn is_stream(&self, ticket: u64) -> bool {
        let lives = !self.is_cut && !matches!(self.phase, Phase::Ended(_));
        self.stream_slot.is_current(ticket) && lives
    }

    /// Takes events back that a stream did not write.
    pub(in crate::session) fn give_back(
        &mut self,
        ticket: u64,
        events: Vec<Arc<Event>>,
        settings: &Settings,
    ) -> Wake {
        if matches!(self.phase, Phase::Ended(_))
            || !self.stream_slot.take_back(ticket, events.len())
        {
            return Wake::NONE;
        }
        self.queue.put_back(events);
        self.resume_for_events(settings)
    }

    /// Lets go of a stream, after [`give_back`](Self::give_back).
    pub(in crate::session) fn detach(
        &mut self,
        ticket: u64,
        settings: &Settings,
        now: Instant,
    ) -> Wake {
        self.stream_slot.note_written(ticket);
        if self.stream_slot.is_current(ticket) {
            if self.stream_slot.keeps_session() {
                self.expiry = now + self.times().max_interval(settings);
            }
            self.stream_slot.close();
        }
        self.resume_for_events(settings)
    }

    /// Tells whether events leave by a stream, be it one that is yet to come back.
    pub(super) fn is_streamed(&self, settings: &Settings) -> bool {
        if self.acknowledges() {
            return false;
        }
        let may_carry =
            self.stream_slot.is_of_connect() || !self.delivers_on_connect_only(settings);
        self.stream_slot.is_replaying() || (self.stream_slot.is_open() && may_carry)
    }

    /// Tells whether events may leave with a reply: none is on its way by a stream.
    pub(super) fn may_drain(&self, settings: &Settings) -> bool {
        let is_away = self.stream_slot.is_writing() || self.replying.is_some();
        !self.is_streamed(settings) && !is_away && !self.is_cut
    }
}

#[cfg(test)]
mod tests;
