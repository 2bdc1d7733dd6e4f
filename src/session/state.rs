//! The life of a session as a pure state machine: time is an argument, effects are results.
//!
//! A connect is *held* until it is *resumed*: by an event, its deadline, a newer connect, the
//! session's end, or the server's. Every function that may resume it returns whether it did.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Pushed, Queue};
use super::{Connect, EndReason, Settings};
use crate::bayeux::{Advice, ChannelPattern, ClientAdvice, Event, RandomId};

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
    /// It is answered now, because other sessions of the same browser have their connects held.
    MultipleClients,
    /// The session had ended.
    Ended,
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
    held: Option<Held>,
    next_ticket: u64,
    /// Batches of the client's own messages that are being processed.
    batches: u32,
    /// When the session expires, if no connect is held.
    expiry: Instant,
    /// The interval its client asked for with its last connect.
    client_interval: Option<Duration>,
    needs_advice: bool,
    /// Until when its client was told to wait, because its browser has other connects held.
    surplus_until: Option<Instant>,
    delivers_on_connect_only: bool,
    is_stopping: bool,
    browser: RandomId,
    is_bound: bool,
    subscriptions: Vec<ChannelPattern>,
}

impl State {
    pub(super) fn new(
        browser: RandomId,
        is_bound: bool,
        settings: &Settings,
        now: Instant,
    ) -> Self {
        Self {
            phase: Phase::Handshaken,
            queue: Queue::default(),
            held: None,
            next_ticket: 0,
            batches: 0,
            expiry: now + settings.interval + settings.max_interval,
            client_interval: None,
            needs_advice: false,
            surplus_until: None,
            delivers_on_connect_only: false,
            is_stopping: false,
            browser,
            is_bound,
            subscriptions: Vec::new(),
        }
    }

    /// A session is bound to its cookie from the first request that returns it; until then, and
    /// with a client that never does, the client id alone is the key.
    pub(super) fn admits(&mut self, cookies: &[RandomId], trust_client_session: bool) -> bool {
        self.is_bound |= cookies.contains(&self.browser);
        trust_client_session || !self.is_bound || cookies.contains(&self.browser)
    }

    pub(super) fn browser(&self) -> RandomId {
        self.browser
    }

    /// Takes the held connect's place; true if it has to be woken for that.
    pub(super) fn displace(&mut self) -> bool {
        let Some(held) = self.held.take() else {
            return false;
        };
        self.needs_advice |= held.advise;
        !held.is_resumed
    }

    /// Takes a connect, after [`displace`](Self::displace). `may_hold` is asked last: whether the
    /// browser may have one more held.
    pub(super) fn connect(
        &mut self,
        connect: &Connect,
        settings: &Settings,
        now: Instant,
        may_hold: impl FnOnce() -> bool,
    ) -> Connected {
        let is_first = match self.phase {
            Phase::Handshaken => true,
            Phase::Connected => false,
            Phase::Ended(_) => return Connected::Ended,
        };
        self.phase = Phase::Connected;
        let ClientAdvice { timeout, interval } = connect.advice.unwrap_or_default();
        self.client_interval = interval.map(|interval| interval.min(settings.max_client_interval));
        let timeout = timeout.map_or(settings.timeout, |timeout| timeout.min(settings.timeout));
        let advise = connect.advice.is_some() || std::mem::take(&mut self.needs_advice);

        let has_to_answer =
            is_first || timeout.is_zero() || !connect.may_be_held || self.is_stopping;
        if has_to_answer || self.queue.is_due(now) {
            self.start_expiry(settings, now);
            return Connected::Answer { advise };
        }
        if may_hold() {
            return self.hold(now + timeout, advise);
        }
        self.needs_advice = true;
        if let Some(until) = self.surplus_until.filter(|until| now < *until) {
            // Some clients do not wait: they are made to, or they would ask without a pause.
            return self.hold(until.min(now + timeout), false);
        }
        let interval = settings.multi_session_interval;
        let wait = if interval.is_zero() {
            settings.timeout
        } else {
            interval
        };
        self.surplus_until = Some(now + wait);
        self.expiry = now + interval + settings.max_interval;
        Connected::MultipleClients
    }

    fn hold(&mut self, deadline: Instant, advise: bool) -> Connected {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.held = Some(Held {
            ticket,
            deadline,
            advise,
            is_resumed: false,
        });
        Connected::Held(ticket)
    }

    /// Lets go of the held connect if it was resumed, or if it is no longer the held one.
    pub(super) fn take_resumed(
        &mut self,
        ticket: u64,
        settings: &Settings,
        now: impl FnOnce() -> Instant,
    ) -> Option<Resume> {
        if let Phase::Ended(reason) = self.phase {
            self.held = None;
            return Some(Resume::Ended(reason));
        }
        let Some(held) = self
            .held
            .take_if(|held| held.is_resumed || held.ticket != ticket)
        else {
            return self.held.is_none().then_some(Resume::Displaced);
        };
        if held.ticket != ticket {
            self.held = Some(held);
            return Some(Resume::Displaced);
        }
        self.start_expiry(settings, now());
        Some(Resume::Answer {
            advise: held.advise || self.is_stopping,
        })
    }

