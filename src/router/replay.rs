//! What subscribers get of the past, by the `[[channel]]` entries about what they subscribe to.

use super::options::Options;
use super::settings::{ChannelOptions, ReplayDefault, ReplayExpired};
use crate::bayeux::{ChannelPattern, Limits};
use crate::history::Policy;

/// How a subscribe to a channel or pattern gets what is kept of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// What it gets if it names no position.
    pub default: ReplayDefault,
    /// What becomes of it if its position cannot be served.
    pub expired: ReplayExpired,
}

/// Tells a store how much is kept of each channel.
#[must_use]
pub fn history_policy(channels: &[ChannelOptions]) -> Policy {
    let options = Options::new(channels, true);
    Policy::new(move |channel| options.retention(channel))
}

/// The entries that are about history, and what each has in the end, with what it takes from others.
#[derive(Debug, Default)]
pub(super) struct Replays {
    with_history: Vec<(ChannelPattern, ReplayOptions)>,
}

impl Replays {
    pub(super) fn new(options: &Options) -> Self {
        // The server's bounds are checked where channels come from clients.
        let any = Limits {
            max_channel_length: usize::MAX,
            max_channel_segments: usize::MAX,
            ..Limits::default()
        };
        let patterns = options.patterns();
        let patterns = patterns.filter_map(|text| ChannelPattern::parse(text, &any).ok());
        let with_history = patterns
            .filter(|pattern| is_kept(options, pattern))
            .map(|pattern| {
                let own = ReplayOptions {
                    default: default_of(options, &pattern).unwrap_or_default(),
                    expired: expired_of(options, &pattern).unwrap_or_default(),
                };
                (pattern, own)
            });
        Self {
            with_history: with_history.collect(),
        }
    }

    /// Returns how a subscribe to a channel or pattern gets what is kept; nothing if none of its channels can
    /// have history.
    ///
    /// Each option is as the most specific entry sets it that covers all of them. If none does, it is what the
    /// entries about some of them agree on.
    pub(super) fn of(&self, pattern: &ChannelPattern, options: &Options) -> Option<ReplayOptions> {
        let within = self.with_history.iter();
        let within = within.filter(|(entry, _)| pattern.covers(entry.as_str()));
        let within: Vec<ReplayOptions> = within.map(|(_, own)| *own).collect();
        if within.is_empty() && !is_kept(options, pattern) {
            return None;
        }
        let default = default_of(options, pattern);
        let expired = expired_of(options, pattern);
        Some(ReplayOptions {
            default: default.unwrap_or_else(|| agreed(within.iter().map(|own| own.default))),
            expired: expired.unwrap_or_else(|| agreed(within.iter().map(|own| own.expired))),
        })
    }
}

/// Tells whether all channels that a pattern matches have history.
pub(super) fn is_kept(options: &Options, pattern: &ChannelPattern) -> bool {
    let retention = options.covering(pattern, |entry| entry.history);
    retention.is_some_and(|retention| retention.is_on())
}

fn default_of(options: &Options, pattern: &ChannelPattern) -> Option<ReplayDefault> {
    options.covering(pattern, |entry| entry.replay_default)
}

fn expired_of(options: &Options, pattern: &ChannelPattern) -> Option<ReplayExpired> {
    options.covering(pattern, |entry| entry.replay_expired)
}

/// Returns what all say, or else the default.
fn agreed<T: Default + PartialEq>(mut all: impl Iterator<Item = T>) -> T {
    let first = all.next().unwrap_or_default();
    if all.all(|other| other == first) {
        first
    } else {
        T::default()
    }
}
