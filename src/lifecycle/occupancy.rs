//! Channels and patterns that have got their first subscriber at this node of a cluster, or lost their last here. Whether
//! that is so of all nodes is found out by whoever takes it from here.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::bayeux::ChannelPattern;

/// What is not found out yet, by channel or pattern. What has come and gone meanwhile is left out, so there is no
/// more of it than of what has subscribers, or had some when it was taken last.
#[derive(Debug, Default)]
pub struct Occupancy {
    changes: Mutex<Changes>,
    more: Notify,
}

/// A channel or pattern is in one of these at most.
#[derive(Debug, Default)]
struct Changes {
    due: HashMap<ChannelPattern, Change>,
    /// Those that have lost their last subscriber in this round, and in the one before.
    new: HashSet<ChannelPattern>,
    old: HashSet<ChannelPattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// It has its first subscriber; the others may know already if `is_known`.
    Occupied { is_known: bool },
    /// It has lost its last.
    Vacated,
}

impl Occupancy {
    /// Notes that a channel or pattern has its first subscriber here.
    pub fn occupied(&self, pattern: &ChannelPattern) {
        let mut changes = self.lock();
        if changes.new.remove(pattern) || changes.old.remove(pattern) {
            return;
        }
        let change = Change::Occupied { is_known: false };
        match changes.due.remove(pattern) {
            Some(Change::Vacated) => return,
            before => changes
                .due
                .insert(pattern.clone(), before.unwrap_or(change)),
        };
        drop(changes);
        self.more.notify_one();
    }

    /// Notes that it has one, which the others may know already.
    pub fn occupied_still(&self, pattern: &ChannelPattern) {
        let mut changes = self.lock();
        changes.new.remove(pattern);
        changes.old.remove(pattern);
        let change = Change::Occupied { is_known: true };
        changes.due.insert(pattern.clone(), change);
        drop(changes);
        self.more.notify_one();
    }

    /// Notes that it has lost its last.
    pub fn vacated(&self, pattern: &ChannelPattern) {
        let mut changes = self.lock();
        let last = changes.due.remove(pattern);
        if last != Some(Change::Occupied { is_known: false }) {
            changes.new.insert(pattern.clone());
        }
    }

    /// Begins another round. A channel that has lost its last subscriber is taken in the second round after that: its
    /// session may be about to come back, or to go on at another node.
    pub fn next_round(&self) {
        let mut changes = self.lock();
        let new = std::mem::take(&mut changes.new);
        let due = std::mem::replace(&mut changes.old, new).into_iter();
        changes
            .due
            .extend(due.map(|pattern| (pattern, Change::Vacated)));
    }

    /// Takes some changes: whether a channel or pattern has subscribers here.
    pub fn take(&self, max: usize) -> Vec<(ChannelPattern, bool)> {
        let mut changes = self.lock();
        let some: Vec<_> = changes.due.keys().take(max).cloned().collect();
        let taken = some.into_iter().filter_map(|pattern| {
            let change = changes.due.remove(&pattern)?;
            Some((pattern, change != Change::Vacated))
        });
        taken.collect()
    }

    /// Takes changes back of which it is not known whether the others have heard, as far as there are no newer ones.
    pub fn give_back(&self, taken: Vec<(ChannelPattern, bool)>) {
        let mut changes = self.lock();
        for (pattern, has_any) in taken {
            if changes.new.contains(&pattern) || changes.old.contains(&pattern) {
                continue;
            }
            let change = if has_any {
                Change::Occupied { is_known: true }
            } else {
                Change::Vacated
            };
            let newer = changes.due.entry(pattern).or_insert(change);
            if let Change::Occupied { is_known } = newer {
                // The others may know of one from before.
                *is_known = true;
            }
        }
    }

    /// Waits until there is something to take at once.
    pub async fn changed(&self) {
        self.more.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::Limits;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Occupied,
        Still,
        Vacated,
        Rounds(u64),
        /// Taken, and this of it.
        Taken(Option<bool>),
        /// Taken, and given back.
        Back,
    }

    #[test]
    fn what_the_others_are_to_know_is_taken_and_nothing_else() {
        use Step::{Back, Occupied, Rounds, Still, Taken, Vacated};
        let cases: [&[Step]; 8] = [
            &[Occupied, Taken(Some(true)), Taken(None)],
            // They never hear of it.
            &[Occupied, Vacated, Rounds(5), Taken(None)],
            &[
                Vacated,
                Taken(None),
                Rounds(1),
                Taken(None),
                Rounds(1),
                Taken(Some(false)),
            ],
            // They have not heard that it was empty.
            &[Vacated, Rounds(1), Occupied, Rounds(5), Taken(None)],
            // They may have heard before.
            &[Still, Vacated, Rounds(2), Taken(Some(false))],
            &[Occupied, Back, Vacated, Rounds(2), Taken(Some(false))],
            &[Occupied, Back, Taken(Some(true))],
            &[Vacated, Rounds(2), Back, Taken(Some(false))],
        ];
        let pattern = ChannelPattern::parse("/a", &Limits::default()).expect("a pattern");
        for case in cases {
            let occupancy = Occupancy::default();
            for (at, step) in case.iter().enumerate() {
                match step {
                    Occupied => occupancy.occupied(&pattern),
                    Still => occupancy.occupied_still(&pattern),
                    Vacated => occupancy.vacated(&pattern),
                    Rounds(rounds) => (0..*rounds).for_each(|_| occupancy.next_round()),
                    Taken(expected) => {
                        let taken = occupancy.take(9);
                        let expected = expected.map(|has_any| (pattern.clone(), has_any));
                        assert_eq!(taken, Vec::from_iter(expected), "{case:?} {at}");
                    }
                    Back => occupancy.give_back(occupancy.take(9)),
                }
            }
        }
    }
}
