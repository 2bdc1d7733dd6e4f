//! Who asks for a response of type `message/http`, and how it begins.

use http::{Version, header};

use super::super::connect_stream::ConnectStream;
use super::super::settings::{StreamingSettings, Transport};
use super::super::{Answer, Opened};
use super::Connection;
use super::outgoing::Outgoing;
use super::pending::{self, Pending, What};
use crate::bayeux::{Message, meta, text};
use crate::resources::Watch;
use crate::server::HeldConnect;
use crate::session::Stream;
use crate::web::{Headers, Request, Response, gzip};

/// Tells whether a batch is a connect that asks for such a response, by what its client accepts or by
/// name.
pub(in super::super) fn is_asked(
    batch: &[Message<'_>],
    accepts: impl FnOnce() -> bool,
    on: &[Transport],
) -> bool {
    let [message] = batch else { return false };
    let is_named = || {
        let name = message.connection_type.and_then(text);
        name.as_deref() == Some("message-http")
    };
    on.contains(&Transport::MessageHttp)
        && message.is_on(meta::CONNECT)
        && (accepts() || is_named())
}

/// Tells whether `message/http` is what a client accepts first.
pub(in super::super) fn is_accepted(headers: &Headers) -> bool {
    let accept = headers.get(&header::ACCEPT);
    accept.is_some_and(begins_with_type)
}

/// Tells whether a body is of this type, by its headers.
#[must_use]
pub fn is_message_http(headers: &Headers) -> bool {
    let content_type = headers.get(&header::CONTENT_TYPE);
    content_type.is_some_and(begins_with_type)
}

fn begins_with_type(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| matches!(byte, b';' | b','));
    let first = &value[..end.unwrap_or(value.len())];
    first.trim_ascii().eq_ignore_ascii_case(b"message/http")
}

/// Answers a request with the changes of a resource.
pub(in super::super) fn watch(
    request: &Request,
    watch: Watch,
    settings: &StreamingSettings,
) -> Answer {
    let (outgoing, response) =
        Outgoing::begin(request.head.version, gzip::is_accepted(request.headers()));
    let location = request.uri().to_string().into();
    let pending = Pending::new(location, false, What::Watch(watch));
    open(outgoing, response, pending, settings)
}

fn open(
    outgoing: Outgoing,
    response: Response,
    pending: Pending,
    settings: &StreamingSettings,
) -> Answer {
    let mut connection = Connection::new(outgoing, settings.clone());
    connection.pending.push(pending);
    Answer::Open(response, Opened::MessageHttp(Box::new(connection)))
}

/// What the embedded responses to a connect need of its request.
#[derive(Debug)]
pub(in super::super) struct Embedding {
    pub(in super::super) location: Box<str>,
    pub(in super::super) version: Version,
    pub(in super::super) gzips: bool,
    /// The request was embedded itself.
    pub(in super::super) is_embedded: bool,
}

impl Embedding {
    /// Returns a whole response with these messages.
    pub(in super::super) fn whole(&self, json: Vec<u8>) -> Response {
        let response = pending::messages(json);
        if self.is_embedded {
            return response;
        }
        Outgoing::whole(self.gzips, &self.location, &response)
    }

    /// Opens the response of a connect that is held.
    pub(in super::super) fn open(
        self,
        held: HeldConnect,
        stream: Stream,
        settings: &StreamingSettings,
    ) -> Answer {
        let (outgoing, response) = Outgoing::begin(self.version, self.gzips);
        let connect = ConnectStream::new(held, stream, false);
        let pending = Pending::new(self.location, false, What::Connect(connect));
        open(outgoing, response, pending, settings)
    }
}
