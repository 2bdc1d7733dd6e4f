//! What an operator sets about the cluster.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::authentication::Secret;

/// The settings of the cluster: it is on if `redis` is set.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Where Redis is: `redis://`, `rediss://`, or `redis+sentinel://host1:26379,host2:26379/master`.
    pub redis: Option<String>,
    /// The password of Redis, if it asks for one.
    pub password: Option<Secret>,
    /// Where other nodes reach this one.
    pub listen: Option<String>,
    /// What other nodes are told to connect to, if that is not `listen`.
    pub advertise: Option<String>,
    /// What nodes show each other.
    pub secret: Option<Secret>,
    /// What the names of all keys in Redis begin with.
    pub prefix: String,
    /// What becomes of a publish while Redis is away.
    pub when_away: WhenAway,
    /// After how long without a heartbeat a node counts as dead.
    #[serde(with = "humantime_serde")]
    pub node_timeout: Duration,
    /// How long an answer of Redis, or of another node, is waited for.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// How many requests that other nodes pass on are answered at once.
    pub max_passed: usize,
    /// How many bytes of messages may have come and not be delivered yet.
    pub max_inbox: ByteSize,
    /// Of how many channels without history Redis remembers the number of the last message.
    pub max_channels: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            redis: None,
            password: None,
            listen: None,
            advertise: None,
            secret: None,
            prefix: "mirant".to_owned(),
            when_away: WhenAway::default(),
            node_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(5),
            max_passed: 100_000,
            max_inbox: ByteSize::mib(64),
            max_channels: 1_000_000,
        }
    }
}

/// What becomes of a publish while Redis is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenAway {
    /// It is refused.
    #[default]
    Refuse,
    /// It reaches this node's subscribers only.
    Local,
}
