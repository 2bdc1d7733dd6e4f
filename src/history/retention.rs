//! How much of a channel is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::bayeux::ChannelName;

/// How much of a channel is kept: what passes any of these goes, the oldest first. Without any there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// How many messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<u64>,
    /// How old they may be.
    #[serde(
        default,
        with = "humantime_serde",
        skip_serializing_if = "Option::is_none"
    )]
    pub age: Option<Duration>,
    /// How many bytes their data, and what else was relayed, may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<ByteSize>,
}

impl Retention {
    /// Tells whether anything is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.messages.is_some() || self.age.is_some() || self.bytes.is_some()
    }
}

/// Tells how much is kept of each channel, as it is configured now.
#[derive(Clone)]
pub struct Policy(Arc<dyn Fn(&ChannelName) -> Retention + Send + Sync>);

impl Policy {
    /// Makes one of a function, which is asked for each channel that a store comes to know.
    pub fn new(of: impl Fn(&ChannelName) -> Retention + Send + Sync + 'static) -> Self {
        Self(Arc::new(of))
    }

    /// Returns how much is kept of a channel.
    #[must_use]
    pub fn of(&self, channel: &ChannelName) -> Retention {
        self.0(channel)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Policy")
    }
}
