//! How an event comes to a session: whatever has to go for it, or only if there is room.

use std::borrow::Cow;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::state::Lost;
use super::{Begins, Delivered, Inner, Session, Settings, Wake};
use crate::bayeux::{ChannelPattern, Event};
use crate::history::{Kept, Page, Query};
use crate::memory::Level;

impl Session {
    /// Queues an event; a lazy one may wait for `lazy` before it resumes the held connect.
    pub fn deliver(
        &self,
        event: &Arc<Event>,
        lazy: Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> Delivered {
        self.deliver_by(event, lazy, now, &self.shared.settings.get())
    }

    /// Does so by the settings of all sessions, as whoever has an event for many has asked for them once.
    pub fn deliver_by(
        &self,
        event: &Arc<Event>,
        lazy: Option<Duration>,
        now: impl Fn() -> Instant,
        settings: &Settings,
    ) -> Delivered {
        let Some(event) = self.passed(event, &now) else {
            return Delivered::Dropped;
        };
        let mut inner = self.lock();
        if !inner.state.takes_live(&event) {
            return Delivered::Later;
        }
        // One event for many sessions may double all their queues before anyone could be ended.
        if inner.state.queue_grows_long() && self.memory().level() == Level::Full {
            return Delivered::NoMemory;
        }
        self.push(inner, &event, lazy.map(|lazy| now() + lazy), settings)
    }

    /// Queues an event if that takes at most a part of what may be queued, such as 4 for a quarter; else it is
    /// dropped, whatever the policy is, and nothing else has to go for it.
    pub fn offer(&self, event: &Arc<Event>, part: usize, now: impl Fn() -> Instant) -> Delivered {
        let Some(event) = self.passed(event, &now) else {
            return Delivered::Dropped;
        };
        let mut inner = self.lock();
        let is_short = inner.state.queue_grows_long() && self.memory().level() == Level::Full;
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        if is_short || !state.has_room_for(&event, part, settings) {
            return Delivered::Dropped;
        }
        self.push(inner, &event, None, settings)
    }

    /// Notes that it has come with all messages of the cluster up to one: they are not queued again.
    pub fn set_floor(&self, order: u64) {
        self.lock().state.set_floor(order);
    }

    /// Queues a page of messages that was read for a run of it, once the extensions that ask for deliveries have
    /// looked at them; returns how many are queued, and what cannot be had any more.
    pub fn replay(
        &self,
        run: u64,
        page: &Page,
        event: impl Fn(&Kept) -> Arc<Event>,
        overtaken: impl Fn(&[ChannelPattern], u64) -> Vec<Arc<Event>>,
        now: Instant,
    ) -> (usize, Option<Lost>) {
        let passed = |kept: &Kept| {
            let event = event(kept);
            let passed = self.passed(&event, &|| now);
            passed.map(Cow::into_owned)
        };
        let events = page.messages.iter().map(passed).collect();
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let (replayed, wake) = state.replay_page(run, page, events, overtaken, settings);
        self.finish(inner, wake);
        (replayed.queued, replayed.lost)
    }

    /// Begins a run of what it missed, for what is about to be subscribed to; its live events wait for that. It
    /// returns the run's number, or nothing if it has ended.
    pub fn begin_replay(&self, patterns: &[ChannelPattern]) -> Option<u64> {
        let sent = self.shared.replays.sent();
        self.lock().state.begin_replay(patterns, sent)
    }

    /// Begins a run of what it missed while it had no node, after a number each, before it hears anything live.
    pub fn begin_replay_again(&self, patterns: &[(ChannelPattern, u64)]) -> u64 {
        self.lock().state.begin_replay_again(patterns)
    }

    /// Tells up to where it has got what it is subscribed to by a pattern, of which all up to `sent` was offered to it:
    /// nothing if a run is yet to bring some of that, and what came since.
    pub fn came_up_to(&self, pattern: &ChannelPattern, sent: u64) -> Option<u64> {
        self.lock().state.came_up_to(pattern, sent)
    }

    /// Returns how many runs of it are not over.
    pub fn replay_count(&self) -> usize {
        self.lock().state.replay_count()
    }

    /// Tells whether a run of it is about a pattern.
    pub fn replays(&self, pattern: &ChannelPattern) -> bool {
        self.lock().state.replays(pattern)
    }

    /// Says from where on a run reads; false if it is gone.
    pub fn decide_replay(&self, run: u64, begins: Begins) -> bool {
        let mut inner = self.lock();
        let is_decided = inner.state.decide_replay(run, begins);
        self.after(inner, Wake::default());
        self.note_change();
        is_decided
    }

    /// Gives a run up.
    pub fn cancel_replay(&self, run: u64) {
        self.lock().state.cancel_replay(run);
        self.note_change();
    }

    /// Returns what to read next for it, and for which run. If that cannot be read, give it up.
    pub fn next_replay(&self) -> Option<(u64, Query)> {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        state.next_replay(settings)
    }

    /// Notes that what was to be read cannot be read now; it asks again.
    pub fn give_up_replay(&self) {
        let mut inner = self.lock();
        inner.state.give_up_replay();
        self.after(inner, Wake::default());
    }

    fn push(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        event: &Arc<Event>,
        lazy: Option<Instant>,
        settings: &Settings,
    ) -> Delivered {
        let (pushed, wake) = inner.state.deliver(event, lazy, settings);
        self.finish_by(inner, wake, settings);
        self.note(event, &pushed)
    }
}
