//! message-http: whole HTTP responses in a response of type `message/http` (RFC 9112 section 10.1).
//!
//! Such a response is asked for by a connect, whose events then come in responses of their own.

mod outgoing;
mod pending;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{HeaderMap, Uri, Version, header};
use tokio::time::Sleep;

use self::outgoing::Outgoing;
use self::pending::{Pending, Step};
use super::connect_stream::ConnectStream;
use super::exchange::now;
use super::settings::{StreamingSettings, Transport};
use super::streaming::{self, Around, Streaming};
use super::turn::Turn;
use super::{Answer, Link, Opened};
use crate::bayeux::{Message, meta, text};
use crate::server::HeldConnect;
use crate::session::Stream;
use crate::web::{Response, Socket};

/// A response that whoever does not wait for it passes over (RFC 9110 section 15.2).
const HEARTBEAT: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// Tells whether a batch is a connect that asks for such a response.
pub(super) fn is_asked(batch: &[Message<'_>], headers: &HeaderMap, on: &[Transport]) -> bool {
    let [message] = batch else { return false };
    let is_named = || {
        let name = message.connection_type.and_then(text);
        name.as_deref() == Some("message-http")
    };
    on.contains(&Transport::MessageHttp)
        && message.channel_text().as_deref() == Some(meta::CONNECT)
        && (is_accepted(headers) || is_named())
}

/// Tells whether `message/http` is what a client accepts first.
fn is_accepted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).map(|value| value.as_bytes());
    accept.is_some_and(is_message_http)
}

/// Tells whether a header's value begins with the media type.
fn is_message_http(value: &[u8]) -> bool {
    let end = value.iter().position(|byte| matches!(byte, b';' | b','));
    let first = &value[..end.unwrap_or(value.len())];
    first.trim_ascii().eq_ignore_ascii_case(b"message/http")
}

/// What the embedded responses to a request need of it.
#[derive(Debug)]
pub(super) struct Embedding {
    location: Box<str>,
    /// The request was embedded itself.
    is_embedded: bool,
}

impl Embedding {
    pub(super) fn new(uri: &Uri, _: &HeaderMap, is_embedded: bool) -> Self {
        Self {
            location: uri.to_string().into(),
            is_embedded,
        }
    }

    /// Returns a whole response with these messages.
    pub(super) fn whole(&self, json: Vec<u8>) -> Response {
        let response = pending::messages(json);
        if self.is_embedded {
            return response;
        }
        let mut piece = Vec::new();
        response.embed(&self.location, false, &mut piece);
        Outgoing::whole(piece)
    }

    /// Opens the response of a connect that is held.
    pub(super) fn open(
        self,
        held: HeldConnect,
        stream: Stream,
        settings: &StreamingSettings,
        version: Version,
    ) -> Answer {
        let connect = ConnectStream::new(held, stream);
        let pending = Pending::connect(self.location, connect);
        let (outgoing, response) = Outgoing::begin(version);
        let connection = Box::new(Connection {
            outgoing,
            pending: vec![pending],
            source: None,
            none: Stream::default(),
            settings: settings.clone(),
            wrote: now(),
        });
        Answer::Open(response, Opened::MessageHttp(connection))
    }
}

/// A response that others are embedded in.
#[derive(Debug)]
pub struct Connection {
    outgoing: Outgoing,
    pending: Vec<Pending>,
    /// Whose events the turn holds.
    source: Option<usize>,
    /// The stream of no session, for turns that hold no events.
    none: Stream,
    settings: StreamingSettings,
    /// When something was written last.
    wrote: Instant,
}

impl Streaming for Connection {
    fn poll_turn(
        &mut self,
        socket: &mut Socket,
        around: &Around<'_>,
        sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Turn> {
        let mut turn = Turn::default();
        self.source = None;
        if socket.poll_discard(context).is_ready() {
            turn.lose();
            return Poll::Ready(turn);
        }
        if around.is_stopping {
            self.pending.iter().for_each(Pending::stop);
        }
        self.advance(&mut turn, context);
        if self.pending.is_empty() && !turn.closes() {
            self.outgoing.end(turn.bytes());
            turn.close();
        }
        let interval = self.settings.heartbeat_interval;
        if turn.is_empty() && streaming::is_silent_for_long(self.wrote, interval, sleep, context) {
            self.outgoing.piece(HEARTBEAT, turn.bytes());
        }
        if turn.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(turn)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        let pending = self.source.and_then(|at| self.pending.get_mut(at));
        pending.and_then(Pending::stream).unwrap_or(&mut self.none)
    }

    fn written(&mut self, _: bool) {
        self.wrote = now();
    }

    fn let_go(&mut self) {
        self.pending.iter_mut().for_each(Pending::let_go);
        self.pending.clear();
    }
}

impl Connection {
    /// Serves the connection to its end.
    pub(super) fn run(
        self: Box<Self>,
        socket: Socket,
        link: Link,
    ) -> impl Future<Output = ()> + Send {
        streaming::run(self, socket, link, |metrics| &metrics.message_streams)
    }

    /// Writes what has become of what is pending.
    fn advance(&mut self, turn: &mut Turn, context: &mut Context<'_>) {
        let mut at = 0;
        while let Some(pending) = self.pending.get_mut(at).filter(|_| turn.goes_on()) {
            let Poll::Ready(step) = pending.poll(context) else {
                at += 1;
                continue;
            };
            let mut embedded = Vec::new();
            match step {
                Step::Events(response, events) => {
                    response.embed(&pending.location, false, &mut embedded);
                    self.outgoing.piece(&embedded, turn.bytes());
                    turn.note_all(events);
                    self.source = Some(at);
                }
                Step::Last(response, carried) => {
                    response.embed(&pending.location, false, &mut embedded);
                    self.outgoing.piece(&embedded, turn.bytes());
                    turn.carry(carried);
                    self.pending.swap_remove(at);
                }
                Step::End => {
                    self.pending.swap_remove(at);
                }
            }
        }
    }
}
