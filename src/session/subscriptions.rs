//! What one session is subscribed to: a list while that is short, as of most, then a set.

use std::collections::HashSet;
use std::iter::once;

use crate::bayeux::ChannelPattern;

/// As many are compared in less time than one is hashed and looked up.
const FEW: usize = 8;

/// Channels and patterns, each once.
#[derive(Debug)]
#[allow(
    clippy::box_collection,
    reason = "a session with few is not to be larger for the sake of those with many"
)]
pub(super) enum Subscriptions {
    Few(Vec<ChannelPattern>),
    Many(Box<HashSet<ChannelPattern>>),
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Few(list) => list.len(),
            Self::Many(set) => set.len(),
        }
    }

    pub(super) fn contains(&self, pattern: &ChannelPattern) -> bool {
        match self {
            Self::Few(list) => list.contains(pattern),
            Self::Many(set) => set.contains(pattern),
        }
    }

    /// Adds one; false if it is there.
    pub(super) fn insert(&mut self, pattern: &ChannelPattern) -> bool {
        match self {
            Self::Few(list) if list.contains(pattern) => return false,
            Self::Few(list) if list.len() < FEW => list.push(pattern.clone()),
            Self::Few(list) => {
                let all = list.drain(..).chain(once(pattern.clone()));
                *self = Self::Many(Box::new(all.collect()));
            }
            Self::Many(set) => return set.insert(pattern.clone()),
        }
        true
    }

    /// Removes one; false if it is not there.
    pub(super) fn remove(&mut self, pattern: &ChannelPattern) -> bool {
        let before = self.len();
        match self {
            Self::Few(list) => list.retain(|subscribed| subscribed != pattern),
            Self::Many(set) => {
                set.remove(pattern);
            }
        }
        let is_removed = self.len() < before;
        // Only then, or one that comes and goes would have all moved each time.
        if let Self::Many(set) = self
            && set.is_empty()
        {
            *self = Self::default();
        }
        is_removed
    }

    /// Returns all of them, in no order.
    pub(super) fn to_vec(&self) -> Vec<ChannelPattern> {
        match self {
            Self::Few(list) => list.clone(),
            Self::Many(set) => set.iter().cloned().collect(),
        }
    }

    /// Returns all of them, in no order.
    pub(super) fn into_vec(self) -> Vec<ChannelPattern> {
        match self {
            Self::Few(list) => list,
            Self::Many(set) => set.into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::bayeux::Limits;

    fn pattern(number: usize) -> ChannelPattern {
        ChannelPattern::parse(&format!("/{number}"), &Limits::default()).expect("a pattern")
    }

    #[test]
    fn it_is_no_larger_than_a_list() {
        assert_eq!(size_of::<Subscriptions>(), size_of::<Vec<ChannelPattern>>());
    }

    proptest! {
        #[test]
        fn it_holds_what_a_set_holds(steps in prop::collection::vec((any::<bool>(), 0..3 * FEW), 0..200)) {
            let mut subscriptions = Subscriptions::default();
            let mut model = BTreeSet::new();
            for (is_added, number) in steps {
                let (changed, expected) = if is_added {
                    (subscriptions.insert(&pattern(number)), model.insert(number))
                } else {
                    (subscriptions.remove(&pattern(number)), model.remove(&number))
                };
                prop_assert_eq!(changed, expected);
                prop_assert_eq!(subscriptions.len(), model.len());
                for number in 0..3 * FEW {
                    prop_assert_eq!(subscriptions.contains(&pattern(number)), model.contains(&number));
                }
            }
            let all: BTreeSet<String> = subscriptions
                .into_vec()
                .iter()
                .map(|pattern| pattern.as_str().to_owned())
                .collect();
            let expected = model.iter().map(|number| format!("/{number}")).collect();
            prop_assert_eq!(all, expected);
        }
    }
}
