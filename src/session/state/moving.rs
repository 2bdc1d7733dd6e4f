//! The part of a session's life in which it goes from one node of a cluster to another, or may have to.

use std::sync::Arc;

use super::{Phase, State, Wake};
use crate::bayeux::{ChannelPattern, Event};
use crate::metrics::EndReason;
use crate::session::Settings;
use crate::session::gaps::Gaps;
use crate::session::record::StateRecord;

impl State {
    /// Goes on after [`cut`](Self::cut), as if it had not been.
    pub(in crate::session) fn mend(&mut self, settings: &Settings) -> Wake {
        self.is_cut = false;
        self.resume_for_events(settings)
    }

    /// Tells whether nothing of it is on its way.
    pub(in crate::session) fn is_quiet(&self) -> bool {
        let is_away = self.stream_slot.is_writing() || self.replying.is_some();
        !is_away && self.batches == 0 && !self.is_deciding()
    }

    /// Tells whether it is being looked up what it gets of the past, which its record does not say.
    pub(in crate::session) fn is_deciding(&self) -> bool {
        let replaying = self.replaying.as_ref();
        replaying.is_some_and(|replaying| replaying.is_undecided())
    }

    /// Tells whether its client has acknowledged something since this was asked.
    pub(in crate::session) fn has_acknowledged(&mut self) -> bool {
        self.acks.as_mut().is_some_and(|acks| acks.take_news())
    }

    /// Makes the record that another node is to go on with if this one dies: without events; nothing of what has
    /// ended. All messages up to `last` have been offered to it.
    pub(in crate::session) fn skeleton(&self, last: u64) -> Option<StateRecord> {
        let parts = self.skeleton_parts(last);
        self.recorded(parts)
    }

    /// Returns the largest number such that whatever it was to get up to that, its client has acknowledged.
    pub(super) fn position(&self, last: u64) -> u64 {
        let sent = self.acks.as_ref().and_then(|acks| acks.first_id());
        let unacknowledged = [sent, self.queue.first_id()].into_iter().flatten().min();
        let replaying = self.replaying.as_ref();
        let read = replaying.and_then(|replaying| replaying.read_up_to());
        let before = unacknowledged.map(|id| id - 1);
        let all = last.max(self.floor);
        before.into_iter().chain(read).min().unwrap_or(all)
    }

    /// Notes that a subscription has begun, unless its client asks for the past too, or acknowledges nothing.
    pub(in crate::session) fn begin_subscription(&mut self, pattern: &ChannelPattern) {
        let replays = self.replays(pattern);
        if let Some(acks) = self.acks.as_mut().filter(|_| !replays) {
            acks.begin(pattern);
        }
    }

    /// Returns the subscriptions of which it is to be known since when their messages come.
    pub(in crate::session) fn beginning(&self) -> Vec<ChannelPattern> {
        let acks = self.acks.as_ref();
        acks.map_or_else(Vec::new, |acks| acks.beginning())
    }

    /// Notes that the messages of these come since a number. All up to `last` have been offered to it.
    pub(in crate::session) fn have_begun(
        &mut self,
        patterns: &[ChannelPattern],
        at: u64,
        last: u64,
    ) {
        let position = self.position(last);
        if let Some(acks) = &mut self.acks {
            acks.have_begun(patterns, at, position);
        }
    }

    /// Tells whether it was let go because another node had adopted it: what was changed here since is forgotten.
    pub(in crate::session) fn is_lost(&self) -> bool {
        // One that moves is cut before.
        matches!(self.phase, Phase::Ended(EndReason::Moved)) && !self.is_cut
    }

    /// Returns up to which message of the cluster it has all.
    pub(in crate::session) fn floor(&self) -> u64 {
        self.floor
    }

    /// Notes that messages of these may be missing. An event stream of its own is told at once, by what `told`
    /// makes.
    pub(in crate::session) fn note_gap(
        &mut self,
        patterns: &[ChannelPattern],
        told: impl Fn(&ChannelPattern) -> Arc<Event>,
        settings: &Settings,
    ) -> Wake {
        if matches!(self.phase, Phase::Ended(_)) {
            return Wake::NONE;
        }
        if self.stream_slot.keeps_session() {
            for pattern in patterns {
                self.queue.push_read(&told(pattern));
            }
            return self.resume_for_events(settings);
        }
        self.gaps.get_or_insert_default().add(patterns);
        self.resume_for_gap()
    }

    /// Resumes the held connect if there is a gap to tell: whoever waits for messages has to hear that some will not
    /// come.
    pub(super) fn resume_for_gap(&mut self) -> Wake {
        if !self.owes_gap() || self.batches > 0 || self.replying.is_some() {
            return Wake::NONE;
        }
        self.wake_connect()
    }

    pub(super) fn owes_gap(&self) -> bool {
        self.gaps.as_deref().is_some_and(|gaps| !gaps.is_told())
    }

    /// Returns what the reply to a connect is to tell of what may be missing, as JSON: that to the newest.
    pub(in crate::session) fn take_gap(
        &mut self,
        connect: u64,
        number: Option<u64>,
    ) -> Option<String> {
        let gaps = self.gaps.as_mut().filter(|_| connect == self.connects)?;
        if number.is_none() {
            let is_away = self.replying.is_some_and(|replying| replying != connect);
            if is_away || gaps.is_told() {
                return None;
            }
            self.replying = Some(connect);
            self.has_new_stream = false;
        }
        gaps.tell(number.unwrap_or(connect));
        Some(gaps.json())
    }

    /// Hears whether the reply to a connect was written, with the gap that it may have told; who acknowledges says it
    /// with the next.
    pub(in crate::session) fn end_telling(&mut self, connect: Option<u64>, is_written: bool) {
        if self.acknowledges() {
            return;
        }
        let told = |gaps: &mut Box<Gaps>| connect.is_some_and(|connect| gaps.is_told_with(connect));
        if let Some(mut gaps) = self.gaps.take_if(told)
            && !is_written
        {
            gaps.tell_again();
            self.gaps = Some(gaps);
        }
    }
}
