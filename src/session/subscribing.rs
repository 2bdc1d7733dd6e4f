//! What a session is subscribed to.

use super::Session;
use crate::bayeux::ChannelPattern;
use crate::lifecycle::Kind;

impl Session {
    /// Notes a subscription; false if the session has ended.
    #[must_use]
    pub fn add_subscription(&self, pattern: &ChannelPattern) -> bool {
        let telling = self.telling();
        let mut inner = self.lock();
        let added = inner.state.add_subscription(pattern);
        if added == Some(true) {
            telling.subscription(Kind::Subscribed, pattern);
            if self.shared.ownership.is_some() {
                inner.state.begin_subscription(pattern);
            }
            self.note_change();
        }
        added.is_some()
    }

    /// Forgets a subscription.
    pub fn remove_subscription(&self, pattern: &ChannelPattern) {
        let telling = self.telling();
        let mut inner = self.lock();
        if inner.state.remove_subscription(pattern) {
            telling.subscription(Kind::Unsubscribed, pattern);
            self.note_change();
        }
    }

    /// Tells whether it is subscribed to these, and to nothing else.
    #[must_use]
    pub fn is_subscribed_to(&self, patterns: &[ChannelPattern]) -> bool {
        self.lock().state.is_subscribed_to(patterns)
    }

    /// Returns those of some channels and patterns that it is not subscribed to.
    #[must_use]
    pub fn not_subscribed(&self, patterns: &[ChannelPattern]) -> Vec<ChannelPattern> {
        self.lock().state.not_subscribed(patterns)
    }

    /// Returns what it is subscribed to.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<ChannelPattern> {
        self.lock().state.subscriptions()
    }

    /// Returns how many channels and patterns it would be subscribed to with these.
    #[must_use]
    pub fn count_with(&self, patterns: &[ChannelPattern]) -> usize {
        self.lock().state.count_with(patterns)
    }
}
