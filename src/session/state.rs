//! The life of a session as a pure state machine: time is an argument, effects are results.
//!
//! A connect is *held* until it is *resumed*: by an event, its deadline, a newer connect, the
//! session's end, or the server's. If the session has a stream, events leave by that and resume
//! nothing. Every function that has something for either returns whom to wake.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::acks::Acks;
use super::gaps::Gaps;
use super::queue::{Pushed, Queue};
use super::replaying::Replaying;
use super::stream_slot::StreamSlot;
use super::subscriptions::Subscriptions;
use super::times::Times;
use super::{EndReason, Settings, Tick};
use crate::bayeux::{Advice, ChannelPattern, Event, RandomId};
use crate::extensions::Begun;

/// What became of a connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connected {
    /// It is answered now, with advice if `advise`.
    Answer {
        /// Whether the reply carries advice.
        advise: bool,
    },
    /// It is held under this ticket.
    Held(u64),
    /// It is answered now, with advice and without events, which leave by a stream beside it.
    Beside,
    /// It is answered now, because other sessions of the same browser have their connects held.
    MultipleClients,
    /// The session had ended.
    Ended(EndReason),
}

/// Why a held connect is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// There are events, or its time is over, or the server stops.
    Answer {
        /// Whether the reply carries advice.
        advise: bool,
    },
    /// A newer connect took its place.
    Displaced,
    /// The session ended.
    Ended(EndReason),
}

/// Who has something to do now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) struct Wake {
    /// The held connect was resumed.
    pub(super) connect: bool,
    /// The stream, if there is one, has events to write, or is no longer the session's.
    pub(super) stream: bool,
    /// The reply whose events are on their way, if there is one, has been displaced.
    pub(super) reply: bool,
}

impl Wake {
    const NONE: Self = Self {
        connect: false,
        stream: false,
        reply: false,
    };
    const STREAM: Self = Self {
        connect: false,
        stream: true,
        reply: false,
    };

    /// Adds others to those who have something to do.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            connect: self.connect || other.connect,
            stream: self.stream || other.stream,
            reply: self.reply || other.reply,
        }
    }
}

/// How many responses wait for the client to read.
#[derive(Debug, Default)]
struct Writing {
    /// With the reply to a connect and events.
    to_connects: u32,
    to_others: u32,
}

#[derive(Debug)]
struct Held {
    ticket: u64,
    deadline: Instant,
    advise: bool,
    is_resumed: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// Before the first connect.
    Handshaken,
    Connected,
    Ended(EndReason),
}

/// The state of a session.
#[derive(Debug)]
pub(super) struct State {
    phase: Phase,
    queue: Queue,
    stream_slot: StreamSlot,
    held: Option<Held>,
    next_ticket: u64,
    /// How many connects have come.
    connects: u64,
    /// The connect with whose reply events are on their way. They may come back: until then none
    /// leaves otherwise, and a newer connect or stream displaces it.
    replying: Option<u64>,
    /// A stream has come since.
    has_new_stream: bool,
    /// What its client has yet to acknowledge, if it does.
    acks: Option<Box<Acks>>,
    /// Responses to its client that are being written, after the kernel did not take them at once.
    writing: Writing,
    /// How many replies in a row were not written whole, less those that were since.
    cuts: u8,
    /// Batches of the client's own messages that are being processed.
    batches: u32,
    /// Its own times, if it has some.
    times: Option<Box<Times>>,
    /// When the session expires, if no connect is held.
    expiry: Instant,
    /// When its client had the last reply to a connect; before the first, its handshake's.
    connected: Instant,
    /// The interval its client asked for with its last connect.
    client_interval: Option<Duration>,
    /// The interval its client was advised last, if it polls.
    polling_interval: Duration,
    needs_advice: bool,
    /// Until when its client was told to wait, because its browser has other connects held.
    surplus_until: Option<Instant>,
    delivers_on_connect_only: bool,
    is_stopping: bool,
    /// Its connections are to end, and give back what they have not written.
    is_cut: bool,
    browser: RandomId,
    is_bound: bool,
    has_had_stream: bool,
    subscriptions: Subscriptions,
    /// What it has yet to get of the past, if it asked for some.
    replaying: Option<Box<Replaying>>,
    /// It has come from another node with all messages of the cluster up to this one.
    floor: u64,
    /// Of what messages may be missing, which its client was not told.
    gaps: Option<Box<Gaps>>,
}

