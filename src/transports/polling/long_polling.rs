//! long-polling: messages by POST, as JSON or as a form (specification section 6.1).

use std::sync::Arc;

use bytes::Bytes;

use super::exchange::{Exchange, Source};
use super::format::Format;
use crate::transports::FORM_LIMITS;
use crate::transports::answer::Answer;
use crate::transports::endpoint::Endpoint;
use crate::transports::error::Error;
use crate::transports::gate::Decision;
use crate::web::form::{self, Body};
use crate::web::{Socket, charset, script};

/// Reads the messages whatever the body calls itself, and answers them.
///
/// # Errors
/// They are malformed, beyond a bound, or ask for a script that they may not have.
pub fn serve(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    body: Bytes,
    socket: &Socket,
) -> Result<Answer, Error> {
    let content_type = decision.content_type.as_deref();
    let body = charset::to_utf8(body, content_type)?;
    let (texts, source, callback) = match form::read(&body, content_type, FORM_LIMITS)? {
        Body::Json(text) => (vec![text], Source::Body, None),
        Body::Form(fields) => (fields.messages, Source::Fields, fields.callback),
    };
    let is_bad = |name: &str| !script::is_callback(name);
    if callback.as_deref().is_some_and(is_bad) {
        return Err(Error::Callback);
    }
    let format = if decision.is_embedded {
        Format::Embedded
    } else {
        Format::Json
    };
    let exchange = Exchange::new(texts, source, callback.map(Into::into), format);
    exchange.answer(endpoint, decision, socket)
}
