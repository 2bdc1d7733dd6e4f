//! What a client does next that keeps its subscriptions: handshake, subscribe, connect, and all of that again
//! as replies advise and connections break. It does no I/O; time is a wait, and chance an argument.

use std::time::Duration;

use super::incoming::{Ack, Reconnect, Reply, wait_asked};

/// The wait after the first failure; it doubles with each that follows.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait that failures lead to; a server may advise longer ones.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long a connect is held by a server that does not say.
const HOLD: Duration = Duration::from_secs(60);

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A handshake.
    Handshake,
    /// The subscriptions.
    Subscribe,
    /// A connect; one that is to be answered at once shows whether the session goes on.
    Connect {
        /// Whether it is not to be held.
        at_once: bool,
    },
}

/// What a reply changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// There is a new session.
    Begun,
    /// The subscriptions stand.
    Subscribed,
    /// A session goes on whose connection had broken.
    Resumed,
    /// Nothing to speak of.
    GoesOn,
    /// The server asks to try again later, and says why.
    Postponed(String),
    /// The server knows the session no longer, and says why.
    SessionGone(String),
}

/// How far a client has come.
#[derive(Debug)]
pub(crate) struct Course {
    /// There is something to subscribe to.
    subscribes: bool,
    is_handshaken: bool,
    is_subscribed: bool,
    /// The next connect is not to be held.
    at_once: bool,
    /// The connection broke since the last reply to a connect.
    is_broken: bool,
    /// What went wrong since the last reply to a connect.
    failures: u32,
    wait: Duration,
    hold: Duration,
    ack: Option<i64>,
}

impl Course {
    /// The beginning, without a session.
    pub(crate) fn new(subscribes: bool) -> Self {
        Self {
            subscribes,
            is_handshaken: false,
            is_subscribed: false,
            at_once: true,
            is_broken: false,
            failures: 0,
            wait: Duration::ZERO,
            hold: HOLD,
            ack: None,
        }
    }

    /// What is to be sent next.
    pub(crate) fn step(&self) -> Step {
        match (self.is_handshaken, self.is_subscribed) {
            (false, _) => Step::Handshake,
            (true, false) => Step::Subscribe,
            (true, true) => Step::Connect {
                at_once: self.at_once,
            },
        }
    }

    /// How long to wait before that.
    pub(crate) fn wait(&self) -> Duration {
        self.wait
    }

    /// How long the server may hold what is sent next.
    pub(crate) fn hold(&self) -> Duration {
        match self.step() {
            Step::Connect { at_once: false } => self.hold,
            _ => Duration::ZERO,
        }
    }

    /// The number of the last reply to a connect, if the server numbers them.
    pub(crate) fn ack(&self) -> Option<i64> {
        self.ack
    }

    /// Takes the reply to what was sent.
    ///
    /// # Errors
    /// There is nothing more to be done; why.
    pub(crate) fn answered(&mut self, reply: &Reply, random: u32) -> Result<Change, String> {
        if !reply.is_successful {
            return self.refused(reply, random);
        }
        self.hold = reply.hold.unwrap_or(self.hold);
        self.wait = reply.interval;
        match self.step() {
            Step::Handshake if reply.client_id.is_empty() => {
                Err("a handshake without a client id".to_owned())
            }
            Step::Handshake => {
                self.is_handshaken = true;
                self.is_subscribed = !self.subscribes;
                self.is_broken = false;
                self.at_once = true;
                self.ack = (reply.ack == Some(Ack::Agreed(true))).then_some(0);
                // The interval is one between connects.
                self.wait = Duration::ZERO;
                Ok(Change::Begun)
            }
            Step::Subscribe => {
                self.is_subscribed = true;
                Ok(Change::Subscribed)
            }
            Step::Connect { .. } => self.connected(reply, random),
        }
    }

    fn connected(&mut self, reply: &Reply, random: u32) -> Result<Change, String> {
        match reply.reconnect {
            Some(Reconnect::Stop) => Err("the server has ended the session".to_owned()),
            Some(Reconnect::Handshake) => Ok(self.session_gone(reply, random)),
            Some(Reconnect::Retry) | None => {
                if let (Some(_), Some(Ack::Number(number))) = (self.ack, reply.ack) {
                    self.ack = Some(number);
                }
                self.failures = 0;
                self.at_once = false;
                Ok(match std::mem::take(&mut self.is_broken) {
                    true => Change::Resumed,
                    false => Change::GoesOn,
                })
            }
        }
    }

    fn refused(&mut self, reply: &Reply, random: u32) -> Result<Change, String> {
        let later = wait_asked(&reply.error);
        let implied = match (later, reply.error.starts_with("402")) {
            (Some(_), _) => Some(Reconnect::Retry),
            (None, true) => Some(Reconnect::Handshake),
            (None, false) => None,
        };
        match reply.reconnect.or(implied) {
            Some(Reconnect::Handshake) if self.step() != Step::Handshake => {
                Ok(self.session_gone(reply, random))
            }
            Some(Reconnect::Retry | Reconnect::Handshake) => {
                self.failures += 1;
                let asked = reply.interval.max(later.unwrap_or_default());
                self.wait = asked.max(backoff(self.failures, random));
                Ok(Change::Postponed(reply.error.clone()))
            }
            Some(Reconnect::Stop) | None => Err(reply.error.clone()),
        }
    }

    fn session_gone(&mut self, reply: &Reply, random: u32) -> Change {
        // Once in a while that is no failure.
        self.wait = reply.interval.max(backoff(self.failures, random));
        self.failures += 1;
        self.is_handshaken = false;
        Change::SessionGone(reply.error.clone())
    }

    /// Notes that the subscriptions are lost, to be made again; no reply may be due.
    pub(crate) fn unsubscribed(&mut self) {
        self.is_subscribed = !self.subscribes;
    }

    /// Notes that the connection broke, or that none could be opened.
    pub(crate) fn broke(&mut self, random: u32) {
        self.failures += 1;
        self.at_once = true;
        self.is_broken = true;
        self.wait = backoff(self.failures, random);
    }
}

/// The wait after so many failures in a row, half of it by chance.
pub(crate) fn backoff(failures: u32, random: u32) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else {
        return Duration::ZERO;
    };
    let longest = FIRST_WAIT * 2_u32.pow(doublings.min(16));
    let half = longest.min(LONGEST_WAIT) / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
