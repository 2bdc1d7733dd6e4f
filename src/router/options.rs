//! The `[[channel]]` options that apply to a channel.

use std::collections::HashMap;
use std::time::Duration;

use super::ChannelOptions;
use crate::bayeux::{ChannelBound, ChannelName, ChannelPattern, ReplayId};
use crate::history::Retention;
use crate::session;

/// How the events of one channel are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// How long they may wait for company; nothing: not at all.
    pub lazy: Option<Duration>,
    /// What one session may have queued of them; nothing: as of all channels.
    pub bound: Option<ChannelBound>,
    /// Whether a subscribed publisher receives its own messages.
    pub to_publisher: bool,
    /// Whether the last of them is kept.
    pub is_resource: bool,
    /// How they are kept with numbers; nothing: not at all.
    pub history: Option<HistoryOptions>,
}

/// What is to be done with the events of a channel with history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOptions {
    /// Where subscribers find a message's number.
    pub replay_id: ReplayId,
}

/// The options by pattern.
#[derive(Debug)]
pub(super) struct Options {
    by_pattern: HashMap<String, ChannelOptions>,
    to_publisher: bool,
}

impl Options {
    pub(super) fn new(channels: &[ChannelOptions], to_publisher: bool) -> Self {
        let by_pattern = channels
            .iter()
            .map(|options| (options.pattern.clone(), options.clone()))
            .collect();
        Self {
            by_pattern,
            to_publisher,
        }
    }

    /// Each option comes from the most specific pattern that sets it. A channel receives its
    /// publisher's own messages only if the server and the channel both say so.
    pub(super) fn of(&self, channel: &ChannelName, sessions: &session::Settings) -> Delivery {
        let (mut lazy, mut lazy_timeout, mut to_publisher) = (None, None, None);
        let (mut resource, mut max_queue, mut policy) = (None, None, None);
        let (mut history, mut replay_id) = (None, None);
        if !self.by_pattern.is_empty() {
            channel.each_pattern(|pattern| {
                if let Some(options) = self.by_pattern.get(pattern) {
                    lazy = lazy.or(options.lazy);
                    lazy_timeout = lazy_timeout.or(options.lazy_timeout);
                    to_publisher = to_publisher.or(options.broadcast_to_publisher);
                    resource = resource.or(options.resource);
                    max_queue = max_queue.or(options.max_queue);
                    policy = policy.or(options.max_queue_policy);
                    history = history.or(options.history);
                    replay_id = replay_id.or(options.replay_id);
                }
            });
        }
        Delivery {
            lazy: lazy
                .unwrap_or(false)
                .then(|| lazy_timeout.unwrap_or(sessions.max_lazy_timeout)),
            bound: max_queue.map(|max_queue| ChannelBound {
                max_queue,
                policy: policy.unwrap_or(sessions.max_queue_policy),
            }),
            to_publisher: self.to_publisher && to_publisher.unwrap_or(true),
            is_resource: resource.unwrap_or(false),
            history: history
                .is_some_and(|retention| retention.is_on())
                .then(|| HistoryOptions {
                    replay_id: replay_id.unwrap_or_default(),
                }),
        }
    }

    /// Returns how much of a channel is kept.
    pub(super) fn retention(&self, channel: &ChannelName) -> Retention {
        let mut history = None;
        channel.each_pattern(|pattern| {
            let options = self.by_pattern.get(pattern);
            history = history.or(options.and_then(|options| options.history));
        });
        history.unwrap_or_default()
    }

    /// Returns an option as the most specific entry sets it that covers all of a channel or pattern.
    pub(super) fn covering<T: Copy>(
        &self,
        pattern: &ChannelPattern,
        option: impl Fn(&ChannelOptions) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        pattern.each_covering(|covering| {
            found = found.or_else(|| self.by_pattern.get(covering).and_then(&option));
        });
        found
    }

    /// Lists the patterns that there are entries for.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.by_pattern.keys().map(String::as_str)
    }

    /// Tells whether who is subscribed to a channel or pattern may be told, as the most specific says that
    /// covers it.
    pub(super) fn have_presence(&self, pattern: &ChannelPattern) -> bool {
        self.covering(pattern, |options| options.presence)
            .unwrap_or(false)
    }

    /// Tells whether any channel can be a resource.
    pub(super) fn have_resources(&self) -> bool {
        self.by_pattern
            .values()
            .any(|options| options.resource == Some(true))
    }
}
