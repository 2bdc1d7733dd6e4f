//! What a client is told of messages that it may have missed, because this node has, or because another one died.

use std::sync::Arc;

use indexmap::IndexSet;

use super::Session;
use super::record::PatternRecord;
use crate::bayeux::{ChannelPattern, Event, NotRecovered, Outcome};

/// The channels and patterns of which messages may be missing, until the client is told.
///
/// A reply may be lost: it is told with two replies one after the other, or until one of these is acknowledged.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    patterns: IndexSet<ChannelPattern>,
    /// The number of the connect, or of the reply, with which it was told first.
    told: Option<u64>,
}

impl Gaps {
    /// Adds some; they are among what the session is subscribed to, so there are not many.
    pub(super) fn add(&mut self, patterns: &[ChannelPattern]) {
        self.patterns.extend(patterns.iter().cloned());
        self.told = None;
    }

    /// Tells it with the reply to a connect; `number` is the reply's, if its client acknowledges. Returns whether
    /// it may be forgotten then.
    pub(super) fn tell(&mut self, connect: u64, number: Option<u64>) -> bool {
        let was_told = self.told.is_some();
        self.told.get_or_insert(number.unwrap_or(connect));
        was_told && number.is_none()
    }

    /// Tells whether it was told once at least.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Tells whether it may be forgotten, as replies up to this number have arrived.
    pub(super) fn has_arrived(&self, number: u64) -> bool {
        self.told.is_some_and(|told| told <= number)
    }

    pub(super) fn of_record(patterns: Vec<PatternRecord>) -> Self {
        Self {
            patterns: patterns.into_iter().map(|pattern| pattern.0).collect(),
            told: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &ChannelPattern> {
        self.patterns.iter()
    }

    /// Writes the `gap` of a reply's `ext`: an array of channels and patterns.
    pub(super) fn json(&self) -> String {
        let names: Vec<_> = self.patterns.iter().map(ChannelPattern::as_str).collect();
        serde_json::to_string(&names).expect("strings are JSON")
    }
}

impl Session {
    /// Notes that messages of some of what it is subscribed to may be missing. Its client is told with the reply
    /// to its next connect, or by its event stream.
    pub fn note_gap(&self, patterns: &[ChannelPattern]) {
        if patterns.is_empty() {
            return;
        }
        self.shared.metrics.cluster.gaps.increment();
        let mut inner = self.lock();
        let memory = &self.shared.metrics.memory;
        let told = |pattern: &ChannelPattern| {
            let outcome = Outcome {
                pattern: pattern.as_str(),
                failed: Some(NotRecovered::Missed),
                after: 0,
                first: None,
                last: None,
                epoch: "",
            };
            let event = Event::overtaken(pattern, &Outcome::json(&[outcome]));
            Arc::new(event.counted(memory))
        };
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let wake = state.note_gap(patterns, told, settings);
        self.finish(inner, wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::Limits;

    #[test]
    fn each_channel_is_named_once() {
        let pattern = |text| ChannelPattern::parse(text, &Limits::default()).expect("a pattern");
        let mut gaps = Gaps::default();
        gaps.add(&[pattern("/a"), pattern("/b/*")]);
        gaps.add(&[pattern("/b/*"), pattern("/c")]);
        assert_eq!(gaps.json(), r#"["/a","/b/*","/c"]"#);
    }

    #[test]
    fn it_is_told_twice_or_until_that_is_acknowledged() {
        let mut gaps = Gaps::default();
        assert_eq!([gaps.tell(5, None), gaps.tell(6, None)], [false, true]);
        let mut gaps = Gaps::default();
        assert_eq!([gaps.tell(5, Some(9)), gaps.tell(6, Some(10))], [false; 2]);
        assert_eq!([gaps.has_arrived(8), gaps.has_arrived(9)], [false, true]);
        gaps.add(&[]);
        assert!(!gaps.has_arrived(9), "there is more to tell");
    }
}
