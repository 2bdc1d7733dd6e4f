//! long-polling: messages by POST, as JSON or as a form (specification section 6.1).

use bytes::Bytes;
use http::{Request, header};

use super::exchange::{Framing, Source};
use super::{Answer, Endpoint, Error, MAX_FIELDS};
use crate::web::charset;
use crate::web::form::{self, Body, FormLimits};

/// Reads the messages whatever the body calls itself, and answers them.
pub(super) async fn serve(endpoint: &Endpoint, request: Request<Bytes>) -> Result<Answer, Error> {
    let (head, body) = request.into_parts();
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
    endpoint.answer(texts, &head.headers, source, Framing::Json)
}
