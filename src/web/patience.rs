//! How long a client may take to read what is written to it; time is an argument.

use std::time::{Duration, Instant};

/// What a client has to do while something is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long it may take nothing.
    pub stall: Duration,
    /// Bytes that it takes in a second at least, once `stall` is over.
    pub rate: u64,
}

/// How a client is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slowness {
    /// It took nothing for long.
    Stalled,
    /// It takes too little.
    Trickles,
}

/// What a client has taken, and since when.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    moved: Instant,
    bytes: u64,
}

impl Progress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            begun: now,
            moved: now,
            bytes: 0,
        }
    }

    /// Notes that so many bytes more were taken.
    pub(super) fn advance(&mut self, bytes: usize, now: Instant) {
        self.moved = now;
        self.bytes += bytes as u64;
    }

    /// Returns until when more has to be taken, and what it is to be told if it is not.
    pub(super) fn due(&self, patience: Patience) -> (Instant, Slowness) {
        let stalled = self.moved + patience.stall;
        let credit = self.bytes.saturating_mul(1000) / patience.rate.max(1);
        let credit = Duration::from_millis(credit);
        let trickles = self.begun + patience.stall + credit;
        if trickles < stalled {
            (trickles, Slowness::Trickles)
        } else {
            (stalled, Slowness::Stalled)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a client is given up that takes so many bytes at each of these seconds.
    fn given_up(rate: u64, takes: &[(u64, usize)]) -> (u64, Slowness) {
        let patience = Patience {
            stall: Duration::from_secs(30),
            rate,
        };
        let start = Instant::now();
        let mut progress = Progress::new(start);
        for &(at, bytes) in takes {
            let now = start + Duration::from_secs(at);
            if progress.due(patience).0 <= now {
                break;
            }
            progress.advance(bytes, now);
        }
        let (due, why) = progress.due(patience);
        ((due - start).as_secs(), why)
    }

    #[test]
    fn a_client_is_given_up_that_stalls_or_trickles() {
        use Slowness::{Stalled, Trickles};
        let steadily = |bytes: usize, every: usize| -> Vec<(u64, usize)> {
            (0..600u64).step_by(every).map(|at| (at, bytes)).collect()
        };
        let cases = [
            (1024, vec![], (30, Stalled)),
            (1024, vec![(20, 100_000)], (50, Stalled)),
            // It takes a byte each five seconds: the little that it took buys no time.
            (1024, steadily(1, 5), (30, Trickles)),
            (1, steadily(2, 2), (628, Stalled)),
            // As fast as it has to be, and half as fast.
            (1024, steadily(10_240, 10), (620, Stalled)),
            (1024, steadily(5120, 10), (60, Trickles)),
            // What was fast at first may be slow later.
            (1024, vec![(0, 102_400), (20, 1), (40, 1)], (70, Stalled)),
        ];
        for (rate, takes, expected) in cases {
            let first: Vec<_> = takes.iter().take(3).collect();
            assert_eq!(given_up(rate, &takes), expected, "{rate} {first:?}");
        }
    }
}
