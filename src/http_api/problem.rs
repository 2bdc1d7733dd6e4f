//! Every error that an application server can read (RFC 9457): what it is, its status, and what to do about it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// The media type of errors.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What is wrong with a request or a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What it is, the same for all of its kind: `urn:mirant:key_unknown`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "urn:mirant:key_unknown")]
    kind: Kind,
    /// The same for people.
    title: &'static str,
    /// The status of the response, or that a message would have had by itself.
    status: u16,
    /// What is wrong in this case, and what to do about it.
    detail: String,
    /// After which time the same may succeed.
    #[serde(skip)]
    retry: Option<Duration>,
}

/// The problems of keys.
#[derive(Debug, IntoResponses)]
#[allow(dead_code, reason = "they describe what is written")]
pub enum KeyProblems {
    /// The request shows no key, or one that is not valid.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The key is not for this, or an extension refuses it.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
}

/// The problems of what is sent.
#[derive(Debug, IntoResponses)]
#[allow(dead_code, reason = "they describe what is written")]
pub enum SendProblems {
    /// The body, or the message, is malformed, or it cannot be sent on its channel.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// What came first under the idempotency key is still under way.
    #[response(status = 409, content_type = "application/problem+json")]
    InProgress(Problem),
    /// There are too many messages.
    #[response(status = 413, content_type = "application/problem+json")]
    TooMany(Problem),
    /// Something else came under the idempotency key.
    #[response(status = 422, content_type = "application/problem+json")]
    Reused(Problem),
    /// There is no memory left, or an extension has no answer.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The problems of what is sent to sessions.
#[derive(Debug, IntoResponses)]
#[allow(dead_code, reason = "they describe what is written")]
pub enum DeliverProblems {
    /// The body is malformed, or it cannot be sent on its channel.
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// There is no such session.
    #[response(status = 404, content_type = "application/problem+json")]
    NoSession(Problem),
    /// What came first under the idempotency key is still under way.
    #[response(status = 409, content_type = "application/problem+json")]
    InProgress(Problem),
    /// Something else came under the idempotency key.
    #[response(status = 422, content_type = "application/problem+json")]
    Reused(Problem),
    /// There is no memory left, or an extension has no answer.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request shows no key.
    KeyMissing,
    /// It shows one that is nobody's.
    KeyUnknown,
    /// It shows one whose time is over.
    KeyExpired,
    /// The user or the password is wrong.
    PasswordWrong,
    /// There were too many wrong ones.
    TooManyAttempts,
    /// It shows a login that does not count any more.
    LoginOver,
    /// The key is not for this.
    NotAllowed,
    /// The key is not for this channel.
    ChannelNotAllowed,
    /// There is nothing at the path.
    NothingHere,
    /// There is something, but not by this method.
    Method,
    /// A parameter of the path or the query is not what it should be.
    Parameter,
    /// The body is not JSON, or not of the form that is needed.
    Body,
    /// There are more messages than allowed.
    TooManyMessages,
    /// A message is not of the form that is needed.
    Message,
    /// The channel's name is malformed.
    Channel,
    /// The channel is none that this can be done with.
    Unfit,
    /// There is no such session.
    SessionUnknown,
    /// There is no such channel.
    ChannelUnknown,
    /// Nothing is kept of the channel.
    NoHistory,
    /// An extension refuses it.
    Refused,
    /// It came under the same idempotency key with another body.
    Reused,
    /// It came under the same idempotency key, and the first is not answered yet.
    InProgress,
    /// The configuration cannot be used.
    Configuration,
    /// There is no memory left.
    Memory,
    /// The server cannot do it now.
    Unavailable,
}

impl Kind {
    /// All of them.
    #[cfg(test)]
    pub const ALL: [Self; 25] = [
        Self::KeyMissing,
        Self::KeyUnknown,
        Self::KeyExpired,
        Self::PasswordWrong,
        Self::TooManyAttempts,
        Self::LoginOver,
        Self::NotAllowed,
        Self::ChannelNotAllowed,
        Self::NothingHere,
        Self::Method,
        Self::Parameter,
        Self::Body,
        Self::TooManyMessages,
        Self::Message,
        Self::Channel,
        Self::Unfit,
        Self::SessionUnknown,
        Self::ChannelUnknown,
        Self::NoHistory,
        Self::Refused,
        Self::Reused,
        Self::InProgress,
        Self::Configuration,
        Self::Memory,
        Self::Unavailable,
    ];

