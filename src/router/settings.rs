//! What an operator sets about channels: their number, and options per pattern.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bayeux::ReplayId;
use crate::history::Retention;
use crate::session::MaxQueuePolicy;

/// The settings of all channels.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Channels and patterns with at least one subscriber; a subscribe above it is refused.
    pub max_channels: usize,
    /// Whether a publisher that is subscribed to its channel receives its own messages.
    pub broadcast_to_publisher: bool,
    /// Whether a message without a `clientId` may be published on a broadcast channel.
    pub publish_without_session: bool,
    /// Whether subscribers receive the `ext` of a published message.
    pub relay_ext: bool,
    /// Whether subscribers receive the fields of a published message that Bayeux does not know.
    pub relay_custom_fields: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_channels: 1_000_000,
            broadcast_to_publisher: true,
            publish_without_session: false,
            relay_ext: true,
            relay_custom_fields: true,
        }
    }
}

/// One `[[channel]]` entry: options for the channels that match `pattern`.
///
/// An option that is absent is taken from the next less specific entry that matches, and at last
/// from the server's own setting.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelOptions {
    /// A channel, or a pattern that ends in `/*` or `/**`.
    pub pattern: String,
    /// Whether events of the channel wait for company instead of resuming a held connect.
    #[serde(default)]
    pub lazy: Option<bool>,
    /// How long they wait; without it, `bayeux.max_lazy_timeout`.
    #[serde(default, with = "humantime_serde")]
    pub lazy_timeout: Option<Duration>,
    /// Events of one such channel that one session may have queued; without it, no bound but the
    /// session's.
    #[serde(default)]
    pub max_queue: Option<usize>,
    /// What happens at that `max_queue`; without it, `bayeux.max_queue_policy`.
    #[serde(default)]
    pub max_queue_policy: Option<MaxQueuePolicy>,
    /// Whether a subscribed publisher receives its own messages.
    #[serde(default)]
    pub broadcast_to_publisher: Option<bool>,
    /// Whether the channel is a resource: its last message is kept.
    #[serde(default)]
    pub resource: Option<bool>,
    /// Whether application servers may be told who is subscribed.
    #[serde(default)]
    pub presence: Option<bool>,
    /// How much of each such channel is kept; without it, nothing.
    #[serde(default)]
    pub history: Option<Retention>,
    /// Where subscribers find the number of a message that is kept; without it, in `ext.replay`.
    #[serde(default)]
    pub replay_id: Option<ReplayId>,
    /// What a subscribe that names no position gets of what is kept; without it, nothing.
    #[serde(default)]
    pub replay_default: Option<ReplayDefault>,
    /// What becomes of a subscribe whose position cannot be served; without it, its reply tells.
    #[serde(default)]
    pub replay_expired: Option<ReplayExpired>,
}

/// What a subscribe that names no position gets before what is new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayDefault {
    /// Nothing.
    #[default]
    New,
    /// The last message of each channel.
    Last,
    /// All that is kept.
    All,
}

/// What becomes of a subscribe if some that came after its position is not kept any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayExpired {
    /// It gets what there is, and its reply tells what is lost.
    #[default]
    Tell,
    /// It fails.
    Fail,
}
