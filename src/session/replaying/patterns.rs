//! Channels and patterns, of which those that cover a channel are found by look-ups.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::bayeux::{ChannelPattern, each_pattern};

/// Channels and patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(HashSet<ChannelPattern>);

impl FromIterator<ChannelPattern> for Names {
    fn from_iter<I: IntoIterator<Item = ChannelPattern>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Names {
    pub(super) fn iter(&self) -> impl Iterator<Item = &ChannelPattern> {
        self.0.iter()
    }

    pub(super) fn have(&self, pattern: &ChannelPattern) -> bool {
        self.0.contains(pattern)
    }

    /// Tells whether any of them names a channel.
    pub(super) fn cover(&self, channel: &str) -> bool {
        let mut is_covered = false;
        if !self.0.is_empty() {
            each_pattern(channel, |pattern| is_covered |= self.0.contains(pattern));
        }
        is_covered
    }

    /// Returns the channels that both name: two patterns are nested, or have none in common.
    pub(super) fn overlaps(&self, others: &Self) -> Self {
        let within = |inner: &Self, outer: &Self| {
            let names = inner.0.iter().filter(|name| {
                let mut is_within = false;
                name.each_covering(|covering| is_within |= outer.0.contains(covering));
                is_within
            });
            names.cloned().collect::<Vec<_>>()
        };
        let own = within(self, others);
        own.into_iter().chain(within(others, self)).collect()
    }
}

/// Channels and patterns, each with the number after which its messages are wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Wants(Arc<HashMap<ChannelPattern, u64>>);

impl FromIterator<(ChannelPattern, u64)> for Wants {
    fn from_iter<I: IntoIterator<Item = (ChannelPattern, u64)>>(wants: I) -> Self {
        Self(Arc::new(wants.into_iter().collect()))
    }
}

impl Wants {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ChannelPattern, u64)> {
        self.0.iter().map(|(pattern, after)| (pattern, *after))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = ChannelPattern> {
        self.0.keys().cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn have(&self, pattern: &ChannelPattern) -> bool {
        self.0.contains_key(pattern)
    }

    /// Tells whether any of them names a channel.
    pub(super) fn cover(&self, channel: &str) -> bool {
        self.after(channel).is_some()
    }

    /// Tells whether any of them wants a message.
    pub(super) fn take(&self, channel: &str, id: u64) -> bool {
        self.after(channel).is_some_and(|after| id > after)
    }

    /// Returns the number after which messages of a channel are wanted, if they are.
    fn after(&self, channel: &str) -> Option<u64> {
        let mut least = None;
        each_pattern(channel, |pattern| {
            if let Some(after) = self.0.get(pattern) {
                least = Some(least.map_or(*after, |least: u64| least.min(*after)));
            }
        });
        least
    }

    /// Wants nothing up to a number any more.
    pub(super) fn raise(&mut self, least: u64) {
        for after in Arc::make_mut(&mut self.0).values_mut() {
            *after = least.max(*after);
        }
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&ChannelPattern) -> bool) {
        if !self.0.keys().all(&is_kept) {
            Arc::make_mut(&mut self.0).retain(|pattern, _| is_kept(pattern));
        }
    }
}
