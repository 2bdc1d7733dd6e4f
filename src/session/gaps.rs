//! What a client is told of messages that it may have missed, because this node has, or because another one died.

use std::sync::Arc;

use indexmap::IndexSet;

use super::Session;
use super::record::PatternRecord;
use crate::bayeux::{ChannelPattern, Event, NotRecovered, Outcome};

/// The channels and patterns of which messages may be missing, until the client is told.
#[derive(Debug, Default)]
pub(super) struct Gaps(IndexSet<ChannelPattern>);

impl Gaps {
    /// Adds some; they are among what the session is subscribed to, so there are not many.
    pub(super) fn add(&mut self, patterns: &[ChannelPattern]) {
        self.0.extend(patterns.iter().cloned());
    }

    pub(super) fn of_record(patterns: Vec<PatternRecord>) -> Self {
        Self(patterns.into_iter().map(|pattern| pattern.0).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn patterns(&self) -> impl Iterator<Item = &ChannelPattern> {
        self.0.iter()
    }

    /// Writes the `gap` of a reply's `ext`: an array of channels and patterns.
    pub(super) fn json(&self) -> String {
        let names: Vec<_> = self.0.iter().map(ChannelPattern::as_str).collect();
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
        let wake = inner.state.note_gap(patterns, told, &self.shared.settings);
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
}
