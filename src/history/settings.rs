//! What an operator sets about where messages are kept, and how many.

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The settings of history; how much is kept of a channel is among the options of channels.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Where messages are kept; without it, in memory.
    pub directory: Option<PathBuf>,
    /// When what is written there is safe from a loss of power.
    pub sync: Sync,
    /// How often it is made so, if not for each batch.
    #[serde(with = "humantime_serde")]
    pub sync_interval: Duration,
    /// The memory, or the size of the files, that all of it may take.
    pub max_bytes: ByteSize,
    /// Channels that are known.
    pub max_channels: usize,
    /// Published messages that may wait to be kept.
    pub max_pending: usize,
    /// Messages that one subscription gets of the past.
    pub max_replay_messages: usize,
    /// Messages in one answer to a request for history.
    pub max_page_messages: usize,
    /// Below which path clients read it, channel by channel.
    pub path: String,
    /// How long it takes at most to leave the sessions to the next start.
    #[serde(with = "humantime_serde")]
    pub save_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: None,
            sync: Sync::Always,
            sync_interval: Duration::from_secs(1),
            max_bytes: ByteSize::mib(256),
            max_channels: 100_000,
            max_pending: 10_000,
            max_replay_messages: 100_000,
            max_page_messages: 1000,
            path: "/history".to_owned(),
            save_timeout: Duration::from_secs(10),
        }
    }
}

/// When what is written to files is safe even if the machine loses power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// Before anyone hears it, or that it was published.
    Always,
    /// After `sync_interval`.
    Interval,
    /// When the operating system sees fit.
    Os,
}
