//! An event stream, whose client sends no messages: what opens it stands for those of others.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::extensions::{Denied, refused};
use super::handshake;
use super::implied::Implied;
use super::replay::Recovering;
use super::{Actor, Scope, connect, implied, replay, subscribe, subscriptions};
use crate::bayeux::{Advice, BayeuxError, ChannelPattern, ClientId, RandomId, Reply};
use crate::extensions::Refusal;
use crate::history::Epoch;
use crate::session::{self, Beginning, EndReason, Session, Stream};

/// Why there is no stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOpened {
    /// It may not be subscribed to these channels.
    Failed(BayeuxError),
    /// There are too many sessions, an extension refuses it, or access rules do not allow it.
    Denied(Denied),
}

impl From<BayeuxError> for NotOpened {
    fn from(error: BayeuxError) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for NotOpened {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.into())
    }
}

/// An event stream of channels.
#[derive(Debug)]
pub struct Opened {
    /// The stream.
    pub stream: Stream,
    /// Where it begins.
    pub beginning: Beginning,
    /// The name of the numbers in history, if there is any.
    pub epoch: Option<Epoch>,
    /// What it gets of the past, if that is yet to be looked up.
    pub recovering: Option<Recovering>,
}

/// Begins a session that is subscribed to these channels and patterns, as by a handshake and a subscribe, with
/// what was published on them before, from `since` on. Or continues the one that `last` is an event of, as by a
/// subscribe; nothing if it is not there, or of other channels.
///
/// # Errors
/// There are too many sessions, it may not be subscribed to these, or an extension refuses that.
pub fn open(
    channels: &[Cow<'_, str>],
    actor: &Actor<'_>,
    last: Option<(ClientId, u64)>,
    since: Option<&session::From>,
    scope: &Scope<'_>,
    random: impl FnMut() -> RandomId,
) -> Result<Option<Opened>, NotOpened> {
    let names = implied::names(channels);
    // Nothing begins for what is malformed.
    subscriptions(&implied::subscribe(&names, None), &scope.terms.limits)?;
    if let Some((id, last)) = last {
        let resumed = resume(&names, id, last, actor, scope)?;
        return Ok(resumed.map(|(stream, beginning)| Opened {
            stream,
            beginning,
            epoch: epoch(scope),
            recovering: None,
        }));
    }
    let begun = scope.begin(&mut implied::handshake(), actor)?;
    let session = handshake::begin(actor, begun, scope, random)?.session;
    let subscribed = wanted(&names, &session, actor, scope)
        .and_then(|patterns| subscribed(patterns, since, &session, scope));
    let recovering = match subscribed {
        Ok(recovering) => recovering,
        Err(error) => {
            let is_denied = matches!(error, NotOpened::Denied(_));
            let reason = if is_denied {
                EndReason::Refused
            } else {
                EndReason::Disconnect
            };
            scope.end(&session, reason);
            return Err(error);
        }
    };
    let stream = Stream::replaying(&session, None, true).map(|(stream, _)| stream);
    let beginning = Beginning {
        after: 0,
        is_complete: true,
    };
    Ok(Some(Opened {
        stream: stream.unwrap_or_default(),
        beginning,
        epoch: epoch(scope),
        recovering,
    }))
}

fn epoch(scope: &Scope<'_>) -> Option<Epoch> {
    scope.history.store().map(|store| store.epoch())
}

/// Subscribes a new session, and begins with what it gets of the past.
fn subscribed(
    patterns: Vec<ChannelPattern>,
    since: Option<&session::From>,
    session: &Arc<Session>,
    scope: &Scope<'_>,
) -> Result<Option<Recovering>, NotOpened> {
    let begun = replay::asked_by_stream(&patterns, since, scope).begin(session, scope)?;
    if let Err(error) = subscribe::to(&patterns, session, scope) {
        begun.give_up(session);
        return Err(error.into());
    }
    Ok(begun.recovering(patterns, session, scope))
}

/// Goes on with a session; nothing if it is not there, or of other channels.
fn resume(
    names: &RawValue,
    id: ClientId,
    last: u64,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Option<(Stream, Beginning)>, NotOpened> {
    let session = scope.sessions.find(id);
    let Some(session) = session.filter(|session| session.admits(actor.cookies)) else {
        return Ok(None);
    };
    let patterns = wanted(names, &session, actor, scope)?;
    if !session.is_subscribed_to(&patterns) {
        return Ok(None);
    }
    session.comes_by(actor.transport, scope.now);
    Ok(Stream::replaying(&session, Some(last), true))
}

/// Returns what a session is to be subscribed to, after the extensions have looked at it.
fn wanted(
    names: &RawValue,
    session: &Arc<Session>,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Vec<ChannelPattern>, NotOpened> {
    let mut message = implied::subscribe(names, Some(session.id()));
    scope.incoming(&mut message, Some(session), actor)?;
    let patterns = subscriptions(&message, &scope.terms.limits)?;
    scope.may_subscribe(&patterns, Some(session), actor)?;
    scope.has_memory()?;
    Ok(patterns)
}

/// Makes a stream of a session whose client sends its messages by requests of their own, after the event
/// `last` if it is given, as by a connect. `admitted` says what became of that if it had to wait.
///
/// # Errors
/// There is no such session for the actor's cookies, or an extension refuses it: the connect's reply.
pub fn join(
    id: ClientId,
    actor: &Actor<'_>,
    last: Option<u64>,
    admitted: Result<(), Refusal>,
    scope: &Scope<'_>,
) -> Result<(Stream, Beginning), Box<Reply<'static>>> {
    let mut message = implied::connect(id);
    let session = Implied::Joined(id).session(actor, scope);
    let passed = match &session {
        Some(_) => admitted
            .map_err(|refusal| scope.ended_by(refusal, session.as_ref()))
            .and_then(|()| scope.incoming(&mut message, session.as_ref(), actor)),
        // It may be there, at a node that cannot be reached now.
        None if scope.cluster.is_some() && matches!(admitted, Err(Refusal::Later(..))) => admitted,
        None => Ok(()),
    };
    let joined = match (&session, &passed) {
        (Some(session), Ok(())) => {
            session.comes_by(actor.transport, scope.now);
            Stream::replaying(session, last, false)
        }
        _ => None,
    };
    joined.ok_or_else(|| {
        let reply = Reply::to(&message);
        let mut reply = match passed {
            Err(Refusal::Later(error, wait)) => {
                let advice = Advice::retry(wait, scope.shared.settings.get().timeout);
                reply.refused(error).advised(advice)
            }
            Err(refusal) => refused(reply, refusal),
            Ok(()) if scope.sessions.take_outlived(id, scope.now) => {
                let advice = || scope.shared.handshake_advice(actor.is_blind, scope.now);
                connect::ended(reply, EndReason::IdentityExpired, advice)
            }
            Ok(()) => reply
                .failed(BayeuxError::SessionUnknown)
                .advised(scope.shared.handshake_advice(actor.is_blind, scope.now)),
        };
        scope.outgoing(&mut reply, &message, session.as_ref(), actor);
        Box::new(reply)
    })
}
