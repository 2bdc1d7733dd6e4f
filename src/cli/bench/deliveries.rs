//! The check that each message reaches a client exactly once and in order; does no I/O.

use std::collections::BTreeSet;

/// Which of a run's messages one client is to get: every `step`th, from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane {
    first: usize,
    step: usize,
}

impl Lane {
    /// The messages of one of `lanes` lanes that take turns.
    pub(super) fn of(first: usize, lanes: usize) -> Self {
        Self { first, step: lanes }
    }

    /// Where in the lane a message is, if it is one of the lane's.
    pub(super) fn index(self, number: usize) -> Option<usize> {
        let after = number.checked_sub(self.first)?;
        (after % self.step == 0).then_some(after / self.step)
    }

    /// The message at a place in the lane.
    pub(super) fn number(self, index: usize) -> usize {
        self.first + index * self.step
    }

    /// How many messages of the lane are among the run's first `published`.
    pub(super) fn count(self, published: usize) -> usize {
        published.saturating_sub(self.first).div_ceil(self.step)
    }
}

/// What one client has received, of messages numbered from 0.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The number after the highest received.
    next: usize,
    /// The numbers below `next` that have not come.
    missing: BTreeSet<usize>,
    repeated: u64,
    reordered: u64,
}

impl Ledger {
    /// Notes a receipt; tells whether the message is new to this client.
    pub(super) fn note(&mut self, number: usize) -> bool {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
            true
        } else if self.missing.remove(&number) {
            self.reordered += 1;
            true
        } else {
            self.repeated += 1;
            false
        }
    }

    /// Whether a message has come.
    pub(super) fn has(&self, number: usize) -> bool {
        number < self.next && !self.missing.contains(&number)
    }

    /// The number after the highest that has come.
    pub(super) fn reached(&self) -> usize {
        self.next
    }

    /// What is wrong when `published` messages were sent and no more will come.
    pub(super) fn flaws(&self, published: usize) -> Flaws {
        Flaws {
            lost: self.missing.len() as u64 + published.saturating_sub(self.next) as u64,
            repeated: self.repeated,
            reordered: self.reordered,
        }
    }
}

/// How many deliveries were not as they should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flaws {
    /// Messages that did not reach a client before the run gave up on them.
    pub lost: u64,
    /// Messages that reached a client which had them already.
    pub repeated: u64,
    /// Messages that reached a client after one published later.
    pub reordered: u64,
}

impl std::ops::AddAssign for Flaws {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.reordered += other.reordered;
    }
}

impl std::fmt::Display for Flaws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            lost,
            repeated,
            reordered,
        } = self;
        write!(f, "{lost} lost, {repeated} repeated, {reordered} reordered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_turns() {
        // (first, lanes, the numbers below 10)
        let cases: [(usize, usize, &[usize]); 4] = [
            (0, 1, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (0, 4, &[0, 4, 8]),
            (3, 4, &[3, 7]),
            (11, 12, &[]),
        ];
        for (first, lanes, numbers) in cases {
            let lane = Lane::of(first, lanes);
            let found: Vec<_> = (0..10).filter(|&n| lane.index(n).is_some()).collect();
            assert_eq!(found, numbers);
            assert_eq!(lane.count(10), numbers.len());
            let back: Vec<_> = (0..lane.count(10)).map(|at| lane.number(at)).collect();
            assert_eq!(back, numbers);
        }
    }

    #[test]
    fn tells_lost_repeated_and_reordered_apart() {
        // (received, published, lost, repeated, reordered)
        let cases: [(&[usize], usize, u64, u64, u64); 7] = [
            (&[0, 1, 2], 3, 0, 0, 0),
            (&[], 3, 3, 0, 0),
            (&[0, 2], 3, 1, 0, 0),
            (&[0, 1], 3, 1, 0, 0),
            (&[0, 0, 1, 2, 1], 3, 0, 2, 0),
            (&[0, 2, 1], 3, 0, 0, 1),
            (&[2, 0, 0, 4], 5, 2, 1, 1),
        ];
        for (received, published, lost, repeated, reordered) in cases {
            let mut ledger = Ledger::default();
            let fresh = received
                .iter()
                .filter(|&&number| ledger.note(number))
                .count();
            let flaws = Flaws {
                lost,
                repeated,
                reordered,
            };
            assert_eq!(ledger.flaws(published), flaws, "{received:?}");
            assert_eq!(fresh as u64 + lost, published as u64, "{received:?}");
            assert!(received.iter().all(|&number| ledger.has(number)));
        }
    }
}
