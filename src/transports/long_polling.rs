//! long-polling: messages by POST, as JSON or as a form (specification section 6.1).

use http::header;

use super::exchange::{Framing, Messages, Source};
use super::{Answer, Endpoint, Error, Incoming, MAX_FIELDS};
use crate::web::form::{self, Body, FormLimits};
use crate::web::{Request, charset, script};

/// Reads the messages whatever the body calls itself, and answers them.
pub(super) fn serve(endpoint: &Endpoint, incoming: Incoming<'_>) -> Result<Answer, Error> {
    let Request { head, body } = incoming.request;
    let content_type = head.headers.text(&header::CONTENT_TYPE);
    let body = charset::to_utf8(body, content_type)?;
    let limits = FormLimits {
        max_fields: MAX_FIELDS,
    };
    let (texts, source, callback) = match form::read(&body, content_type, limits)? {
        Body::Json(text) => (vec![text], Source::Body, None),
        Body::Form(fields) => (fields.messages, Source::Fields, fields.callback),
    };
    if callback
        .as_deref()
        .is_some_and(|name| !script::is_callback(name))
    {
        return Err(Error::Callback);
    }
    let messages = Messages {
        texts,
        source,
        callback: callback.map(Into::into),
        uri: &head.uri,
        version: head.version,
        socket: incoming.socket,
    };
    let framing = if incoming.is_embedded {
        Framing::Embedded
    } else {
        Framing::Json
    };
    endpoint.answer(messages, &head.headers, framing)
}
