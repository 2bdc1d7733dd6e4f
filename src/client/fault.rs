//! What can go wrong between a client and the server.

use std::time::Duration;

use crate::web::websocket::CloseCode;

/// How much of an answer an error shows.
const EXCERPT: usize = 300;

/// What kept one exchange with the server from going well.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    /// The host has no address.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The host that was looked up.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// No connection could be opened.
    #[error("nothing answers at {addresses} (is the server running, and its URL right?)")]
    Unreachable {
        /// The addresses that were tried.
        addresses: String,
        /// What the last one said.
        source: std::io::Error,
    },
    /// TLS could not be agreed on.
    #[error("no TLS (--ca names certificate authorities to trust)")]
    Tls(#[source] std::io::Error),
    /// HTTP/2 is not spoken, or not as it should be.
    #[error(
        "no HTTP/2 (over http:// a server must speak it by prior knowledge, Mirant by http.http2_prior_knowledge)"
    )]
    Http2(#[source] std::io::Error),
    /// The server closed the connection when a response was due.
    #[error("the server closed the connection; it had answered: {0}")]
    Closed(String),
    /// No whole response came in time.
    #[error("no answer within {limit:?}; so far: {answer}")]
    TimedOut {
        /// How long was waited.
        limit: Duration,
        /// The part of a response that did come.
        answer: String,
    },
    /// The response has no `Content-Length`, as only counted bodies are read.
    #[error("the response is not counted ({0}); chunked bodies are not read")]
    Uncounted(String),
    /// The bytes are not an HTTP/1.1 response, a text message or an event, or not one of acceptable size.
    #[error("not a response: {0}")]
    Malformed(String),
    /// The server refused on the HTTP level.
    #[error("the server answered status {status}: {answer}{}", hint(*status))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        answer: String,
    },
    /// The server broke the framing of WebSocket.
    #[error("not WebSocket: {0}")]
    Frames(&'static str),
    /// The server closed the WebSocket, and said so.
    #[error("the server closed the WebSocket with {}", code_and_reason(*code, reason))]
    CloseFrame {
        /// The close code, if there was one.
        code: Option<u16>,
        /// What the server said beside the code.
        reason: String,
    },
    /// The id of an event does not follow that of the one before.
    #[error("an event's id is {found} where {expected} was due")]
    Id {
        /// The id that came.
        found: String,
        /// The id that was due.
        expected: String,
    },
    /// The server's Bayeux reply is not the successful one that was due.
    #[error("the server answered: {_0}{}", hint_of_refusal(_0))]
    Refused(String),
    /// The server refuses for good, with an error of Bayeux.
    #[error("the server refuses: {}", said(_0))]
    Denied(String),
}

impl Fault {
    /// Whether there is no way to the server at all, by whatever transport.
    pub(crate) fn is_of_network(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Resolve { .. } | Self::Tls(_) | Self::Http2(_)
        )
    }

    /// Whether the server takes no request that is so large.
    pub(crate) fn is_of_size(&self) -> bool {
        let code = Some(CloseCode::Size.into());
        matches!(self, Self::Status { status: 413, .. })
            || matches!(self, Self::CloseFrame { code: found, .. } if *found == code)
    }

    /// Whether it may be gone at the next attempt, as when a server or a proxy starts again.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 409 | 429 | 500..),
            Self::Refused(_) | Self::Denied(_) => false,
            _ => true,
        }
    }
}

/// What an operator may look at first.
fn hint(status: u16) -> &'static str {
    match status {
        404 => " (is the path right?)",
        413 => " (the server bounds the size of requests: its bayeux.max_message_size)",
        502..=504 => " (a proxy does not get through to the server, or gets no answer in time)",
        _ => "",
    }
}

fn said(error: &str) -> String {
    match error {
        "" => "it does not say why".to_owned(),
        error => excerpt(error.as_bytes()),
    }
}

fn hint_of_refusal(answer: &str) -> &'static str {
    if answer.contains("402::") {
        " (the server keeps no session of a client that is away, or silent, for so long)"
    } else {
        ""
    }
}

fn code_and_reason(code: Option<u16>, reason: &str) -> String {
    match (code, reason) {
        (None, _) => "no code".to_owned(),
        (Some(code), "") => format!("code {code} and no reason"),
        (Some(code), reason) => format!("code {code}: {}", excerpt(reason.as_bytes())),
    }
}

/// The beginning of an answer, fit for an error message.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let bytes = bytes.trim_ascii_end();
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]);
    let more = if bytes.len() > EXCERPT { " ..." } else { "" };
    format!(
        "{}{more}",
        text.escape_debug().to_string().replace("\\\"", "\"")
    )
}
