//! Why a request has no answer of its own, and what its client is told.

use http::StatusCode;

use super::denial;
use super::gate::Rejection;
use crate::bayeux::{BatchError, BayeuxError};
use crate::server::{Denied, NotOpened};
use crate::web::gzip::NotInflated;
use crate::web::websocket::UpgradeError;
use crate::web::{Response, charset, form};

/// Why a request is not an exchange of messages, and opens no stream.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gate did not let it through.
    #[error("{}", .0.reason)]
    Gate(Rejection),
    /// The body's charset.
    #[error(transparent)]
    Charset(#[from] charset::Error),
    /// The form or the query that holds the messages.
    #[error(transparent)]
    Form(#[from] form::Error),
    /// The messages.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// The function that a script is to call.
    #[error(
        "the callback's name has to be identifiers with dots between them, of at most 64 characters"
    )]
    Callback,
    /// The function that the page of a frame is to call.
    #[error("the callback of a frame has to be one identifier, of at most 64 characters")]
    FrameCallback,
    /// A script is asked for by nobody knows whom.
    #[error(
        "a request that is answered by a script has to say where it comes from, by Sec-Fetch-Site: \
         same-origin, or by an Origin or a Referer of this server or of http.allowed_origins; \
         bayeux.callback_without_origin serves others too"
    )]
    NoOrigin,
    /// A query without messages.
    #[error("a GET needs the parameter `message` (callback-polling); send other messages by POST")]
    NoMessage,
    /// A query with more than its bound.
    #[error("the query holds more than {0} bytes of messages (bayeux.max_message_size)")]
    TooLarge(u64),
    /// A body in a coding that is not read here.
    #[error("the Content-Encoding of a body may be gzip, and no other")]
    Coding,
    /// A body that cannot be inflated.
    #[error(transparent)]
    Inflate(#[from] NotInflated),
    /// An upgrade that is none.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// A stream that came late: its client has given it up, and may have asked again.
    #[error("the client closed the connection before its stream was opened")]
    Gone,
    /// An event stream of nothing.
    #[error("name what to receive, such as ?channel=/chat/demo&channel=/stock/**")]
    NoChannel,
    /// An event stream that is to begin nobody knows where.
    #[error(
        "`since` has to be all, last, new, the number of a message, or EPOCH:NUMBER, such as ?since=all"
    )]
    Since,
    /// An event stream of what its client may not have.
    #[error("not subscribed: {}", .0.text())]
    NotSubscribed(BayeuxError),
    /// An event stream that an extension refuses.
    #[error(transparent)]
    Denied(Denied),
}

impl From<NotOpened> for Error {
    fn from(not_opened: NotOpened) -> Self {
        match not_opened {
            NotOpened::Failed(error) => Self::NotSubscribed(error),
            NotOpened::Denied(denied) => Self::Denied(denied),
        }
    }
}

impl From<Rejection> for Error {
    fn from(refusal: Rejection) -> Self {
        Self::Gate(refusal)
    }
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::Gate(refusal) => refusal.status,
            // It has a response of its own.
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Charset(charset) => charset.status(),
            Self::Coding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge(_) | Self::Inflate(NotInflated::TooLarge) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::NoOrigin
            | Self::NotSubscribed(
                BayeuxError::TooManySubscriptions
                | BayeuxError::SubscribeDenied
                | BayeuxError::CreateDenied,
            ) => StatusCode::FORBIDDEN,
            Self::Form(_)
            | Self::Batch(_)
            | Self::Callback
            | Self::FrameCallback
            | Self::NoMessage
            | Self::Inflate(NotInflated::Malformed)
            | Self::Upgrade(_)
            | Self::Gone
            | Self::NoChannel
            | Self::Since
            | Self::NotSubscribed(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<Error> for Response {
    fn from(error: Error) -> Self {
        match error {
            Error::Gate(refusal) => return refusal.into(),
            Error::Upgrade(error) => return error.into(),
            Error::Denied(denied) => return denial::response(&denied),
            _ => {}
        }
        let response = Self::error(error.status(), &error.to_string());
        match error {
            // What would be understood (RFC 9110 section 15.5.16).
            Error::Coding => response.header("Accept-Encoding", b"gzip"),
            _ => response,
        }
    }
}
