//! Log lines that clients can cause, and how often each kind of them is written.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many lines of a kind are written in a period.
const MAX_LINES: u32 = 5;
const PERIOD: Duration = Duration::from_secs(10);

/// What such a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A connection found no room.
    Connection,
    /// An address has as many as it may.
    ConnectionOfAddress,
    /// The system had none for another.
    Accept,
    /// A proxy did not say whose connection it is.
    ProxyHeader,
    /// A session found no room.
    Session,
    /// A message or a handshake came too soon.
    Rate,
    /// A session's queue is full.
    Queue,
    /// A channel's bound in it was reached.
    ChannelQueue,
    /// A page, or a request that says nothing of where it comes from, was refused.
    Origin,
    /// A request went beyond a bound.
    Bound,
    /// A request was malformed.
    Malformed,
    /// A request was for what is not there.
    Absent,
    /// A WebSocket was closed for what its client did.
    Socket,
    /// An extension failed while a message waited for it.
    Extension,
    /// A password was wrong.
    Password,
    /// Memory is short.
    Memory,
    /// The webhook gave no answer.
    Webhook,
    /// A hook did not take what it was sent.
    Hook,
    /// History cannot be kept, or read.
    History,
    /// The access log cannot be written.
    AccessLog,
    /// Another node, or who claims to be one, was refused.
    Peer,
}

impl Notice {
    pub(super) const COUNT: usize = Self::Peer as usize + 1;

    /// What a refusal with this HTTP status is about.
    pub(super) fn of_status(status: u16) -> Self {
        match status {
            403 => Self::Origin,
            404 | 405 | 410 | 412 => Self::Absent,
            408 | 413 | 414 | 431 | 503 => Self::Bound,
            _ => Self::Malformed,
        }
    }
}

/// A line that may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// How many of its kind were not, since the last that was; nothing if there were none.
    pub suppressed: Option<u64>,
}

/// The lines of a kind.
#[derive(Debug, Default)]
pub(super) struct Quota(Mutex<Spent>);

#[derive(Debug, Default)]
struct Spent {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Quota {
    /// Takes a line, if there is one left.
    pub(super) fn take(&self, now: Instant) -> Option<Permit> {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |since| now.saturating_duration_since(since) >= PERIOD;
        if spent.since.is_none_or(is_over) {
            spent.since = Some(now);
            spent.lines = 0;
        }
        if spent.lines == MAX_LINES {
            spent.suppressed += 1;
            return None;
        }
        spent.lines += 1;
        let suppressed = std::mem::take(&mut spent.suppressed);
        Some(Permit {
            suppressed: (suppressed > 0).then_some(suppressed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_the_next_says_how_many_were_left_out() {
        let quota = Quota::default();
        let start = Instant::now();
        let permit = |suppressed| Some(Permit { suppressed });
        let seconds = Duration::from_secs;
        for _ in 0..MAX_LINES {
            assert_eq!(quota.take(start), permit(None));
        }
        for _ in 0..7 {
            assert_eq!(quota.take(start + seconds(9)), None);
        }
        assert_eq!(quota.take(start + seconds(10)), permit(Some(7)));
        for _ in 1..MAX_LINES {
            assert_eq!(quota.take(start + seconds(19)), permit(None));
        }
        assert_eq!(quota.take(start + seconds(19)), None);
        assert_eq!(quota.take(start + seconds(60)), permit(Some(1)));
    }
}
