//! The least set of channels and patterns that brings everything that is wanted.
//!
//! Wildcards stand at the end only, so of two patterns one covers the other or they have nothing in common. What
//! nothing else covers is subscribed to; what is covered comes with that.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;

use crate::bayeux::ChannelPattern;
use crate::cluster::Change;

/// What is wanted, and what is subscribed to for that.
#[derive(Debug, Default)]
pub(super) struct Cover {
    wanted: BTreeSet<ChannelPattern>,
    subscribed: HashSet<ChannelPattern>,
}

/// What has to be done: first all that is new is subscribed to, and then the rest is left, so that nothing is missed
/// in between.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) subscribe: Vec<ChannelPattern>,
    pub(super) unsubscribe: Vec<ChannelPattern>,
}

impl Cover {
    /// Makes changes; returns what has to be done for all of them together.
    pub(super) fn change(&mut self, changes: impl IntoIterator<Item = Change>) -> Steps {
        // What was touched, and whether it was subscribed to before.
        let mut before = HashMap::new();
        for Change { pattern, is_wanted } in changes {
            if is_wanted {
                self.add(pattern, &mut before);
            } else {
                self.remove(&pattern, &mut before);
            }
        }
        let mut steps = Steps::default();
        for (pattern, was_subscribed) in before {
            match (was_subscribed, self.subscribed.contains(&pattern)) {
                (false, true) => steps.subscribe.push(pattern),
                (true, false) => steps.unsubscribe.push(pattern),
                _ => {}
            }
        }
        steps
    }

    fn add(&mut self, pattern: ChannelPattern, before: &mut HashMap<ChannelPattern, bool>) {
        if !self.wanted.insert(pattern.clone()) || self.is_covered(&pattern) {
            return;
        }
        for narrow in self.below(&pattern) {
            self.set(narrow, false, before);
        }
        self.set(pattern, true, before);
    }

    fn remove(&mut self, pattern: &ChannelPattern, before: &mut HashMap<ChannelPattern, bool>) {
        if !self.wanted.remove(pattern) || !self.subscribed.contains(pattern) {
            return;
        }
        for narrow in self.below(pattern) {
            if !self.is_covered(&narrow) {
                self.set(narrow, true, before);
            }
        }
        self.set(pattern.clone(), false, before);
    }

    fn set(
        &mut self,
        pattern: ChannelPattern,
        is_subscribed: bool,
        before: &mut HashMap<ChannelPattern, bool>,
    ) {
        let was_subscribed = if is_subscribed {
            !self.subscribed.insert(pattern.clone())
        } else {
            self.subscribed.remove(&pattern)
        };
        before.entry(pattern).or_insert(was_subscribed);
    }

    /// Tells whether something else that is wanted brings it.
    fn is_covered(&self, pattern: &ChannelPattern) -> bool {
        let mut is_covered = false;
        pattern.each_covering(|wide| {
            is_covered |= wide != pattern.as_str() && self.wanted.contains(wide);
        });
        is_covered
    }

    /// Returns what else is wanted that a pattern covers.
    fn below(&self, pattern: &ChannelPattern) -> Vec<ChannelPattern> {
        let text = pattern.as_str();
        let Some(base) = text.strip_suffix("/**").or(text.strip_suffix("/*")) else {
            return Vec::new();
        };
        let first = format!("{base}/");
        let range = (Bound::Included(first.as_str()), Bound::Unbounded);
        let below = self.wanted.range::<str, _>(range);
        let below = below.take_while(|narrow| narrow.as_str().starts_with(&first));
        below
            .filter(|narrow| *narrow != pattern && pattern.covers(narrow.as_str()))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bayeux::{ChannelName, Limits};

    fn pattern(text: &str) -> ChannelPattern {
        ChannelPattern::parse(text, &Limits::default()).expect(text)
    }

    /// `+/a` or `-/a`.
    fn changes(texts: &[&str]) -> Vec<Change> {
        let change = |text: &&str| Change {
            pattern: pattern(&text[1..]),
            is_wanted: text.starts_with('+'),
        };
        texts.iter().map(change).collect()
    }

    fn sorted(patterns: &[ChannelPattern]) -> Vec<&str> {
        let mut texts: Vec<_> = patterns.iter().map(ChannelPattern::as_str).collect();
        texts.sort_unstable();
        texts
    }

    #[test]
    fn what_is_covered_is_not_subscribed_to() {
        let mut cover = Cover::default();
        let rounds: [(&[&str], &[&str], &[&str]); 10] = [
            (&["+/a/b", "+/a/b/c", "+/x"], &["/a/b", "/a/b/c", "/x"], &[]),
            (&["+/a/*"], &["/a/*"], &["/a/b"]),
            (&["+/a/d"], &[], &[]),
            (&["+/a/**"], &["/a/**"], &["/a/*", "/a/b/c"]),
            (&["+/a/b/**", "-/a/b"], &[], &[]),
            (&["+/ab", "+/a"], &["/a", "/ab"], &[]),
            (&["-/a/**"], &["/a/*", "/a/b/**"], &["/a/**"]),
            // What is wanted again at once is left as it is.
            (&["-/a/*", "+/a/*"], &[], &[]),
            (&["-/a/*"], &["/a/d"], &["/a/*"]),
            (&["+/**"], &["/**"], &["/a", "/a/b/**", "/a/d", "/ab", "/x"]),
        ];
        for (texts, subscribe, unsubscribe) in rounds {
            let steps = cover.change(changes(texts));
            assert_eq!(sorted(&steps.subscribe), subscribe, "{texts:?}");
            assert_eq!(sorted(&steps.unsubscribe), unsubscribe, "{texts:?}");
        }
    }

    const TEXTS: [&str; 12] = [
        "/a", "/b", "/a/b", "/a/c", "/a/b/c", "/a/b/d", "/*", "/**", "/a/*", "/a/**", "/a/b/*",
        "/a/b/**",
    ];

    proptest! {
        #[test]
        fn all_that_is_wanted_comes_once(
            rounds in proptest::collection::vec(
                proptest::collection::vec((0..TEXTS.len(), any::<bool>()), 1..5), 1..20)
        ) {
            let mut cover = Cover::default();
            let mut wanted = HashSet::new();
            let mut subscribed = HashSet::new();
            for round in rounds {
                let changes = round.iter().map(|(index, is_wanted)| {
                    let pattern = pattern(TEXTS[*index]);
                    if *is_wanted { wanted.insert(pattern.clone()) } else { wanted.remove(&pattern) };
                    Change { pattern, is_wanted: *is_wanted }
                });
                let changes: Vec<_> = changes.collect();
                let steps = cover.change(changes);
                for pattern in steps.subscribe {
                    prop_assert!(subscribed.insert(pattern));
                }
                for pattern in steps.unsubscribe {
                    prop_assert!(subscribed.remove(&pattern));
                }
                for channel in ["/a", "/b", "/c", "/a/b", "/a/x", "/a/b/c", "/a/b/x", "/a/b/c/d"] {
                    let channel = ChannelName::parse(channel, &Limits::default()).expect("a channel");
                    let is_wanted = wanted.iter().any(|pattern| pattern.matches(&channel));
                    let count = subscribed.iter().filter(|pattern| pattern.matches(&channel)).count();
                    if is_wanted {
                        prop_assert_eq!(count, 1, "{:?} {:?}", channel, subscribed);
                    }
                }
                prop_assert!(subscribed.is_subset(&wanted));
            }
        }
    }
}
