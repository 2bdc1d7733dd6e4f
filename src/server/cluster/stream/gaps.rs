//! Which message came last on each channel, so that a missing one is noticed.

use std::collections::HashMap;

use crate::bayeux::{ChannelName, ChannelPattern};
use crate::cluster::Touched;

/// Channels that are remembered; of others holes are noticed one message later.
const MAX: usize = 100_000;

/// The number of the last message of each channel that somebody here hears.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<ChannelName, u64>);

impl Known {
    /// Notes a message; of a channel that nobody hears here any more nothing is known.
    pub(super) fn note(&mut self, channel: ChannelName, id: u64, is_heard: bool) {
        if !is_heard {
            self.0.remove(&channel);
            return;
        }
        if self.0.len() >= MAX && !self.0.contains_key(&channel) {
            self.0.clear();
        }
        self.0.insert(channel, id);
    }

    /// Returns after which number something is missing before a message, whose predecessor on its channel is named.
    pub(super) fn hole(&self, channel: &ChannelName, before: u64) -> Option<u64> {
        self.0.get(channel).copied().filter(|last| before > *last)
    }

    /// Forgets what may not have come all the time.
    pub(super) fn forget(&mut self, touched: &Touched) {
        if touched.may_be_any {
            self.0.clear();
        }
        let is_wild = |pattern: &&ChannelPattern| pattern.channel().is_none();
        let wild: Vec<_> = touched.patterns.iter().filter(is_wild).collect();
        for channel in touched.patterns.iter().filter_map(ChannelPattern::channel) {
            self.0.remove(&channel);
        }
        if !wild.is_empty() {
            let is_covered =
                |channel: &ChannelName| wild.iter().any(|one| one.covers(channel.as_str()));
            self.0.retain(|channel, _| !is_covered(channel));
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::Limits;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name, &Limits::default()).expect("a channel")
    }

    fn pattern(text: &str) -> ChannelPattern {
        ChannelPattern::parse(text, &Limits::default()).expect("a pattern")
    }

    #[test]
    fn a_hole_is_seen_by_the_number_before() {
        let mut known = Known::default();
        let (a, b) = (channel("/x/a"), channel("/x/b"));
        assert_eq!(known.hole(&a, 7), None, "nothing is known yet");
        known.note(a.clone(), 8, true);
        assert_eq!(known.hole(&a, 8), None);
        assert_eq!(known.hole(&a, 9), Some(8));
        assert_eq!(known.hole(&a, 0), None, "the one before is forgotten");
        assert_eq!(known.hole(&b, 9), None);
    }

    #[test]
    fn what_did_not_come_all_the_time_is_not_known() {
        let (a, b) = (channel("/x/a"), channel("/y/b"));
        for (touched, is_a_known) in [
            ("/x/a", false),
            ("/x/*", false),
            ("/**", false),
            ("/y/b", true),
        ] {
            let mut known = Known::default();
            known.note(a.clone(), 8, true);
            known.note(b.clone(), 9, true);
            known.forget(&Touched {
                patterns: [pattern(touched)].into(),
                may_be_any: false,
            });
            assert_eq!(known.hole(&a, 9).is_some(), is_a_known, "{touched}");
        }
        let mut known = Known::default();
        known.note(a.clone(), 8, true);
        known.note(a.clone(), 9, false);
        assert_eq!(known.hole(&a, 10), None, "nobody hears it");
    }
}