impl State {
    pub(super) fn new(
        browser: RandomId,
        is_bound: bool,
        settings: &Settings,
        begun: &Begun,
    ) -> Self {
        let times = Times {
            timeout: begun.timeout,
            interval: begun.interval,
            max_interval: begun.max_interval,
            ends: None,
        };
        let mut queue = Queue::default();
        for event in &begun.events {
            // Whatever the extensions give it is within their own bounds.
            let _ = queue.push(event, None, settings);
        }
        Self {
            phase: Phase::Handshaken,
            queue,
            stream_slot: StreamSlot::default(),
            held: None,
            next_ticket: 0,
            connects: 0,
            replying: None,
            has_new_stream: false,
            acks: None,
            writing: Writing::default(),
            cuts: 0,
            batches: 0,
            expiry: begun.now + times.interval(settings) + times.max_interval(settings),
            connected: begun.now,
            times: times.are_own().then(|| Box::new(times)),
            client_interval: None,
            polling_interval: Duration::ZERO,
            needs_advice: false,
            surplus_until: None,
            delivers_on_connect_only: false,
            is_stopping: false,
            is_cut: false,
            browser,
            is_bound,
            has_had_stream: false,
            subscriptions: Subscriptions::default(),
            replaying: None,
            floor: 0,
            gaps: None,
        }
    }

    /// A session is bound to its cookie from the first request that returns it; until then, and
    /// with a client that never does, the client id alone is the key.
    pub(super) fn admits(&mut self, cookies: &[RandomId], trust_client_session: bool) -> bool {
        self.is_bound |= cookies.contains(&self.browser);
        trust_client_session || !self.is_bound || cookies.contains(&self.browser)
    }

    fn start_expiry(&mut self, settings: &Settings, now: Instant) {
        let interval = self.interval(settings);
        self.expiry = now + interval + self.times().max_interval(settings);
        self.connected = now;
    }

    /// Begins a batch of its client's messages, which keep it alive, but not for ever: its queue is
    /// full of what nobody takes.
    pub(super) fn begin_batch(&mut self, settings: &Settings, now: Instant) {
        self.batches += 1;
        let max_interval = self.times().max_interval(settings);
        let longest = self.connected + settings.max_unconnected;
        self.expiry = self.expiry.max(longest.min(now + max_interval));
    }

    /// Tells whether its client's messages would have kept it longer, had it also connected.
    pub(super) fn is_kept_in_vain(&self, settings: &Settings) -> bool {
        self.expiry == self.connected + settings.max_unconnected
    }

    pub(super) fn end_batch(&mut self, settings: &Settings) -> Wake {
        self.batches = self.batches.saturating_sub(1);
        let gap = self.resume_for_gap();
        self.resume_for_events(settings).and(gap)
    }

    /// Queues an event, and tells what became of it and who has to write it.
    pub(super) fn deliver(
        &mut self,
        event: &Arc<Event>,
        lazy: Option<Instant>,
        settings: &Settings,
    ) -> (Pushed, Wake) {
        if matches!(self.phase, Phase::Ended(_)) {
            return (Pushed::default(), Wake::NONE);
        }
        let pushed = self.queue.push(event, lazy, settings);
        if pushed.is_refused {
            return (pushed, Wake::NONE);
        }
        (pushed, self.resume_for_events(settings))
    }

    /// Tells whether an event fits into a part of what may be queued, and the session has not ended.
    pub(super) fn has_room_for(&mut self, event: &Event, part: usize, settings: &Settings) -> bool {
        let lives = !matches!(self.phase, Phase::Ended(_));
        lives && self.queue.has_room_for(event, part, settings)
    }

    pub(super) fn deliver_on_connect_only(&mut self) {
        self.delivers_on_connect_only = true;
    }

    pub(super) fn delivers_on_connect_only(&self, settings: &Settings) -> bool {
        self.delivers_on_connect_only || settings.meta_connect_deliver_only || self.acknowledges()
    }

