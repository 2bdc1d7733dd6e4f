//! The part of a session's life in which its client connects: what is held, resumed, displaced.

use std::time::{Duration, Instant};

use super::{Connected, Held, Phase, Resume, State, Wake};
use crate::bayeux::ClientAdvice;
use crate::session::{Connect, EventsBy, Settings};

impl State {
    /// Takes the held connect's place, and the stream's if events are to leave with replies.
    pub(in crate::session) fn displace(&mut self, events_by: EventsBy) -> Wake {
        let stream = events_by == EventsBy::Replies && self.stream_slot.end();
        let reply = self.replying.is_some() || self.acknowledges();
        let Some(held) = self.held.take() else {
            return Wake {
                stream,
                reply,
                ..Wake::NONE
            };
        };
        self.needs_advice |= held.advise;
        Wake {
            connect: !held.is_resumed,
            stream,
            reply,
        }
    }

    /// Takes a connect, after [`displace`](Self::displace). `may_hold` is asked last: whether the
    /// browser may have one more held. Without `may_get` nothing leaves now, whatever there is.
    pub(in crate::session) fn connect(
        &mut self,
        connect: &Connect,
        may_get: bool,
        settings: &Settings,
        now: Instant,
        may_hold: impl FnOnce() -> bool,
    ) -> Connected {
        let is_first = match self.phase {
            Phase::Handshaken => true,
            Phase::Connected => false,
            Phase::Ended(reason) => return Connected::Ended(reason),
        };
        self.phase = Phase::Connected;
        self.connects += 1;
        self.acknowledge(connect.ack);
        let events_by = match connect.events_by {
            // What a client acknowledges are replies.
            EventsBy::OtherStream if self.acknowledges() => EventsBy::Replies,
            events_by => events_by,
        };
        let ClientAdvice { timeout, interval } = connect.advice.unwrap_or_default();
        self.client_interval = interval.map(|interval| interval.min(settings.max_client_interval));
        let longest = self.times().timeout(settings);
        let longest = connect
            .lifetime
            .map_or(longest, |lifetime| lifetime.min(longest));
        let timeout = timeout.map_or(longest, |timeout| timeout.min(longest));
        let advise = connect.advice.is_some() || std::mem::take(&mut self.needs_advice);
        if events_by == EventsBy::OtherStream {
            self.client_interval = Some(self.times().timeout(settings));
            self.start_expiry(settings, now);
            return Connected::Beside;
        }
        if settings.polling && events_by == EventsBy::Replies {
            self.client_interval = Some(self.next_polling_interval(settings));
            self.start_expiry(settings, now);
            return Connected::Answer { advise: true };
        }

        let has_to_answer =
            is_first || timeout.is_zero() || !connect.may_be_held || self.is_stopping;
        let gets_something = may_get && self.may_drain(settings) && self.has_something_due(now);
        if has_to_answer || gets_something {
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
            self.times().timeout(settings)
        } else {
            interval
        };
        self.surplus_until = Some(now + wait);
        self.expiry = now + interval + self.times().max_interval(settings);
        self.connected = now;
        Connected::MultipleClients
    }

    /// Tells whether a connect would get nothing, but for the first.
    pub(in crate::session) fn is_in_vain(
        &self,
        connect: &Connect,
        settings: &Settings,
        now: Instant,
    ) -> bool {
        if self.phase != Phase::Connected || self.is_stopping {
            return false;
        }
        let timeout = connect.advice.and_then(|advice| advice.timeout);
        let is_answered = timeout.is_some_and(|timeout| timeout.is_zero())
            || !connect.may_be_held
            || connect.events_by == EventsBy::OtherStream
            || (settings.polling && connect.events_by == EventsBy::Replies);
        let displaces = self.held.as_ref().is_some_and(|held| !held.is_resumed);
        let has_events = self.may_drain(settings) && self.has_something_due(now);
        displaces || (is_answered && !has_events)
    }

    /// Notes that a connect was answered without more; its client waits for so long at least.
    pub(in crate::session) fn put_off(
        &mut self,
        wait: Duration,
        settings: &Settings,
        now: Instant,
    ) -> Duration {
        // The next is told that it need not wait so long any more.
        self.needs_advice = true;
        let interval = self.interval(settings).max(wait);
        if self.held.is_none() {
            let max_interval = self.times().max_interval(settings);
            self.expiry = self.expiry.max(now + interval + max_interval);
            self.connected = now;
        }
        interval
    }

    /// Returns how long a client that polls waits until its next poll: the longer nothing happens,
    /// the longer.
    fn next_polling_interval(&mut self, settings: &Settings) -> Duration {
        let (min, max) = (settings.min_polling_interval, settings.max_polling_interval);
        self.polling_interval = if self.queue.is_empty() {
            (self.polling_interval * 2).max(min).min(max)
        } else {
            min
        };
        self.polling_interval
    }

    fn hold(&mut self, deadline: Instant, advise: bool) -> Connected {
        let ticket = self.take_ticket();
        self.held = Some(Held {
            ticket,
            deadline,
            advise,
            is_resumed: false,
        });
        Connected::Held(ticket)
    }

    /// Returns the number of the connect that came last.
    pub(in crate::session) fn newest_connect(&self) -> u64 {
        self.connects
    }

    pub(super) fn take_ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        ticket
    }

    /// Lets go of the held connect if it was resumed, or if it is no longer the held one.
    pub(in crate::session) fn take_resumed(
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

    /// Holds a connect again that was resumed for something which may not leave now; true if it was.
    pub(in crate::session) fn hold_again(&mut self, ticket: u64, now: Instant) -> bool {
        let is_stopping = self.is_stopping;
        let held = self.held.as_mut().filter(|held| held.ticket == ticket);
        // With advice it may have been resumed for that.
        let held = held.filter(|held| held.is_resumed && !held.advise && now < held.deadline);
        held.filter(|_| !is_stopping)
            .map(|held| held.is_resumed = false)
            .is_some()
    }

    /// Resumes the held connect if there is something for it.
    pub(in crate::session) fn look_again(&mut self, settings: &Settings, now: Instant) -> Wake {
        if self.batches == 0 && self.may_drain(settings) && self.has_something_due(now) {
            self.wake_connect()
        } else {
            Wake::NONE
        }
    }

    /// Forgets the held connect, whose client went away; true unless it was resumed already.
    pub(in crate::session) fn release(
        &mut self,
        ticket: u64,
        settings: &Settings,
        now: Instant,
    ) -> bool {
        let Some(held) = self.held.take_if(|held| held.ticket == ticket) else {
            return false;
        };
        self.needs_advice |= held.advise;
        self.start_expiry(settings, now);
        !held.is_resumed
    }
}
