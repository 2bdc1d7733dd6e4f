//! What an operator sets about the representations that are kept.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// The bounds of what is kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Resources kept, deleted ones included; above it the least recently changed is forgotten.
    pub max_resources: usize,
    /// Bytes of all representations and their channels' names; above it the same.
    pub max_bytes: ByteSize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_resources: 10_000,
            max_bytes: ByteSize::mib(64),
        }
    }
}
