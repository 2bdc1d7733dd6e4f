//! Requests that stand for messages, and wait like those until the extensions admit them.

use std::sync::Arc;

use super::answer::{Answer, Deferred};
use super::endpoint::Endpoint;
use super::gate::Decision;
use crate::server::{Admission, Verdicts};
use crate::web::Socket;

/// Answers a request after its admission, as `answer` says.
pub fn after(
    admission: Admission,
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    answer: impl FnOnce(Verdicts, &Arc<Endpoint>, &Decision<'_>, &Socket) -> Answer + Send + 'static,
) -> Answer {
    let endpoint = Arc::clone(endpoint);
    let decision = decision.clone().into_owned();
    Answer::later(Deferred::before(
        admission,
        move |verdicts, socket: &Socket| {
            answer(verdicts, &endpoint, &decision, socket).shared(&decision)
        },
    ))
}
