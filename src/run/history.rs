//! What keeps history, as it is configured.

use std::sync::Arc;

use crate::history::{History, MemoryStore, Settings};
use crate::metrics::Metrics;
use crate::router::{ChannelOptions, history_policy};

/// Opens what is to keep history; nothing is opened if no channel has one.
pub(super) fn open(
    settings: Settings,
    channels: &[ChannelOptions],
    metrics: &Arc<Metrics>,
) -> History {
    if !channels.iter().any(|channel| channel.history.is_some()) {
        return History::default();
    }
    let policy = history_policy(channels);
    let store = MemoryStore::new(
        settings.max_bytes,
        settings.max_channels,
        policy,
        Arc::clone(metrics),
    );
    History::new(Arc::new(store), settings)
}
