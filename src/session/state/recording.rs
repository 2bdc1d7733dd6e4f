//! The part of a session's life between two processes: what one leaves to the next.

use std::time::{Duration, Instant};

use super::{Phase, State, Wake, Writing};
use crate::bayeux::RandomId;
use crate::session::Settings;
use crate::session::acks::Acks;
use crate::session::gaps::Gaps;
use crate::session::queue::Queue;
use crate::session::record::{
    AcksRecord, PatternRecord, QueueRecord, Revive, RunRecord, StateRecord, StreamRecord,
    Unreadable,
};
use crate::session::replaying::Replaying;
use crate::session::stream_slot::StreamSlot;
use crate::session::subscriptions::Subscriptions;
use crate::session::times::Times;

/// What is written of the events that a session has, and is to get.
pub(super) struct Parts {
    queue: QueueRecord,
    stream: StreamRecord,
    acks: Option<AcksRecord>,
    replaying: Vec<RunRecord>,
    position: Option<u64>,
}

impl State {
    /// Ends the ways by which events are on their way: what is not written yet comes back, and none leaves any
    /// more.
    pub(in crate::session) fn cut(&mut self) -> Wake {
        self.is_cut = true;
        Wake {
            connect: self.resume(),
            stream: true,
            reply: true,
        }
    }

    /// Makes the record of a session without connections; nothing of one that has ended.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in crate::session) fn record(
        &self,
        now: Instant,
    ) -> Result<Option<StateRecord>, Unreadable> {
        let acks = self.acks.as_ref();
        let replaying = self.replaying.as_ref();
        let parts = Parts {
            queue: self.queue.record(now)?,
            stream: self.stream_slot.record()?,
            acks: acks.map(|acks| acks.record()).transpose()?,
            replaying: replaying.map_or_else(Vec::new, |replaying| replaying.record()),
            position: None,
        };
        Ok(self.recorded(parts))
    }

    /// Makes the parts of a record without events, and without what it has yet to get of the past, which its
    /// client has not acknowledged.
    pub(super) fn skeleton_parts(&self, last: u64) -> Parts {
        Parts {
            queue: QueueRecord::default(),
            stream: self.stream_slot.skeleton(),
            acks: self.acks.as_ref().map(|acks| acks.skeleton()),
            replaying: Vec::new(),
            position: Some(self.position(last)),
        }
    }

    /// Makes a record of parts of it, and of all the rest; nothing of a session that has ended.
    pub(super) fn recorded(&self, parts: Parts) -> Option<StateRecord> {
        // All fields by name: what is new has to find its place here, or a reason why it has none.
        let Self {
            phase,
            // They are among the parts.
            queue: _,
            stream_slot: _,
            acks: _,
            replaying: _,
            // What belongs to connections, and numbers that only they know, ends with them.
            held: _,
            next_ticket: _,
            connects: _,
            replying: _,
            has_new_stream: _,
            writing: _,
            cuts,
            batches: _,
            times,
            // It begins anew, as does the time of the last connect.
            expiry: _,
            connected: _,
            client_interval,
            polling_interval,
            // It is needed in any case: what the client was told last was when to come back.
            needs_advice: _,
            // No connect of its browser is held any more.
            surplus_until: _,
            delivers_on_connect_only,
            is_stopping: _,
            is_cut: _,
            // The session has it.
            browser: _,
            is_bound,
            has_had_stream,
            subscriptions,
            // What it names has come with the session.
            floor: _,
            gaps,
        } = self;
        let is_connected = match phase {
            Phase::Handshaken => false,
            Phase::Connected => true,
            Phase::Ended(_) => return None,
        };
        let Times {
            timeout,
            interval,
            max_interval,
            // It follows from who its client is.
            ends: _,
        } = times.as_deref().copied().unwrap_or_default();
        let subscriptions = subscriptions.to_vec().into_iter().map(PatternRecord);
        let gaps = gaps.as_ref().map(|gaps| gaps.patterns().cloned());
        Some(StateRecord {
            is_connected,
            queue: parts.queue,
            stream: parts.stream,
            acks: parts.acks,
            cuts: *cuts,
            timeout,
            interval,
            max_interval,
            client_interval: *client_interval,
            polling_interval: *polling_interval,
            delivers_on_connect_only: *delivers_on_connect_only,
            is_bound: *is_bound,
            has_had_stream: *has_had_stream,
            subscriptions: subscriptions.collect(),
            replaying: parts.replaying,
            gaps: gaps.into_iter().flatten().map(PatternRecord).collect(),
            position: parts.position,
        })
    }

    /// Makes the state of a session that another process has left; its client has `comes_back` beside what it
    /// always has until it expires.
    ///
    /// # Errors
    /// An event of it cannot be read.
    pub(in crate::session) fn of_record(
        record: StateRecord,
        browser: RandomId,
        revive: &mut Revive<'_>,
        comes_back: Duration,
        settings: &Settings,
        now: Instant,
    ) -> Result<Self, Unreadable> {
        let times = Times {
            timeout: record.timeout,
            interval: record.interval,
            max_interval: record.max_interval,
            ends: None,
        };
        let mut subscriptions = Subscriptions::default();
        for PatternRecord(pattern) in &record.subscriptions {
            subscriptions.insert(pattern);
        }
        let acks = record.acks.map(|acks| Acks::of_record(acks, revive));
        let mut state = Self {
            phase: if record.is_connected {
                Phase::Connected
            } else {
                Phase::Handshaken
            },
            queue: Queue::of_record(record.queue, revive, now)?,
            stream_slot: StreamSlot::of_record(record.stream, revive)?,
            held: None,
            next_ticket: 0,
            connects: 0,
            replying: None,
            has_new_stream: false,
            acks: acks.transpose()?.map(Box::new),
            writing: Writing::default(),
            cuts: record.cuts,
            batches: 0,
            times: times.are_own().then(|| Box::new(times)),
            expiry: now,
            connected: now,
            client_interval: record.client_interval,
            polling_interval: record.polling_interval,
            needs_advice: true,
            surplus_until: None,
            delivers_on_connect_only: record.delivers_on_connect_only,
            is_stopping: false,
            is_cut: false,
            browser,
            is_bound: record.is_bound,
            has_had_stream: record.has_had_stream,
            subscriptions,
            replaying: Some(record.replaying)
                .filter(|runs| !runs.is_empty())
                .map(|runs| Box::new(Replaying::of_record(runs))),
            floor: 0,
            gaps: Some(Gaps::of_record(record.gaps))
                .filter(|gaps| !gaps.is_empty())
                .map(Box::new),
        };
        if let Some(acks) = &state.acks {
            state.queue.count_beside(acks.size());
        }
        state.start_expiry(settings, now);
        state.expiry += comes_back;
        Ok(state)
    }
}
