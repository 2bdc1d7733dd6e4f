//! A connect whose response is a stream: events as they come, at last the connect's own reply.
//!
//! What the streaming transports for browsers have in common, whose own files say only how an array
//! of messages stands in the response: `xhr_streaming.rs`, `multipart.rs`, `forever_frame.rs`. Other
//! messages go by requests of their own, as in long-polling. A stream ends with its connect, at
//! `streaming.lifetime` at the latest, and the client's next connect opens the next one.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{StatusCode, Version};
use tokio::time::Sleep;

use super::callback_polling::DEFAULT_CALLBACK;
use super::connect_stream::{Coming, ConnectStream};
use super::exchange::{array, now};
use super::forever_frame::ForeverFrame;
use super::multipart::Multipart;
use super::settings::{StreamingSettings, Transport};
use super::streaming::{self, Around, Streaming};
use super::turn::Turn;
use super::xhr_streaming::XhrStreaming;
use super::{Answer, Link, Opened, legacy};
use crate::bayeux::{Message, meta, text};
use crate::server::HeldConnect;
use crate::session::Stream;
use crate::web::{Response, Socket};

/// How arrays of messages stand in a response.
pub(super) trait Wrapping: Debug + Send {
    /// Returns the header lines.
    fn head(&self) -> &'static [u8];
    /// Tells whether the connect's reply is the first array, and not the last.
    fn replies_first(&self) -> bool {
        false
    }
    /// Writes what comes before all arrays.
    fn begin(&self, out: &mut Vec<u8>);
    /// Writes an array.
    fn array(&self, json: &[u8], out: &mut Vec<u8>);
    /// Writes something that means nothing.
    fn heartbeat(&self, out: &mut Vec<u8>);
    /// Writes what comes after all arrays.
    fn end(&self, out: &mut Vec<u8>);
}

/// A transport whose connect's response is a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamKind {
    XhrStreaming,
    Multipart,
    MimeMessageBlock,
    Iframe,
}

