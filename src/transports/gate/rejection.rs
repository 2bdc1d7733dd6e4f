//! Why the gate does not let a request through.

use std::borrow::Cow;

use http::StatusCode;

use super::METHODS;
use crate::web::Response;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The status of the answer.
    pub status: StatusCode,
    /// The reason, in one line.
    pub reason: Cow<'static, str>,
    /// A header that says what would be right.
    pub hint: Option<(&'static str, &'static str)>,
    /// It was refused for where it comes from.
    pub is_of_origin: bool,
}

impl Rejection {
    /// There is nothing at the path.
    pub const NOTHING: Self = Self::new(StatusCode::NOT_FOUND, "there is nothing at this path");
    /// There is nothing at the path for requests in a body.
    pub const NOTHING_EMBEDDED: Self = Self::new(
        StatusCode::NOT_FOUND,
        "there is nothing at this path that answers embedded requests",
    );
    pub(super) const NESTED: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "an embedded request may not hold others",
    );
    pub(super) const EMBEDDED_UPGRADE: Self = Self::new(
        StatusCode::BAD_REQUEST,
        "an embedded request may not open a WebSocket",
    );
    pub(super) const EMBEDDED_METHOD: Self = Self::hinting(
        StatusCode::METHOD_NOT_ALLOWED,
        "send embedded Bayeux messages by POST",
        ("Allow", "POST"),
    );
    pub(super) const MESSAGE_HTTP_OFF: Self = Self::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the message-http transport is off (bayeux.transports)",
    );
    pub(super) const CODED_REQUESTS: Self = Self::hinting(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "a message/http request may not be compressed as a whole",
        ("Accept-Encoding", "identity"),
    );

    /// Makes one of a status and a reason.
    #[must_use]
    pub const fn new(status: StatusCode, reason: &'static str) -> Self {
        Self {
            status,
            reason: Cow::Borrowed(reason),
            hint: None,
            is_of_origin: false,
        }
    }

    const fn hinting(
        status: StatusCode,
        reason: &'static str,
        hint: (&'static str, &'static str),
    ) -> Self {
        Self {
            status,
            reason: Cow::Borrowed(reason),
            hint: Some(hint),
            is_of_origin: false,
        }
    }

    pub(super) fn method(reason: &'static str) -> Self {
        Self::hinting(StatusCode::METHOD_NOT_ALLOWED, reason, ("Allow", METHODS))
    }

    pub(super) fn origin(reason: String) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            reason: Cow::Owned(reason),
            hint: None,
            is_of_origin: true,
        }
    }
}

impl From<Rejection> for Response {
    fn from(refusal: Rejection) -> Self {
        let response = Self::error(refusal.status, &refusal.reason);
        match refusal.hint {
            Some((name, value)) => response.header(name, value.as_bytes()),
            None => response,
        }
    }
}
