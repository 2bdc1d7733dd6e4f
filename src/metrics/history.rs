//! The figures of history: what is kept, what is read again, and whether the store works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::Counter;
use super::render::{counter, head, line};

/// What is counted about history.
#[derive(Debug, Default)]
pub struct History {
    /// Messages that were kept.
    pub appended: Counter,
    /// Messages that were refused because they could not be kept.
    pub failed: Counter,
    /// Messages that sessions were given of the past.
    pub replayed: Counter,
    messages: AtomicU64,
    bytes: AtomicU64,
    channels: AtomicU64,
    is_failing: AtomicBool,
}

impl History {
    /// Notes how many messages are kept, how many bytes that takes, and of how many channels.
    pub fn keeps(&self, messages: u64, bytes: u64, channels: u64) {
        self.messages.store(messages, Relaxed);
        self.bytes.store(bytes, Relaxed);
        self.channels.store(channels, Relaxed);
    }

    /// Returns how many messages are kept, how many bytes that takes, and of how many channels, as was noted last.
    #[must_use]
    pub fn kept(&self) -> (u64, u64, u64) {
        let [messages, bytes, channels] =
            [&self.messages, &self.bytes, &self.channels].map(|figure| figure.load(Relaxed));
        (messages, bytes, channels)
    }

    /// Notes whether the store works.
    pub fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Relaxed);
    }

    /// Tells whether it did not when it was last seen.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Relaxed)
    }

    pub(super) fn render(&self, out: &mut String) {
        for (name, help, value) in [
            (
                "history_messages",
                "Messages that are kept.",
                self.messages.load(Relaxed),
            ),
            (
                "history_bytes",
                "Bytes that they take: of memory, or of files.",
                self.bytes.load(Relaxed),
            ),
            (
                "history_channels",
                "Channels of which something is kept, or known.",
                self.channels.load(Relaxed),
            ),
            (
                "history_failing",
                "Whether history cannot be kept: 1, or 0 if it can.",
                u64::from(self.is_failing()),
            ),
        ] {
            head(out, name, help, "gauge");
            line(out, name, "", &value);
        }
        for (name, help, value) in [
            (
                "history_appended_total",
                "Messages that were kept.",
                &self.appended,
            ),
            (
                "history_refused_total",
                "Messages that were refused because they could not be kept.",
                &self.failed,
            ),
            (
                "history_replayed_total",
                "Messages that sessions were given of the past.",
                &self.replayed,
            ),
        ] {
            counter(out, (name, help), value);
        }
    }
}
