//! What a client is told of messages that it may have missed, because this node has, or because another one died.

use indexmap::IndexSet;

use super::record::PatternRecord;
use crate::bayeux::ChannelPattern;

/// The channels and patterns of which messages may be missing, until the client is told.
///
/// It is told with one reply, again if that is not written; to who acknowledges, with each until one has arrived.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    patterns: IndexSet<ChannelPattern>,
    /// The connect with whose reply it is on its way; to who acknowledges, the number of the reply with which it was told
    /// first.
    told: Option<u64>,
}

impl Gaps {
    /// Adds some; they are among what the session is subscribed to, so there are not many.
    pub(super) fn add(&mut self, patterns: &[ChannelPattern]) {
        self.patterns.extend(patterns.iter().cloned());
        self.told = None;
    }

    /// Tells it with the reply to a connect, or of a number.
    pub(super) fn tell(&mut self, with: u64) {
        self.told.get_or_insert(with);
    }

    /// Tells whether it was told once at least, or is on its way.
    pub(super) fn is_told(&self) -> bool {
        self.told.is_some()
    }

    /// Tells whether all of it is on its way with the reply to a connect.
    pub(super) fn is_told_with(&self, connect: u64) -> bool {
        self.told == Some(connect)
    }

    /// Tells it again, as it may not have arrived.
    pub(super) fn tell_again(&mut self) {
        self.told = None;
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
    fn it_is_told_until_the_first_reply_with_it_is_acknowledged() {
        let mut gaps = Gaps::default();
        assert!(!gaps.is_told());
        gaps.tell(9);
        gaps.tell(10);
        assert_eq!([gaps.has_arrived(8), gaps.has_arrived(9)], [false, true]);
        gaps.add(&[]);
        assert!(!gaps.has_arrived(9), "there is more to tell");
    }
}
