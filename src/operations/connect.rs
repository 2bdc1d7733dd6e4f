//! `/meta/connect`: the request that waits for events (specification section 4.2).

use std::sync::Arc;
use std::time::Duration;

use super::ack;
use super::{Actor, Effect, Scope};
use crate::bayeux::{Advice, BayeuxError, ClientAdvice, Message, Reply, Transport, text};
use crate::session::{Connect, Connected, EndReason, EventsBy, Session};

/// How long the next connect of a session that has moved is held, until the node that it has moved to says otherwise.
const HOLD: Duration = Duration::from_secs(30);
/// The connection type of clients that receive events by `text/event-stream`, and send by POST.
const EVENT_SOURCE: &str = Transport::EventSource.name();

/// Answers a connect, or holds it.
///
/// Required: `channel`, `clientId`. Optional: `connectionType` (the transport is known without, but
/// for `eventsource`, whose connects come beside the stream), `advice` with `timeout` and
/// `interval`, `id`, `ext`.
pub(super) fn apply<'a>(
    message: &Message<'a>,
    reply: Reply<'a>,
    session: &Arc<Session>,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> (Reply<'a>, Effect) {
    let browsers = &scope.shared.browsers;
    let events_by = events_by(message, actor, scope);
    let transport = match events_by {
        EventsBy::OtherStream => Some(Transport::EventSource),
        EventsBy::Replies | EventsBy::ThisStream => actor.transport,
    };
    session.comes_by(transport, scope.now);
    // Browsers allow few requests at once to a host, but many WebSockets.
    let mut cookies = actor.cookies.iter().filter(|_| actor.is_request);
    let connect = Connect {
        advice: message.advice.and_then(ClientAdvice::parse),
        may_be_held: actor.may_be_held,
        lifetime: actor.lifetime,
        events_by,
        // Most come from the browser of the session, which is known without a look-up.
        browser: cookies.find_map(|cookie| match session.browser() {
            own if own.id() == *cookie => Some(Arc::clone(own)),
            _ => browsers.find(*cookie),
        }),
        by_http2: actor.by_http2,
        ack: ack::number(message),
    };
    if let Some(advice) = scope.put_off(&connect, session, actor) {
        return (reply.advised(advice), Effect::None);
    }
    let (connected, connect) = session.connect(&connect, scope.now);
    let effect = Effect::Connected(connect);
    let advice = || session.advice(actor.is_blind, scope.now);
    match connected {
        Connected::Held(ticket) => (reply, Effect::Held { ticket, connect }),
        Connected::Beside => (reply.advised(advice()), Effect::None),
        // While the server stops its client has to know when to come back.
        Connected::Answer { advise: false } if !scope.shared.reconnects.is_stopping() => {
            (reply, effect)
        }
        Connected::Answer { .. } => (reply.advised(advice()), effect),
        Connected::MultipleClients => (multiple_clients(reply, actor, scope), effect),
        Connected::Ended(reason) => {
            let advice = || scope.shared.handshake_advice(actor.is_blind, scope.now);
            (ended(reply, reason, advice), Effect::None)
        }
    }
}

/// Answers the connect of a session that has ended: a client that wanted that, or whose session was
/// refused, has nothing more to do; another is given advice to handshake.
#[must_use]
pub fn ended(reply: Reply<'_>, reason: EndReason, handshake: impl FnOnce() -> Advice) -> Reply<'_> {
    match reason {
        EndReason::Disconnect | EndReason::Refused => reply.advised(Advice::none()),
        // It goes on at the node that this client has come to, or comes to now.
        EndReason::Moved => reply.advised(Advice::retry(Duration::ZERO, HOLD)),
        EndReason::Expired
        | EndReason::MaxQueue
        | EndReason::Memory
        | EndReason::Administrator
        | EndReason::NotRestored
        | EndReason::Forbidden => reply
            .failed(BayeuxError::SessionUnknown)
            .advised(handshake()),
        EndReason::IdentityExpired => reply.failed(BayeuxError::TokenExpired).advised(handshake()),
    }
}

fn events_by(message: &Message<'_>, actor: &Actor<'_>, scope: &Scope<'_>) -> EventsBy {
    let named = message.connection_type.and_then(text);
    if actor.is_streamed {
        EventsBy::ThisStream
    } else if named.as_deref() == Some(EVENT_SOURCE)
        && scope.connection_types.contains(&EVENT_SOURCE)
    {
        EventsBy::OtherStream
    } else {
        EventsBy::Replies
    }
}

/// Other tabs of the browser hold its connections: this one is told to poll, or to stop.
fn multiple_clients<'a>(reply: Reply<'a>, actor: &Actor<'_>, scope: &Scope<'_>) -> Reply<'a> {
    let settings = &scope.shared.settings.get();
    let interval = settings.multi_session_interval;
    if interval.is_zero() {
        reply
            .failed_silently()
            .advised(Advice::none().with_multiple_clients())
    } else {
        let advice = Advice::retry(interval, settings.timeout).with_multiple_clients();
        let (is_blind, now) = (actor.is_blind, scope.now);
        reply.advised(scope.shared.at_stop(advice, is_blind, now))
    }
}
