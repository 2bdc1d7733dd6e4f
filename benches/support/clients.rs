//! A server without a network, and clients that wait for events by long-polling.

use std::task::{Context, Waker};
use std::time::Instant;

use bytes::Bytes;
use mirant::bayeux::{Limits, Message, parse_batches};
use mirant::router::{self, Router};
use mirant::server::{Actor, BayeuxServer, HeldConnect, Outcome, Parts, Request, Verdicts};
use mirant::session;

/// Makes a server that has room for any number of sessions and channels.
pub(crate) fn server(mut session: session::Settings) -> BayeuxServer {
    session.max_sessions = usize::MAX;
    let router = router::Settings {
        max_channels: usize::MAX,
        ..router::Settings::default()
    };
    BayeuxServer::new(Parts {
        session,
        router: Router::new(router, &[]),
        ..Parts::default()
    })
}

/// Processes a batch as it comes by a request of its own.
pub(crate) fn process<'a>(
    server: &BayeuxServer,
    batch: &mut [Message<'a>],
    now: Instant,
) -> Outcome<'a> {
    let request = Request {
        actor: Actor {
            may_be_held: true,
            is_request: true,
            ..Actor::default()
        },
        is_client_gone: &|| false,
        delivers_on_publish: true,
        stream: None,
        aside: |work| work(),
        needs_own_handshake: false,
        admitted: Verdicts::default(),
    };
    server.process(batch, request, now)
}

/// The body of a request, which is one text.
pub(crate) type Body = [Bytes; 1];

/// Makes a body of a text.
pub(crate) fn body(text: String) -> Body {
    [Bytes::from(text)]
}

/// Parses a body.
pub(crate) fn parsed(body: &Body) -> Vec<Message<'_>> {
    parse_batches(body, &Limits::default()).expect("a batch")
}

/// Shakes hands, and returns the new client's id.
pub(crate) fn handshake(server: &BayeuxServer, now: Instant) -> String {
    let text = r#"[{"channel":"/meta/handshake","version":"1.0","id":"1",
        "supportedConnectionTypes":["long-polling"]}]"#;
    let body = body(text.to_owned());
    let outcome = process(server, &mut parsed(&body), now);
    let session = outcome.session.expect("room for a session");
    session.id().to_string()
}

/// Subscribes a client to a channel.
pub(crate) fn subscribe(server: &BayeuxServer, id: &str, channel: &str, now: Instant) {
    let text = format!(
        r#"[{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"{channel}","id":"2"}}]"#
    );
    process(server, &mut parsed(&body(text)), now);
}

/// Shakes hands, subscribes to a channel, and connects until a connect is held. Returns that, and the
/// body of its request.
pub(crate) fn wait(server: &BayeuxServer, channel: &str, now: Instant) -> (Body, HeldConnect) {
    let id = handshake(server, now);
    subscribe(server, &id, channel, now);
    let connect = body(format!(
        r#"[{{"channel":"/meta/connect","clientId":"{id}","connectionType":"long-polling","id":"3"}}]"#
    ));
    // The first connect is answered at once.
    process(server, &mut parsed(&connect), now);
    let held = hold(server, &connect, now);
    (connect, held)
}

/// Sends a connect that is held.
pub(crate) fn hold(server: &BayeuxServer, connect: &Body, now: Instant) -> HeldConnect {
    let outcome = process(server, &mut parsed(connect), now);
    let mut held = outcome.held.expect("nothing is queued");
    let mut context = Context::from_waker(Waker::noop());
    assert!(held.poll_resumed(|| now, &mut context).is_pending());
    held
}