    fn resume_for_events(&mut self, settings: &Settings) -> Wake {
        let is_away = self.stream_slot.is_writing() || self.replying.is_some();
        if !self.queue.is_urgent() || self.batches > 0 || is_away {
            return Wake::NONE;
        }
        if self.is_streamed(settings) {
            return Wake::STREAM;
        }
        self.wake_connect()
    }

    /// Tells whether it has ended.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    fn wake_connect(&mut self) -> Wake {
        Wake {
            connect: self.resume(),
            ..Wake::NONE
        }
    }

    pub(super) fn resume(&mut self) -> bool {
        match &mut self.held {
            Some(held) if !held.is_resumed => {
                held.is_resumed = true;
                true
            }
            _ => false,
        }
    }

    /// Resumes a connect, if it is still held, with advice.
    pub(super) fn resume_held(&mut self, ticket: u64) -> Wake {
        match &mut self.held {
            Some(held) if held.ticket == ticket => held.advise = true,
            _ => return Wake::NONE,
        }
        self.wake_connect()
    }

    pub(super) fn stop_holding(&mut self) -> Wake {
        self.is_stopping = true;
        self.queue.stop_waiting();
        Wake {
            connect: self.resume(),
            stream: self.queue.is_urgent(),
            reply: false,
        }
    }

    pub(super) fn holds_connect(&self) -> bool {
        self.held.is_some()
    }

    /// Ends the session; nothing if it had ended before.
    pub(super) fn end(&mut self, reason: EndReason) -> Option<(Vec<ChannelPattern>, Wake)> {
        if matches!(self.phase, Phase::Ended(_)) {
            return None;
        }
        self.phase = Phase::Ended(reason);
        self.queue = Queue::default();
        self.replaying = None;
        // Whoever holds on to the session is not to hold on to these.
        if let Some(acks) = &mut self.acks {
            **acks = Acks::default();
        }
        self.stream_slot.stop_replay();
        let wake = Wake {
            connect: self.resume(),
            stream: true,
            reply: true,
        };
        Some((std::mem::take(&mut self.subscriptions).into_vec(), wake))
    }

    /// Says when the session ends whatever its client does.
    pub(super) fn set_end(&mut self, ends: Option<Instant>) {
        let times = Times {
            ends,
            ..self.times()
        };
        self.times = times.are_own().then(|| Box::new(times));
    }

    /// Tells whether it is time for the end that was set.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.times().ends.is_some_and(|ends| ends <= now)
    }

    /// Does what is due: wakes whoever has to act (first result), or expires (second).
    pub(super) fn on_timer(&mut self, tick: Tick, settings: &Settings) -> (Wake, bool) {
        let now = tick.now;
        if matches!(self.phase, Phase::Ended(_)) {
            return (Wake::NONE, false);
        }
        let mut wake = Wake::NONE;
        if self.queue.lazy_deadline().is_some_and(|due| due <= now) {
            self.queue.stop_waiting();
            wake = self.resume_for_events(settings);
        }
        match &self.held {
            Some(held) if held.deadline <= now => wake.connect |= self.resume(),
            Some(_) => {}
            None => return (wake, self.has_expired(tick, settings)),
        }
        (wake, false)
    }

    /// A client cannot be heard during a pause of the process: it has its time again after it. The same if it may
    /// have asked a node that does not answer, but not for longer than messages would keep its session.
    fn has_expired(&mut self, tick: Tick, settings: &Settings) -> bool {
        let max_interval = self.times().max_interval(settings);
        if let Some(resumed) = tick.resumed {
            self.expiry = self.expiry.max(resumed + max_interval);
        }
        if let Some(unheard) = tick.unheard {
            let longest = self.connected + settings.max_unconnected;
            self.expiry = self.expiry.max(longest.min(unheard + max_interval));
        }
        self.expires(settings)
            .is_some_and(|expiry| expiry <= tick.now)
    }

    /// Returns when [`on_timer`](Self::on_timer) has to be called next.
    pub(super) fn next_deadline(&self, settings: &Settings) -> Option<Instant> {
        let end = match (&self.phase, &self.held) {
            (Phase::Ended(_), _) => return None,
            (_, None) => self.expires(settings),
            (_, Some(held)) if held.is_resumed => None,
            (_, Some(held)) => Some(held.deadline),
        };
        let is_unresumed = self.held.as_ref().is_some_and(|held| !held.is_resumed);
        let lazy = self.queue.lazy_deadline();
        let lazy = lazy.filter(|_| is_unresumed || self.is_streamed(settings));
        let own_end = self.times().ends;
        end.into_iter().chain(lazy).chain(own_end).min()
    }

    /// Returns when the session expires if no connect is held: not while its stream keeps it, or its
    /// client reads the reply to a connect; while it reads something else, as late as if it had sent
    /// messages all the time.
    fn expires(&self, settings: &Settings) -> Option<Instant> {
        let is_streamed = self.stream_slot.is_open() && self.stream_slot.keeps_session();
        if is_streamed || self.writing.to_connects > 0 {
            return None;
        }
        let longest = self.connected + settings.max_unconnected;
        Some(if self.writing.to_others > 0 {
            self.expiry.max(longest)
        } else {
            self.expiry
        })
    }

    pub(super) fn advice(&self, settings: &Settings) -> Advice {
        Advice::retry(self.interval(settings), self.times().timeout(settings))
    }

    fn interval(&self, settings: &Settings) -> Duration {
        let own = self.times().interval(settings);
        self.client_interval.unwrap_or(own)
    }

    pub(super) fn outlives(&self, settings: &Settings) -> Duration {
        let times = self.times();
        times.timeout(settings) + self.interval(settings) + times.max_interval(settings)
    }

    fn times(&self) -> Times {
        self.times.as_deref().copied().unwrap_or_default()
    }

    /// Returns the bytes of the places that its events have, but for those of the few that are there for a
    /// moment.
    pub(super) fn places(&self) -> usize {
        let acks = self.acks.as_ref().map_or(0, |acks| acks.places());
        self.queue.places() + self.stream_slot.places() + acks
    }

    /// Tells whether the next event asks for a longer queue than anyone should need.
    pub(super) fn queue_grows_long(&self) -> bool {
        self.queue.grows_long()
    }

    /// Returns the same with the events.
    pub(super) fn weight(&self) -> usize {
        let acks = self.acks.as_ref().map_or(0, |acks| acks.size().bytes);
        self.places() + self.queue.bytes() + self.stream_slot.kept_bytes() + acks
    }

    /// Adds a subscription; tells whether it is new, or nothing if the session has ended.
    pub(super) fn add_subscription(&mut self, pattern: &ChannelPattern) -> Option<bool> {
        let lives = !matches!(self.phase, Phase::Ended(_));
        lives.then(|| self.subscriptions.insert(pattern))
    }

    /// Removes a subscription; false if it is not there.
    pub(super) fn remove_subscription(&mut self, pattern: &ChannelPattern) -> bool {
        self.forget_replay(pattern);
        if let Some(acks) = &mut self.acks {
            acks.forget(pattern);
        }
        self.subscriptions.remove(pattern)
    }

    /// Tells whether it is subscribed to these, and to nothing else.
    pub(super) fn is_subscribed_to(&self, patterns: &[ChannelPattern]) -> bool {
        self.subscriptions.len() == patterns.len() && self.count_with(patterns) == patterns.len()
    }

    pub(super) fn subscriptions(&self) -> Vec<ChannelPattern> {
        self.subscriptions.to_vec()
    }

    pub(super) fn not_subscribed(&self, patterns: &[ChannelPattern]) -> Vec<ChannelPattern> {
        let is_new = |pattern: &&ChannelPattern| !self.subscriptions.contains(pattern);
        patterns.iter().filter(is_new).cloned().collect()
    }

    pub(super) fn count_with(&self, patterns: &[ChannelPattern]) -> usize {
        let is_new = |pattern: &&ChannelPattern| !self.subscriptions.contains(pattern);
        self.subscriptions.len() + patterns.iter().filter(is_new).count()
    }
}

pub use replay::Lost;

mod connecting;
mod leaving;
mod moving;
mod recording;
mod replay;
mod streaming;

#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(super) mod tests;
