//! message-http: whole HTTP responses in a response of type `message/http` (RFC 9112 section 10.1).
//!
//! A connect may ask for it, whose events then come in responses of their own; and a request for a
//! resource's changes. And a request may be of that type itself: the requests in its body are
//! answered in its response as they come, in any order. All three are one connection: a list of what
//! is pending, to which the last adds.

mod connect;
mod connection;
mod embedded;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod outer;
mod pending_request;
mod requests;

use std::sync::Arc;

pub use self::connect::{ConnectResponses, is_asked};
use self::connection::Connection;
pub use self::embedded::AnswerEmbedded;
use self::embedded::Embedded;
use self::outer::OuterResponse;
use self::pending_request::PendingRequest;
pub use self::requests::Bounds;
use super::answer::{self, Answer, PendingAnswer};
use super::gate::Decision;
use super::settings::StreamingSettings;
use crate::web::{Response, Transfer};

/// Opens the response to a request whose own responses come one after the other.
pub fn open(
    decision: &Decision<'_>,
    wait: impl PendingAnswer + 'static,
    settings: &StreamingSettings,
) -> Answer {
    let (outer, response) = OuterResponse::begin(decision);
    let pending = PendingRequest::new(
        decision.location(),
        false,
        Box::new(answer::Pending::new(wait)),
    );
    let connection = Connection::of(outer, settings.clone(), pending);
    Answer::Stream(response, Box::new(connection))
}

/// Returns the whole response to such a request, with these messages.
#[must_use]
pub fn whole(decision: &Decision<'_>, json: Vec<u8>) -> Response {
    let response = connect::messages(json);
    if decision.is_embedded {
        return response;
    }
    OuterResponse::whole(decision, &response)
}

/// Opens the response to a request whose body holds requests.
pub fn serve(
    answers: Arc<dyn AnswerEmbedded>,
    decision: &Decision<'_>,
    body: Transfer,
    bounds: Bounds,
    settings: &StreamingSettings,
) -> Answer {
    let (outer, response) = OuterResponse::begin(decision);
    let embedded = Embedded::new(answers, decision, body, bounds);
    let connection = Connection::reading(outer, settings.clone(), embedded);
    Answer::Stream(response, Box::new(connection))
}
