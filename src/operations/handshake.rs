//! `/meta/handshake`: a new session (specification section 4.1).

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Actor, Scope, Who, ack, checked_id, replay, room, texts};
use crate::bayeux::{Advice, BayeuxError, ClientId, Field, Message, REPLAY, RandomId, Reply};
use crate::extensions::{Begun, Refusal};

use crate::session::{Origin, Session};

/// A new session, and the cookie its browser has yet to be given.
#[derive(Debug)]
pub struct Handshaken {
    /// The session.
    pub session: Arc<Session>,
    /// The cookie to set, if the browser has none.
    pub new_cookie: Option<RandomId>,
}

/// Makes a session.
///
/// Required: `channel`. Optional: `version`, `minimumVersion`, `supportedConnectionTypes` (absent:
/// the two that every client must have), `id`, `ext`. A `clientId` is passed over: a handshake is
/// always a new session.
pub fn apply<'a>(
    message: &Message<'a>,
    actor: &Actor<'_>,
    begun: Begun,
    scope: &Scope<'_>,
    random: impl FnMut() -> RandomId,
) -> (Reply<'a>, Option<Handshaken>) {
    let reply = Reply::to(message)
        .with(Field::Version)
        .with(Field::ConnectionTypes(scope.connection_types.to_vec()));
    if let Err(error) = checked_id(message, scope) {
        return (reply.failed(error), None);
    }
    if !has_type_in_common(message.supported_connection_types, scope.connection_types) {
        let reply = reply
            .failed(BayeuxError::ConnectionTypes)
            .advised(Advice::none());
        return (reply, None);
    }
    match begin(actor, begun, scope, random) {
        Ok(handshaken) => {
            let session = &handshaken.session;
            let mut reply = reply
                .with(Field::ClientId(session.id()))
                .advised(session.advice(actor.is_blind, scope.now));
            if scope.has_ack && ack::is_asked(message) {
                session.acknowledge();
                reply.extend(ack::NAME, "true".to_owned());
            }
            if replay::is_asked(message, scope) {
                reply.extend(REPLAY, "true".to_owned());
            }
            if let Who::Known(known) = actor.who {
                for (name, json) in &known.ext {
                    reply.extend(in_string(name), json.get().to_owned());
                }
            }
            (reply, Some(handshaken))
        }
        Err(refusal) => (scope.handshake_refused(reply, refusal, actor), None),
    }
}

/// Makes a session for the browser that a request came from.
///
/// # Errors
/// Its user is refused, access rules do not allow it, or there are as many sessions as there may be, on the server or of the same user
/// or address.
pub(super) fn begin(
    actor: &Actor<'_>,
    mut begun: Begun,
    scope: &Scope<'_>,
    mut random: impl FnMut() -> RandomId,
) -> Result<Handshaken, Refusal> {
    let mut subject = actor.subject();
    subject.identity = begun.identity.take().or(subject.identity);
    if scope.connected.admits(subject.identity.as_ref()) {
        begun
            .max_interval
            .get_or_insert(scope.connected.max_interval());
    }
    scope.is_welcome(subject.identity.as_ref())?;
    scope.may_handshake(&subject)?;
    scope.has_memory_for_session()?;
    let share = room::take(&subject, scope)?;
    // Whoever made it: another server of this host shares the browser's cookies, and would have its
    // sessions lost if this one replaced them. The secret is the client id.
    let returned = actor.cookies.first().copied();
    let cookie = returned.unwrap_or_else(&mut random);
    let browser = scope.shared.browsers.add_session(cookie);
    let id = random();
    // Other nodes find it by that.
    let id = ClientId(scope.cluster.map_or(id, |links| links.own(id)));
    let session = Session::new(
        id,
        browser,
        returned.is_some(),
        Arc::clone(scope.shared),
        begun,
        share,
        Origin::new(actor.address, actor.transport),
    );
    if let Some(identity) = &subject.identity {
        session.set_end(scope.end_of(identity));
    }
    session.grant(scope.terms.access.for_subject(subject));
    session.tell_begun();
    scope.sessions.add(Arc::clone(&session));
    scope.metrics().sessions.increment();
    scope.metrics().handshakes.increment();
    scope.is_still_welcome(&session)?;
    tracing::debug!(client_id = ?id, "session begins");
    let new_cookie = returned.is_none().then_some(cookie);
    Ok(Handshaken {
        session,
        new_cookie,
    })
}

/// Returns a text as it stands in a JSON string.
fn in_string(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is JSON");
    quoted[1..quoted.len() - 1].to_owned()
}

fn has_type_in_common(sent: Option<&RawValue>, ours: &[&str]) -> bool {
    match sent.and_then(texts) {
        Some(types) => types.iter().any(|name| ours.contains(&name.as_ref())),
        None => true,
    }
}
