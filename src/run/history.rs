//! What keeps history, as it is configured.

use std::sync::Arc;

use crate::history::{History, MemoryStore, OpenError, Settings, SqliteStore, Store};
use crate::metrics::Metrics;
use crate::router::{ChannelOptions, history_policy};

/// Opens what is to keep history, and sessions over a restart; without a directory nothing is opened if no
/// channel has history.
///
/// # Errors
/// The directory cannot be used.
pub(super) fn open(
    settings: Settings,
    channels: &[ChannelOptions],
    metrics: &Arc<Metrics>,
) -> Result<History, OpenError> {
    let policy = history_policy(channels);
    let has_history = channels.iter().any(|channel| channel.history.is_some());
    let store: Arc<dyn Store> = match &settings.directory {
        Some(directory) => {
            let metrics = Arc::clone(metrics);
            Arc::new(SqliteStore::open(directory, &settings, policy, metrics)?)
        }
        None if has_history => Arc::new(MemoryStore::new(
            settings.max_bytes,
            settings.max_channels,
            policy,
            Arc::clone(metrics),
        )),
        None => return Ok(History::default()),
    };
    Ok(History::new(store, settings))
}
