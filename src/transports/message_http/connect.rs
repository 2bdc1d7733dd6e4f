//! A connect whose events are responses of their own.

use std::task::{Context, Poll};

use http::StatusCode;

use crate::bayeux::{Message, meta, text};
use crate::server::HeldConnect;
use crate::session::Stream;
use crate::transports::answer::{PendingAnswer, Step};
use crate::transports::arrays::{EMBEDDED_HEAD, array};
use crate::transports::gate::Decision;
use crate::transports::streaming::{Coming, ConnectStream};
use crate::web::{Response, Socket};

/// Tells whether a batch is a connect that asks for such a response, by what its client accepts or by
/// name.
#[must_use]
pub fn is_asked(batch: &[Message<'_>], decision: &Decision<'_>) -> bool {
    let [message] = batch else { return false };
    let is_named = || {
        let name = message.connection_type.and_then(text);
        name.as_deref() == Some("message-http")
    };
    message.is_on(meta::CONNECT) && (decision.accepts_responses || is_named())
}

/// A held connect, each of whose arrays is a response.
#[derive(Debug)]
pub struct ConnectResponses(ConnectStream);

impl ConnectResponses {
    /// Makes one of a connect and the stream that it came by.
    #[must_use]
    pub fn new(held: HeldConnect, stream: Stream) -> Self {
        Self(ConnectStream::new(held, stream, false))
    }
}

impl PendingAnswer for ConnectResponses {
    fn poll(&mut self, _: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        self.0.poll(context).map(|coming| match coming {
            Coming::Events(events) => Step::Next(messages(array(&events, &[])), events),
            Coming::Last(json, carried) => Step::Last(messages(json), carried),
            Coming::End => Step::End,
        })
    }

    fn stop(&mut self) {
        if let Some(session) = self.0.session() {
            session.stop_holding();
        }
    }

    fn give_up(&mut self) -> Option<Response> {
        self.0.give_up().map(messages)
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        Some(self.0.stream())
    }
}

/// A response with an array of messages, made now.
pub(super) fn messages(json: Vec<u8>) -> Response {
    Response::with_raw_head(StatusCode::OK, EMBEDDED_HEAD, json).modified_now()
}
