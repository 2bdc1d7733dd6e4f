//! long-polling: messages by POST, as JSON or as a form (specification section 6.1).

use http::header;

use super::exchange::{Framing, Messages, Source};
use super::{Answer, Endpoint, Error, Incoming, MAX_FIELDS};
use crate::web::charset;
use crate::web::form::{self, Body, FormLimits};

/// Reads the messages whatever the body calls itself, and answers them.
pub(super) async fn serve(endpoint: &Endpoint, incoming: Incoming<'_>) -> Result<Answer, Error> {
    let (head, body) = incoming.request.into_parts();
    let content_type = head
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let body = charset::to_utf8(body, content_type)?;
    let limits = FormLimits {
        max_fields: MAX_FIELDS,
    };
    let (texts, source) = match form::read(body, content_type, limits).await? {
        Body::Json(text) => (vec![text], Source::Body),
        Body::Form(texts) => (texts, Source::Fields),
    };
    let messages = Messages {
        texts,
        source,
        socket: incoming.socket,
    };
    endpoint.answer(messages, &head.headers, Framing::Json)
}
