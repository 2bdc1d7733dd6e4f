//! `/meta/disconnect`: the end of a session by its client (specification section 4.6).

use std::sync::Arc;

use super::Scope;
use crate::bayeux::{Message, Reply};
use crate::session::{EndReason, Session};

/// Ends the session, which answers its held connect.
///
/// Required: `channel`, `clientId`. Optional: `id`, `ext`.
pub(super) fn apply<'a>(
    message: &Message<'a>,
    session: &Arc<Session>,
    scope: &Scope<'_>,
) -> Reply<'a> {
    if !session.holds_connect() {
        scope.sessions.depart(session.id(), scope.now);
    }
    scope.end(session, EndReason::Disconnect);
    Reply::to(message)
}
