//! Whether a client is still there: one that has said nothing for long while a request of it is open is asked (PING,
//! RFC 9113 section 6.7). A held poll has nothing to write by which it would be noticed.

use std::task::{Context, Waker};
use std::time::Duration;

use h2::{Ping, PingPong};

use crate::listener::Settings;

/// When to look again whether clients are to be asked, while they are not.
const OFF: Duration = Duration::from_secs(60);

/// What asks one client.
pub(super) struct Pings {
    ping_pong: Option<PingPong>,
    is_asked: bool,
}

impl Pings {
    pub(super) fn new(ping_pong: Option<PingPong>) -> Self {
        Self {
            ping_pong,
            is_asked: false,
        }
    }

    /// Returns when it is looked after first.
    pub(super) fn first(settings: &Settings) -> Duration {
        match settings.http2_ping_interval {
            Duration::ZERO => OFF,
            interval => interval,
        }
    }

    /// Asks it, if that is due, and returns when to look after it again; nothing if it is gone. `was_heard` says whether
    /// anything has come of it since it was looked after last, such as the answer.
    pub(super) fn look(
        &mut self,
        was_heard: bool,
        has_requests: bool,
        settings: &Settings,
    ) -> Option<Duration> {
        let is_silent = !was_heard && has_requests && !settings.http2_ping_interval.is_zero();
        if !is_silent {
            self.is_asked = false;
            return Some(Self::first(settings));
        }
        if self.is_asked {
            return None;
        }
        self.is_asked = true;
        if let Some(ping_pong) = &mut self.ping_pong {
            // What has come of an answer is known already, but the next is not sent before it was taken.
            let _ = ping_pong.poll_pong(&mut Context::from_waker(Waker::noop()));
            // An error says that the connection is ending.
            let _ = ping_pong.send_ping(Ping::opaque());
        }
        Some(settings.http2_ping_timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_is_asked_once_and_then_gone() {
        const SECOND: Duration = Duration::from_secs(1);
        let settings = Settings {
            http2_ping_interval: 3 * SECOND,
            http2_ping_timeout: SECOND,
            ..Settings::default()
        };
        let mut pings = Pings::new(None);
        let mut look = |was_heard, has_requests| pings.look(was_heard, has_requests, &settings);
        assert_eq!(look(true, true), Some(3 * SECOND));
        assert_eq!(look(false, true), Some(SECOND), "it is asked");
        assert_eq!(look(true, true), Some(3 * SECOND), "it has answered");
        assert_eq!(look(false, false), Some(3 * SECOND), "nobody waits for it");
        assert_eq!(look(false, true), Some(SECOND));
        assert_eq!(look(false, true), None);
        let off = Settings {
            http2_ping_interval: Duration::ZERO,
            ..Settings::default()
        };
        for _ in 0..3 {
            assert_eq!(Pings::new(None).look(false, true, &off), Some(OFF));
        }
    }
}
