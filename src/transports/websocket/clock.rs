//! What a WebSocket waits for, and since when; time is an argument.

use std::time::{Duration, Instant};

use crate::transports::answer::Times;

/// Since when a connection waits for what.
#[derive(Debug)]
pub(super) struct Clock {
    /// When the client was heard last, or pinged since.
    heard: Instant,
    is_pinged: bool,
    /// A message has begun to arrive.
    begun: Option<Instant>,
    /// There is no session.
    idle: Option<Instant>,
    /// Until when nothing is read.
    rests: Option<Instant>,
}

/// What has lasted too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A message that has begun.
    Message,
    /// A connection without a session.
    Session,
    /// A client that does not answer a ping.
    Peer,
    /// Silence: the client is to be pinged.
    Ping,
    /// A rest, which is over.
    Rest,
}

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            is_pinged: false,
            begun: None,
            idle: Some(now),
            rests: None,
        }
    }

    /// Notes a sign of life.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.is_pinged = false;
    }

    /// Notes that the client is asked for one.
    pub(super) fn ping(&mut self, now: Instant) {
        self.heard = now;
        self.is_pinged = true;
    }

    /// Notes whether a message has come in part, after one that was whole if `is_new`.
    pub(super) fn arrive(&mut self, is_partial: bool, is_new: bool, now: Instant) {
        if !is_partial || is_new {
            self.begun = None;
        }
        if is_partial {
            self.begun.get_or_insert(now);
        }
    }

    /// Notes whether there is a session.
    pub(super) fn have_session(&mut self, has_session: bool, now: Instant) {
        if has_session {
            self.idle = None;
        } else {
            self.idle.get_or_insert(now);
        }
    }

    /// Lets nothing be read until then.
    pub(super) fn rest(&mut self, until: Instant) {
        self.rests = Some(until);
    }

    /// Tells whether nothing is to be read.
    pub(super) fn rests(&self) -> bool {
        self.rests.is_some()
    }

    /// Ends the rest.
    pub(super) fn go_on(&mut self) {
        self.rests = None;
    }

    /// Lets whatever it waits for have its time again, because the process was paused meanwhile.
    pub(super) fn resume(&mut self, now: Instant) {
        self.hear(now);
        let all = [&mut self.begun, &mut self.idle, &mut self.rests];
        for time in all.into_iter().flatten() {
            *time = now;
        }
    }

    /// Returns what is due next, and when; a `ping` of zero is none.
    pub(super) fn next(&self, times: &Times, ping: Duration) -> Option<(Instant, Due)> {
        let silence = if self.is_pinged { Due::Peer } else { Due::Ping };
        let silence = (!ping.is_zero()).then(|| (self.heard + ping, silence));
        let message = self
            .begun
            .map(|since| (since + times.message_timeout, Due::Message));
        let session = self
            .idle
            .map(|since| (since + times.idle_timeout, Due::Session));
        let rest = self.rests.map(|until| (until, Due::Rest));
        let all = [message, session, silence, rest].into_iter().flatten();
        all.min_by_key(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::Patience;

    const PING: Duration = Duration::from_secs(20);

    #[test]
    fn the_earliest_is_due_next() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let times = Times {
            patience: Patience {
                stall: Duration::from_secs(1),
                rate: 1,
            },
            message_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
        };
        let mut clock = Clock::new(start);
        assert_eq!(clock.next(&times, PING), Some((at(20), Due::Ping)));
        assert_eq!(
            clock.next(&times, Duration::ZERO),
            Some((at(75), Due::Session))
        );
        clock.have_session(true, at(1));
        assert_eq!(clock.next(&times, Duration::ZERO), None);
        clock.ping(at(20));
        assert_eq!(clock.next(&times, PING), Some((at(40), Due::Peer)));
        clock.hear(at(21));
        assert_eq!(clock.next(&times, PING), Some((at(41), Due::Ping)));
        // A part does not make more time for the rest, but the next message has its own.
        clock.arrive(true, false, at(2));
        clock.arrive(true, false, at(9));
        assert_eq!(clock.next(&times, PING), Some((at(32), Due::Message)));
        clock.arrive(true, true, at(25));
        assert_eq!(clock.next(&times, PING), Some((at(41), Due::Ping)));
        clock.arrive(false, true, at(25));
        clock.have_session(false, at(30));
        clock.have_session(false, at(31));
        assert_eq!(
            clock.next(&times, Duration::ZERO),
            Some((at(105), Due::Session))
        );
    }

    #[test]
    fn a_rest_lasts_until_it_is_due() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let times = Times {
            patience: Patience {
                stall: Duration::from_secs(1),
                rate: 1,
            },
            message_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
        };
        let mut clock = Clock::new(start);
        assert!(!clock.rests());
        clock.rest(at(2));
        assert!(clock.rests());
        assert_eq!(clock.next(&times, PING), Some((at(2), Due::Rest)));
        clock.resume(at(9));
        assert_eq!(clock.next(&times, PING), Some((at(9), Due::Rest)));
        clock.go_on();
        assert!(!clock.rests());
        assert_eq!(clock.next(&times, PING), Some((at(29), Due::Ping)));
    }

    #[test]
    fn after_a_pause_all_have_their_time_again() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let times = Times {
            patience: Patience {
                stall: Duration::from_secs(1),
                rate: 1,
            },
            message_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
        };
        let mut clock = Clock::new(start);
        clock.ping(at(20));
        clock.arrive(true, false, at(20));
        clock.resume(at(100));
        assert_eq!(clock.next(&times, PING), Some((at(120), Due::Ping)));
        assert_eq!(
            clock.next(&times, Duration::ZERO),
            Some((at(130), Due::Message))
        );
        clock.arrive(false, false, at(101));
        assert_eq!(
            clock.next(&times, Duration::ZERO),
            Some((at(175), Due::Session))
        );
        clock.have_session(true, at(102));
        clock.resume(at(300));
        assert_eq!(clock.next(&times, Duration::ZERO), None);
    }
}
