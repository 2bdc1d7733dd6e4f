//! `/meta/subscribe`: events of channels from now on (specification section 4.3).

use std::sync::Arc;

use super::{Actor, Scope, refused, replay, subscriptions};
use crate::bayeux::{BayeuxError, ChannelKind, ChannelPattern, Message, Reply, meta};
use crate::metrics::Limit;
use crate::router::NotSubscribed;
use crate::session::Session;

/// Subscribes to all channels and patterns of a message, or to none of them.
///
/// Required: `channel`, `clientId`, `subscription`. Optional: `id`, `ext`.
pub(super) fn apply<'a>(
    message: &Message<'a>,
    reply: Reply<'a>,
    session: &Arc<Session>,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Reply<'a> {
    let patterns = match subscriptions(message, &scope.terms.limits) {
        Ok(patterns) => patterns,
        Err(error) => return reply.failed(error),
    };
    let granted = session.granted();
    let permitted = scope.may_subscribe(&patterns, Some(session), actor);
    if let Err(refusal) = permitted.and_then(|()| scope.has_memory()) {
        return refused(reply, refusal);
    }
    let asked = match replay::asked(message, &patterns, scope) {
        Ok(asked) => asked,
        Err(error) => {
            let name = patterns.first().map_or("", |pattern| pattern.as_str());
            return reply.refused(error.about(&[name]).into());
        }
    };
    if let Err(error) = bounded(&patterns, session, scope) {
        return reply.failed(error);
    }
    let new = session.not_subscribed(&patterns);
    let begun = match asked.begin(session, scope) {
        Ok(begun) => begun,
        Err(refusal) => return refused(reply, refusal),
    };
    if let Err(error) = to(&patterns, session, scope) {
        begun.give_up(session);
        return reply.failed(error);
    }
    // Whoever took a right from it meanwhile may not have seen these.
    if !session.granted().is(&granted)
        && let Err(refusal) = scope.may_subscribe(&patterns, Some(session), actor)
    {
        scope.unsubscribe(session, &patterns);
        return refused(reply, refusal);
    }
    scope.wait_for_interest(session);
    begun.decide(reply, new, session, scope)
}

/// Subscribes a session to all of these, or to none.
///
/// # Errors
/// It may not be subscribed to one of them, or there would be too many.
pub(super) fn to(
    patterns: &[ChannelPattern],
    session: &Arc<Session>,
    scope: &Scope<'_>,
) -> Result<(), BayeuxError> {
    scope.note_work(patterns.len());
    bounded(patterns, session, scope)?;
    scope
        .router
        .subscribe(session, patterns)
        .map_err(|error| match error {
            NotSubscribed::TooManyChannels => {
                scope.metrics().limited(Limit::MaxChannels);
                BayeuxError::TooManySubscriptions
            }
            NotSubscribed::SessionEnded => BayeuxError::SubscribeFailed,
        })?;
    scope.begin_calls(session, patterns);
    tracing::trace!(client_id = ?session.id(), ?patterns, "subscribed");
    Ok(())
}

/// Asks whether a session may be subscribed to these besides, as far as bounds go.
fn bounded(
    patterns: &[ChannelPattern],
    session: &Session,
    scope: &Scope<'_>,
) -> Result<(), BayeuxError> {
    patterns.iter().try_for_each(may_subscribe)?;
    let max = scope.shared.settings.get().max_subscriptions;
    if patterns.len() > max || session.count_with(patterns) > max {
        scope.metrics().limited(Limit::MaxSubscriptions);
        return Err(BayeuxError::TooManySubscriptions);
    }
    Ok(())
}

fn may_subscribe(pattern: &ChannelPattern) -> Result<(), BayeuxError> {
    if meta::ALL.contains(&pattern.as_str()) {
        Err(BayeuxError::SubscribeDenied)
    } else if pattern.kind() == ChannelKind::Meta {
        Err(BayeuxError::CreateDenied)
    } else {
        Ok(())
    }
}
