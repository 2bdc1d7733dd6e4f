//! What the service manager is told, if it wants to know (systemd's `Type=notify`).

use sd_notify::NotifyState;

/// The server serves, or serves on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It takes up changes of the configuration, and says when that is over.
pub(super) fn reloading() {
    let mut states = vec![NotifyState::Reloading];
    states.extend(NotifyState::monotonic_usec_now().ok());
    tell(&states);
}

/// It is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager is not told (NOTIFY_SOCKET)");
    }
}