    /// Forgets the held connect, whose client went away; true unless it was resumed already.
    pub(super) fn release(&mut self, ticket: u64, settings: &Settings, now: Instant) -> bool {
        let Some(held) = self.held.take_if(|held| held.ticket == ticket) else {
            return false;
        };
        self.needs_advice |= held.advise;
        self.start_expiry(settings, now);
        !held.is_resumed
    }

    fn start_expiry(&mut self, settings: &Settings, now: Instant) {
        let interval = self.client_interval.unwrap_or(settings.interval);
        self.expiry = now + interval + settings.max_interval;
    }

    pub(super) fn begin_batch(&mut self, settings: &Settings, now: Instant) {
        self.batches += 1;
        self.expiry = self.expiry.max(now + settings.max_interval);
    }

    pub(super) fn end_batch(&mut self) -> bool {
        self.batches = self.batches.saturating_sub(1);
        self.resume_for_events()
    }

    /// Queues an event, and tells what became of it and whether it resumed the held connect.
    pub(super) fn deliver(
        &mut self,
        event: &Arc<Event>,
        lazy: Option<Instant>,
        settings: &Settings,
    ) -> (Pushed, bool) {
        if matches!(self.phase, Phase::Ended(_)) {
            return (Pushed::default(), false);
        }
        let pushed = self.queue.push(event, lazy, settings);
        let wake = !pushed.is_refused && self.resume_for_events();
        (pushed, wake)
    }

    /// Takes queued events for a response.
    pub(super) fn drain(&mut self, settings: &Settings) -> Vec<Arc<Event>> {
        self.queue.take(settings.max_response_size.as_u64())
    }

    /// Puts events back whose response was not written; true if that resumed the held connect.
    pub(super) fn restore(&mut self, events: Vec<Arc<Event>>) -> bool {
        if matches!(self.phase, Phase::Ended(_)) {
            return false;
        }
        self.queue.put_back(events);
        self.resume_for_events()
    }

    pub(super) fn deliver_on_connect_only(&mut self) {
        self.delivers_on_connect_only = true;
    }

    pub(super) fn delivers_on_connect_only(&self, settings: &Settings) -> bool {
        self.delivers_on_connect_only || settings.meta_connect_deliver_only
    }

    fn resume_for_events(&mut self) -> bool {
        self.queue.is_urgent() && self.batches == 0 && self.resume()
    }

    fn resume(&mut self) -> bool {
        match &mut self.held {
            Some(held) if !held.is_resumed => {
                held.is_resumed = true;
                true
            }
            _ => false,
        }
    }

    pub(super) fn stop_holding(&mut self) -> bool {
        self.is_stopping = true;
        self.resume()
    }

    /// Ends the session; nothing if it had ended before.
    pub(super) fn end(&mut self, reason: EndReason) -> Option<(Vec<ChannelPattern>, bool)> {
        if matches!(self.phase, Phase::Ended(_)) {
            return None;
        }
        self.phase = Phase::Ended(reason);
        self.queue = Queue::default();
        Some((std::mem::take(&mut self.subscriptions), self.resume()))
    }

    /// Does what is due: resumes the held connect (first result), or expires (second).
    pub(super) fn on_timer(&mut self, now: Instant) -> (bool, bool) {
        match (&self.phase, &self.held) {
            (Phase::Ended(_), _) => (false, false),
            (_, None) => (false, self.expiry <= now),
            (_, Some(held)) => {
                let is_lazy_due = self.queue.lazy_deadline().is_some_and(|due| due <= now);
                let is_due = held.deadline <= now || is_lazy_due;
                (is_due && self.resume(), false)
            }
        }
    }

    /// Returns when [`on_timer`](Self::on_timer) has to be called next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match (&self.phase, &self.held) {
            (Phase::Ended(_), _) => None,
            (_, None) => Some(self.expiry),
            (_, Some(held)) if held.is_resumed => None,
            (_, Some(held)) => Some(
                self.queue
                    .lazy_deadline()
                    .map_or(held.deadline, |lazy| lazy.min(held.deadline)),
            ),
        }
    }

    pub(super) fn advice(&self, settings: &Settings) -> Advice {
        Advice::retry(
            self.client_interval.unwrap_or(settings.interval),
            settings.timeout,
        )
    }

    pub(super) fn add_subscription(&mut self, pattern: &ChannelPattern) -> bool {
        if matches!(self.phase, Phase::Ended(_)) {
            return false;
        }
        if !self.subscriptions.contains(pattern) {
            self.subscriptions.push(pattern.clone());
        }
        true
    }

    pub(super) fn remove_subscription(&mut self, pattern: &ChannelPattern) {
        self.subscriptions
            .retain(|subscribed| subscribed != pattern);
    }

    pub(super) fn count_with(&self, patterns: &[ChannelPattern]) -> usize {
        let is_new = |pattern: &&ChannelPattern| !self.subscriptions.contains(pattern);
        self.subscriptions.len() + patterns.iter().filter(is_new).count()
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
pub(super) mod tests;
