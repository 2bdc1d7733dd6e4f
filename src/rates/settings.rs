//! What an operator sets about how fast clients may be.

use serde::{Deserialize, Serialize};

/// How many seconds' worth may come at once, if nothing else is said.
const BURST_SECONDS: u32 = 10;

/// How much may come in a second, and how much at once. What is not set is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Messages of one session.
    pub messages_per_session: Option<u32>,
    /// How many of them at once.
    pub messages_per_session_burst: Option<u32>,
    /// Messages of one address, of all its sessions and of none.
    pub messages_per_address: Option<u32>,
    /// How many of them at once.
    pub messages_per_address_burst: Option<u32>,
    /// Handshakes of one address.
    pub handshakes_per_address: Option<u32>,
    /// How many of them at once.
    pub handshakes_per_address_burst: Option<u32>,
    /// Addresses that are told apart.
    pub max_addresses: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            messages_per_session: None,
            messages_per_session_burst: None,
            messages_per_address: None,
            messages_per_address_burst: None,
            handshakes_per_address: None,
            handshakes_per_address_burst: None,
            max_addresses: 65_536,
        }
    }
}

/// The burst of a rate, if it is not set.
pub(super) fn burst(per_second: u32) -> u32 {
    per_second.saturating_mul(BURST_SECONDS)
}
