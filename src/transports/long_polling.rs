//! long-polling: messages by POST, as JSON or as a form (specification section 6.1).

use bytes::Bytes;

use super::exchange::{Framing, Messages, Source};
use super::usual::Said;
use super::{Answer, Endpoint, Error, Incoming, MAX_FIELDS};
use crate::web::form::{self, Body, FormLimits};
use crate::web::{Request, Socket, charset, script};

/// Answers the messages of a request.
pub(super) fn serve(endpoint: &Endpoint, incoming: Incoming<'_>) -> Result<Answer, Error> {
    let Incoming {
        request: Request { head, body },
        socket,
        is_embedded,
    } = incoming;
    answer(endpoint, body, Said::Now(&head), is_embedded, socket)
}

/// Reads the messages whatever the body calls itself, and answers them.
pub(super) fn answer(
    endpoint: &Endpoint,
    body: Bytes,
    said: Said<'_>,
    is_embedded: bool,
    socket: &Socket,
) -> Result<Answer, Error> {
    let content_type = said.content_type();
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
        said,
        socket,
    };
    let framing = if is_embedded {
        Framing::Embedded
    } else {
        Framing::Json
    };
    endpoint.answer(messages, framing)
}
