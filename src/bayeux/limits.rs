//! The bounds on what one request or frame may hold; knows nothing of sessions.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Bounds checked while a batch is parsed, before any message takes effect.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of one request body or frame, after the transfer coding is removed; above it: 413.
    pub max_message_size: ByteSize,
    /// Messages in one request or frame; above it: 400.
    pub max_batch: usize,
    /// Nested arrays and objects in one request, the batch's own array included; above it: 400.
    pub max_depth: usize,
    /// Bytes of one message id as JSON; above it: `405::message_id_invalid`.
    pub max_message_id_length: usize,
    /// Whether a message id has to be of letters and digits; else: `405::message_id_invalid`.
    pub strict_message_ids: bool,
    /// Bytes of one channel name or pattern; above it: `405::channel_invalid`.
    pub max_channel_length: usize,
    /// Segments of one channel name or pattern; above it: `405::channel_invalid`.
    pub max_channel_segments: usize,
}

impl Limits {
    /// Returns those with which what was a channel once is one, whatever its length.
    #[must_use]
    pub fn of_known_channels() -> Self {
        Self {
            max_channel_length: usize::MAX,
            max_channel_segments: usize::MAX,
            ..Self::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: ByteSize::kib(64),
            max_batch: 1000,
            max_depth: 128,
            max_message_id_length: 256,
            strict_message_ids: false,
            max_channel_length: 512,
            max_channel_segments: 32,
        }
    }
}
