//! Whether there is room for one more session: on the server, of its user, and of its address.

use std::time::Duration;

use super::Scope;
use crate::access::Subject;
use crate::bayeux::BayeuxError;
use crate::extensions::Refusal;
use crate::metrics::{Limit, Notice};
use crate::session::Share;

/// How long a client is asked to wait when there is no room for its session.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(10);

/// Finds room for one more session of somebody.
///
/// # Errors
/// There is none, on the server or for this user or address.
pub(super) fn take(subject: &Subject, scope: &Scope<'_>) -> Result<Option<Box<Share>>, Refusal> {
    let settings = &scope.shared.settings.get();
    let is_full = usize::try_from(scope.metrics().sessions.value())
        .is_ok_and(|sessions| sessions >= settings.max_sessions);
    let share = if is_full {
        Err(Limit::MaxSessions)
    } else {
        scope.shared.shares.add(subject, settings)
    };
    share.map_err(|limit| {
        scope.metrics().limited(limit);
        if let Some(permit) = scope.metrics().may_log(Notice::Session) {
            let identity = subject.identity.as_ref();
            tracing::warn!(
                address = subject.address.map(tracing::field::display),
                user = identity.map(|identity| &*identity.user),
                suppressed = permit.suppressed,
                "a handshake was refused: there are {} sessions",
                limit.label()
            );
        }
        let error = match limit {
            Limit::MaxSessionsPerUser => BayeuxError::TooManySessionsOfUser,
            Limit::MaxSessionsPerAddress => BayeuxError::TooManySessionsOfAddress,
            _ => BayeuxError::TooManySessions,
        };
        Refusal::Later(error.text().into(), RETRY_WHEN_FULL)
    })
}
