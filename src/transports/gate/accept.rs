//! What a head says of its body and of the answer, by media types and codings.

use http::{Method, header};

use crate::web::{Head, Headers};

/// The coding of a request's body (RFC 9110 section 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// It is as it is.
    Plain,
    /// It is compressed.
    Gzip,
    /// It is something that is not read here, or has several codings.
    Other,
}

impl Coding {
    pub(super) fn of(headers: &Headers) -> Self {
        let is_identity =
            |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
        let is_gzip = |coding: &[u8]| {
            coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
        };
        let mut codings = headers.get_all(&header::CONTENT_ENCODING);
        match codings.next() {
            None => Self::Plain,
            Some(first) if is_identity(first) && codings.all(is_identity) => Self::Plain,
            Some(first) if is_gzip(first) && codings.next().is_none() => Self::Gzip,
            Some(_) => Self::Other,
        }
    }
}

/// Tells whether the body of a request holds requests, which are answered before it ends.
#[must_use]
pub fn holds_requests(head: &Head) -> bool {
    head.method == Method::POST && is_of_requests(&head.headers)
}

/// Tells whether a body is of type `message/http`.
pub(super) fn is_of_requests(headers: &Headers) -> bool {
    let content_type = headers.get(&header::CONTENT_TYPE);
    content_type.is_some_and(begins_with_message_http)
}

/// Tells whether `message/http` is what a client accepts first.
pub(super) fn is_responses(headers: &Headers) -> bool {
    let accept = headers.get(&header::ACCEPT);
    accept.is_some_and(begins_with_message_http)
}

/// Tells whether a client reads parts and nothing else.
pub(super) fn is_parts(headers: &Headers) -> bool {
    let accept = headers.get(&header::ACCEPT);
    accept.is_some_and(|accept| accept.starts_with(b"multipart/x-mixed-replace"))
}

/// Tells whether the forever frame of Dojo 0.3 and 0.4 is opened.
pub(super) fn is_frame_opening(head: &Head) -> bool {
    head.uri.query() == Some("tunnelInit=iframe")
}

fn begins_with_message_http(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| matches!(byte, b';' | b','));
    let first = &value[..end.unwrap_or(value.len())];
    first.trim_ascii().eq_ignore_ascii_case(b"message/http")
}
