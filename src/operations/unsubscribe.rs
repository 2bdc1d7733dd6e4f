//! `/meta/unsubscribe`: no more events of channels (specification section 4.4).

use std::sync::Arc;

use super::{Scope, subscriptions};
use crate::bayeux::{BayeuxError, ChannelKind, ChannelPattern, Message};
use crate::metrics::Limit;
use crate::session::Session;

/// Takes back all subscriptions of a message, or none of them. To take back what the session is
/// not subscribed to is no mistake, as long as somebody is.
///
/// Required: `channel`, `clientId`, `subscription`. Optional: `id`, `ext`.
pub(super) fn apply(
    message: &Message<'_>,
    session: &Arc<Session>,
    scope: &Scope<'_>,
) -> Result<(), BayeuxError> {
    let patterns = subscriptions(message, &scope.terms.limits)?;
    scope.note_work(patterns.len());
    if patterns.len() > scope.shared.settings.get().max_subscriptions {
        scope.metrics().limited(Limit::MaxSubscriptions);
        return Err(BayeuxError::TooManySubscriptions);
    }
    if patterns
        .iter()
        .any(|pattern| pattern.kind() == ChannelKind::Meta)
    {
        return Err(BayeuxError::UnsubscribeFailed);
    }
    if !patterns
        .iter()
        .all(|pattern| scope.router.has_subscribers(pattern))
    {
        return Err(BayeuxError::ChannelMissing);
    }
    scope.unsubscribe(session, &patterns);
    scope.wait_for_others(session);
    Ok(())
}

impl Scope<'_> {
    /// Takes subscriptions of a session back.
    pub(super) fn unsubscribe(&self, session: &Arc<Session>, patterns: &[ChannelPattern]) {
        self.router.unsubscribe(session, patterns);
        self.end_calls(session, patterns);
    }
}