    /// Returns what programs know it by, its status, and what people do.
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::KeyMissing => ("key_missing", S::UNAUTHORIZED, "No key"),
            Self::KeyUnknown => ("key_unknown", S::UNAUTHORIZED, "Unknown key"),
            Self::KeyExpired => ("key_expired", S::UNAUTHORIZED, "Expired key"),
            Self::PasswordWrong => ("password_wrong", S::UNAUTHORIZED, "Wrong password"),
            Self::TooManyAttempts => (
                "too_many_attempts",
                S::TOO_MANY_REQUESTS,
                "Too many wrong passwords",
            ),
            Self::LoginOver => ("login_over", S::UNAUTHORIZED, "The login is over"),
            Self::NotAllowed => ("not_allowed", S::FORBIDDEN, "The key is not for this"),
            Self::ChannelNotAllowed => (
                "channel_not_allowed",
                S::FORBIDDEN,
                "The key is not for this channel",
            ),
            Self::NothingHere => ("nothing_here", S::NOT_FOUND, "Nothing here"),
            Self::Method => ("method", S::METHOD_NOT_ALLOWED, "Not by this method"),
            Self::Parameter => ("parameter", S::BAD_REQUEST, "Invalid parameter"),
            Self::Body => ("body", S::BAD_REQUEST, "Malformed body"),
            Self::TooManyMessages => (
                "too_many_messages",
                S::PAYLOAD_TOO_LARGE,
                "Too many messages",
            ),
            Self::Message => ("message", S::BAD_REQUEST, "Malformed message"),
            Self::Channel => ("channel", S::BAD_REQUEST, "Malformed channel"),
            Self::Unfit => ("channel_kind", S::BAD_REQUEST, "Not on this channel"),
            Self::SessionUnknown => ("session_unknown", S::NOT_FOUND, "No such session"),
            Self::ChannelUnknown => ("channel_unknown", S::NOT_FOUND, "No such channel"),
            Self::NoHistory => ("no_history", S::NOT_FOUND, "No history"),
            Self::Refused => ("refused", S::FORBIDDEN, "Refused"),
            Self::Reused => (
                "idempotency_key_reused",
                S::UNPROCESSABLE_ENTITY,
                "Another request had this idempotency key",
            ),
            Self::InProgress => (
                "in_progress",
                S::CONFLICT,
                "The first request with this idempotency key is under way",
            ),
            Self::Configuration => (
                "configuration",
                S::UNPROCESSABLE_ENTITY,
                "The configuration cannot be used",
            ),
            Self::Memory => ("memory_short", S::SERVICE_UNAVAILABLE, "No memory left"),
            Self::Unavailable => ("unavailable", S::SERVICE_UNAVAILABLE, "Not now"),
        }
    }

    /// Returns what programs know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.parts().0
    }

    /// Returns the status of its responses.
    #[cfg(test)]
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.parts().1
    }
}

impl Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:mirant:{}", self.name()))
    }
}

impl Problem {
    /// Says what is wrong in this case, and what to do about it.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (_, status, title) = kind.parts();
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            retry: None,
        }
    }

    /// Says what status it has in this case.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status.as_u16();
        self
    }

    /// Says after which time the same may succeed.
    #[must_use]
    pub fn retry_after(mut self, retry: Option<Duration>) -> Self {
        self.retry = retry;
        self
    }

    /// Returns its kind.
    #[cfg(test)]
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns what a client that shows no valid key is told to show (RFC 6750 section 3).
    fn challenge(&self) -> Option<&'static str> {
        match self.kind {
            Kind::KeyMissing | Kind::PasswordWrong | Kind::LoginOver => Some("Bearer"),
            Kind::KeyUnknown | Kind::KeyExpired => Some("Bearer error=\"invalid_token\""),
            Kind::NotAllowed | Kind::ChannelNotAllowed => {
                Some("Bearer error=\"insufficient_scope\"")
            }
            _ => None,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(challenge) = self.challenge() {
            let challenge = HeaderValue::from_static(challenge);
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(retry) = self.retry {
            let seconds = retry.as_millis().div_ceil(1000);
            if let Ok(seconds) = HeaderValue::from_str(&seconds.to_string()) {
                headers.insert(header::RETRY_AFTER, seconds);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_problem_says_what_where_and_why() {
        let problem = Problem::new(Kind::KeyUnknown, "look \"here\"");
        let json = serde_json::to_string(&problem).expect("JSON");
        assert_eq!(
            json,
            r#"{"type":"urn:mirant:key_unknown","title":"Unknown key","status":401,"detail":"look \"here\""}"#
        );
        let problem = problem.retry_after(Some(Duration::from_millis(1001)));
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
        assert_eq!(response.headers()["retry-after"], "2");
        assert!(response.headers().contains_key("www-authenticate"));
    }

    #[test]
    fn each_kind_has_a_name_of_its_own_and_the_status_of_an_error() {
        let names: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(Kind::ALL.iter().all(|kind| kind.status().as_u16() >= 400));
    }
}