impl StreamKind {
    /// Returns the one that a batch asks for: a lone connect that names it, or whose session's last
    /// one did.
    pub(super) fn asked(
        batch: &[Message<'_>],
        on: &[Transport],
        marks_of: impl FnOnce(&Message<'_>) -> u8,
    ) -> Option<Self> {
        let [message] = batch else { return None };
        if !message.is_on(meta::CONNECT) {
            return None;
        }
        let name = match message.connection_type {
            Some(name) => text(name)?,
            None => legacy::streams_by(marks_of(message))?.into(),
        };
        let (transport, streamed) = match &*name {
            "xhr-streaming" => (Transport::XhrStreaming, Self::XhrStreaming),
            "multipart" => (Transport::Multipart, Self::Multipart),
            "mime-message-block" => (Transport::MimeMessageBlock, Self::MimeMessageBlock),
            "iframe" => (Transport::Iframe, Self::Iframe),
            _ => return None,
        };
        on.contains(&transport).then_some(streamed)
    }

    /// Returns how messages stand in its response, for a client that named a callback or did not.
    pub(super) fn wrapping(self, callback: Option<Box<str>>, marks: u8) -> Box<dyn Wrapping> {
        match self {
            Self::XhrStreaming => Box::new(XhrStreaming),
            Self::Multipart => Box::new(Multipart::Json),
            Self::MimeMessageBlock => Box::new(Multipart::MimeMessageBlock),
            Self::Iframe if legacy::is_of_protocol_0_1(marks) => Box::new(ForeverFrame::Dojo),
            Self::Iframe => {
                let callback = callback.unwrap_or_else(|| DEFAULT_CALLBACK.into());
                Box::new(ForeverFrame::Calling(callback))
            }
        }
    }
}

/// Returns a whole response with one array.
pub(super) fn whole(wrapping: &dyn Wrapping, json: &[u8]) -> Response {
    let mut body = Vec::with_capacity(json.len() + 512);
    wrapping.begin(&mut body);
    wrapping.array(json, &mut body);
    wrapping.end(&mut body);
    Response::with_raw_head(StatusCode::OK, wrapping.head(), body)
}

/// Opens the stream of a connect that is held.
pub(super) fn open(
    wrapping: Box<dyn Wrapping>,
    held: HeldConnect,
    stream: Stream,
    settings: &StreamingSettings,
    version: Version,
) -> Answer {
    let mut beginning = Vec::new();
    wrapping.begin(&mut beginning);
    let has_replied = wrapping.replies_first();
    if has_replied {
        let reply = legacy::dress_connect(held.reply(), held.session().marks());
        wrapping.array(&array(&[], &[reply]), &mut beginning);
    }
    // HTTP/1.0 has no chunks: its clients get the bytes and the connection's end.
    let is_chunked = version == Version::HTTP_11;
    let response = if is_chunked {
        Response::chunked(wrapping.head(), &beginning)
    } else {
        Response::open(wrapping.head(), beginning)
    };
    let connection = Box::new(Connection {
        wrapping,
        is_chunked,
        connect: ConnectStream::new(held, stream, has_replied),
        settings: settings.clone(),
        wrote: now(),
    });
    Answer::Open(response, Opened::Streamed(connection))
}

/// The stream of a connect.
#[derive(Debug)]
pub struct Connection {
    wrapping: Box<dyn Wrapping>,
    is_chunked: bool,
    connect: ConnectStream,
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
        // The connection ends with this response, so no request can follow.
        if socket.poll_discard(context).is_ready() {
            turn.lose();
            return Poll::Ready(turn);
        }
        if let Some(session) = self.connect.session().filter(|_| around.is_stopping) {
            session.stop_holding();
        }
        match self.connect.poll(context) {
            Poll::Ready(Coming::Events(events)) => {
                self.array(&mut turn, &array(&events, &[]));
                turn.note_all(events);
            }
            Poll::Ready(Coming::Last(json, carried)) => {
                self.last(&mut turn, &json);
                turn.carry(carried);
            }
            Poll::Ready(Coming::End) => self.end(&mut turn),
            Poll::Pending => {}
        }
        let interval = self.settings.heartbeat_interval;
        if turn.is_empty() && streaming::is_silent_for_long(self.wrote, interval, sleep, context) {
            let mut beat = Vec::new();
            self.wrapping.heartbeat(&mut beat);
            self.write(&mut turn, &beat);
        }
        if turn.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(turn)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        self.connect.stream()
    }

    fn written(&mut self, _: bool) {
        self.wrote = now();
    }

    fn let_go(&mut self) {
        self.connect.give_up();
    }
}

impl Connection {
    /// Serves the connection to its end.
    pub(super) fn run(
        self: Box<Self>,
        socket: Socket,
        link: Link,
    ) -> impl Future<Output = ()> + Send {
        streaming::run(self, socket, link, |metrics| &metrics.streamed_connects)
    }

    fn last(&self, turn: &mut Turn, json: &[u8]) {
        self.array(turn, json);
        self.end(turn);
    }

    fn end(&self, turn: &mut Turn) {
        let mut end = Vec::new();
        self.wrapping.end(&mut end);
        self.write(turn, &end);
        if self.is_chunked {
            turn.bytes().extend_from_slice(b"0\r\n\r\n");
        }
        turn.close();
    }

    fn array(&self, turn: &mut Turn, json: &[u8]) {
        let mut wrapped = Vec::with_capacity(json.len() + 128);
        self.wrapping.array(json, &mut wrapped);
        self.write(turn, &wrapped);
    }

    /// Writes bytes as a chunk of their own.
    fn write(&self, turn: &mut Turn, bytes: &[u8]) {
        if self.is_chunked {
            Response::chunk(bytes, turn.bytes());
        } else {
            turn.bytes().extend_from_slice(bytes);
        }
    }
}
