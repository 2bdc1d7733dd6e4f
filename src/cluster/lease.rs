//! For how long a node may take itself for the owner of its sessions; time is an argument.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Release};
use std::time::{Duration, Instant};

/// Which part of a heartbeat's time is left out, for clocks that go differently fast and for what is done between a
/// look at the clock and its effect.
const MARGIN: u32 = 5;

/// For how long a node may take itself for the owner of its sessions: others take it for dead after that, and may own
/// them.
///
/// A heartbeat counts from before it was sent, so that the node is never the last to think that it lives.
#[derive(Debug)]
pub struct Lease {
    began: Instant,
    /// Microseconds after that; 0: there was no heartbeat.
    ends: AtomicU64,
}

impl Lease {
    /// Makes one that is over.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            ends: AtomicU64::new(0),
        }
    }

    /// Takes a heartbeat that was sent at this time, and after which the others take the node for alive for so long.
    pub fn renew(&self, sent: Instant, lives: Duration) {
        let end = sent + (lives - lives / MARGIN);
        self.ends.fetch_max(self.since_begin(end), Release);
    }

    /// Ends it at once.
    pub fn end(&self) {
        self.ends.store(0, Release);
    }

    /// Tells whether the node owns its sessions.
    #[must_use]
    pub fn holds(&self, now: Instant) -> bool {
        self.since_begin(now) < self.ends.load(Acquire)
    }

    fn since_begin(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_from_a_heartbeat_until_shortly_before_others_take_the_node_for_dead() {
        let begin = Instant::now();
        let at = |millis| begin + Duration::from_millis(millis);
        let lease = Lease::new(begin);
        assert!(!lease.holds(at(0)), "there was no heartbeat");
        lease.renew(at(100), Duration::from_secs(5));
        for (millis, holds) in [(0, true), (4099, true), (4100, false), (60_000, false)] {
            assert_eq!(lease.holds(at(millis)), holds, "{millis}");
        }
        lease.renew(at(2000), Duration::from_secs(5));
        assert!(lease.holds(at(5999)));
        // The answer to the first came after that to the second.
        lease.renew(at(100), Duration::from_secs(5));
        assert!(lease.holds(at(5999)));
        lease.end();
        assert!(!lease.holds(at(2001)));
        lease.renew(at(20_000), Duration::from_secs(5));
        assert!(lease.holds(at(20_001)));
    }
}
