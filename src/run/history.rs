//! What keeps history, as it is configured.

use std::sync::Arc;

use crate::history::sqlite::{self, OpenError, SqliteStore};
use crate::history::{History, MemoryStore, Settings, Store, Sync};
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
            let kept = sqlite::Settings {
                directory: directory.clone(),
                sync: match settings.sync {
                    Sync::Always => sqlite::Sync::Always,
                    Sync::Interval => sqlite::Sync::Interval,
                    Sync::Os => sqlite::Sync::Os,
                },
                sync_interval: settings.sync_interval,
                max_bytes: settings.max_bytes,
                max_channels: settings.max_channels,
            };
            Arc::new(SqliteStore::open(kept, policy)?)
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
