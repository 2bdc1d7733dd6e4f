//! What the client of a session may do, and which requests may use it.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Session;
use crate::access::{Granted, Identity};
use crate::bayeux::RandomId;

/// How long before a handshake a stream may have been opened, and how long after it may be used, that was
/// on its way meanwhile.
const MAX_DELAY: Duration = Duration::from_secs(10);

impl Session {
    /// Sets what its client may do from now on.
    pub fn grant(&self, granted: Granted) {
        *self.granted.write().unwrap_or_else(PoisonError::into_inner) = granted;
    }

    /// Changes what its client may do, and when it ends whatever its client does, by what was granted before;
    /// both at once for whoever else does so. Whose session it is does not change.
    ///
    /// # Errors
    /// Those of `change`; nothing is changed.
    pub fn regrant<E>(
        &self,
        change: impl FnOnce(&Granted) -> Result<Option<(Granted, Option<Instant>)>, E>,
    ) -> Result<Option<Granted>, E> {
        let mut granted = self.granted.write().unwrap_or_else(PoisonError::into_inner);
        let Some((changed, ends)) = change(&granted)? else {
            return Ok(None);
        };
        *granted = changed.clone();
        self.set_end(ends);
        self.note_change();
        Ok(Some(changed))
    }

    /// Returns what its client may do.
    #[must_use]
    pub fn granted(&self) -> Granted {
        let granted = self.granted.read().unwrap_or_else(PoisonError::into_inner);
        granted.clone()
    }

    /// Returns who its client has shown to be, if that one has a name.
    #[must_use]
    pub fn user(&self) -> Option<Arc<Identity>> {
        let granted = self.granted();
        let identity = granted.identity();
        identity
            .filter(|identity| !identity.user.is_empty())
            .cloned()
    }

    /// Tells whether a request with these browser cookies may use the session, and binds it to its
    /// own cookie once that is among them.
    pub fn admits(&self, cookies: &[RandomId]) -> bool {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        state.admits(cookies, settings.trust_client_session)
    }

    /// Tells whether a stream that was opened at this time, without a cookie, may have been on its way
    /// when the session's browser had none yet, and be used now: not a second one, not one that was
    /// opened long before, and not long after the handshake.
    pub(super) fn admits_first_stream(&self, opened: Instant, now: Instant) -> bool {
        let before = self.begun.saturating_duration_since(opened);
        let after = now.max(opened).saturating_duration_since(self.begun);
        before.max(after) <= MAX_DELAY && !self.lock().state.has_had_stream()
    }
}
