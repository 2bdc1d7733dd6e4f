//! What happens to a session that is given more events than it may have queued; knows no queue.

use serde::{Deserialize, Serialize};

/// What happens to a session whose queue is at a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxQueuePolicy {
    /// The session ends; its client is told to handshake again.
    End,
    /// The oldest queued events make room for the new one.
    DropOldest,
    /// The new event is dropped.
    DropNewest,
    /// Only the latest event of a channel is kept. Where that makes no room, the session ends.
    Conflate,
}

/// The bound on what one session may have queued of one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelBound {
    /// Events of the channel.
    pub max_queue: usize,
    /// What happens above that.
    pub policy: MaxQueuePolicy,
}
