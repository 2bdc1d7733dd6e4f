//! The checks of where messages are kept, and how many of each channel.

use std::time::Duration;

use super::{Checks, MAX_DURATION, may_match_alike};
use crate::config::Config;
use crate::router::settings::ChannelOptions;

/// Longer than anything is kept in earnest.
const MAX_AGE: Duration = MAX_DURATION.saturating_mul(100);

impl Checks {
    pub(super) fn history(&mut self, config: &Config) {
        let directory = &config.history.directory;
        self.require(
            directory.as_ref().is_none_or(|path| path.is_absolute()),
            "history.directory",
            "must be an absolute path, such as \"/var/lib/mirant\", whatever directory the server is started in",
        );
        let least = config.bayeux.limits.max_message_size.as_u64();
        self.size("history.max_bytes", config.history.max_bytes, least);
        for (index, channel) in config.channel.iter().enumerate() {
            self.retention(index, channel);
            let has_history = config.channel.iter().any(|other| {
                other.history.is_some() && may_match_alike(&channel.pattern, &other.pattern)
            });
            let of_history = [
                ("replay_id", channel.replay_id.is_some()),
                ("replay_default", channel.replay_default.is_some()),
                ("replay_expired", channel.replay_expired.is_some()),
            ];
            for (name, is_set) in of_history {
                let fix = "does nothing without a history; set that in the same [[channel]], \
                           such as history = { messages = 1000 }";
                self.require_of_channel(!is_set || has_history, (index, name), fix);
            }
        }
    }

    fn retention(&mut self, index: usize, channel: &ChannelOptions) {
        let Some(retention) = channel.history else {
            return;
        };
        self.require_of_channel(
            retention.is_on(),
            (index, "history"),
            "must have a bound: { messages = 1000 }, { age = \"24h\" }, { bytes = \"1MiB\" }, \
             or several of them",
        );
        let is_zero = retention.messages == Some(0)
            || retention.age.is_some_and(|age| age.is_zero())
            || retention.bytes.is_some_and(|bytes| bytes.as_u64() == 0);
        self.require_of_channel(
            !is_zero,
            (index, "history"),
            "its bounds must be above zero; leave history out to keep nothing",
        );
        self.require_of_channel(
            retention.age.is_none_or(|age| age <= MAX_AGE),
            (index, "history"),
            "its age must be at most \"36600days\"; leave it out to keep messages of any age",
        );
    }
}
