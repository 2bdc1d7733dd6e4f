//! A connect whose response is a stream: events as they come, at last the connect's own reply.
//!
//! What the streaming transports for browsers have in common, whose own files say only how an array
//! of messages stands in the response: `xhr_streaming.rs`, `multipart.rs`, `forever_frame.rs`. Other
//! messages go by requests of their own, as in long-polling. A stream ends with its connect, at
//! `streaming.lifetime` at the latest, and the client's next connect opens the next one.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{StatusCode, Version};
use tokio::time::Sleep;

use super::callback_polling::DEFAULT_CALLBACK;
use super::exchange::{array, now};
use super::forever_frame::ForeverFrame;
use super::multipart::Multipart;
use super::settings::{StreamingSettings, Transport};
use super::streaming::{self, Around, Streaming};
use super::turn::{MAX_TURN, Turn};
use super::xhr_streaming::XhrStreaming;
use super::{Answer, Link, Opened, legacy};
use crate::bayeux::{BayeuxError, Event, Message, meta, text};
use crate::server::HeldConnect;
use crate::session::{self, Session, Stream};
use crate::web::{Response, Socket};

/// How arrays of messages stand in a response.
pub(super) trait Wrapping: Debug + Send {
    /// Returns the header lines.
    fn head(&self) -> &'static [u8];
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
pub(super) enum Streamed {
    XhrStreaming,
    Multipart,
    MimeMessageBlock,
    Iframe,
}

impl Streamed {
    /// Returns the one that a batch asks for: a lone connect that names it.
    pub(super) fn asked(batch: &[Message<'_>], on: &[Transport]) -> Option<Self> {
        let [message] = batch else { return None };
        if message.channel_text()? != meta::CONNECT {
            return None;
        }
        let (transport, streamed) = match &*message.connection_type.and_then(text)? {
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
        held: Some(held),
        stream,
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
    /// Dropped before the stream, so that it counts as lost and not as resumed.
    held: Option<HeldConnect>,
    stream: Stream,
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
        if let Some(session) = self.stream.session().filter(|_| around.is_stopping) {
            session.stop_holding();
        }
        match self.stream.poll(MAX_TURN as u64, context) {
            Poll::Ready(session::Streamed::Events { events, .. }) => self.add(&mut turn, events),
            Poll::Ready(session::Streamed::Displaced) => self.displaced(&mut turn),
            // The connect says why.
            Poll::Ready(session::Streamed::Ended(_)) | Poll::Pending => {}
        }
        // Events first: what a client that reads on has to see of them is before the reply.
        if !turn.has_events() && !turn.closes() {
            self.resume(&mut turn, context);
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
        &mut self.stream
    }

    fn written(&mut self, _: bool) {
        self.wrote = now();
    }

    fn let_go(&mut self) {
        if let Some(mut held) = self.held.take() {
            held.release(now());
        }
        self.stream = Stream::default();
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

    /// Adds events as one array.
    fn add(&self, turn: &mut Turn, events: Vec<Arc<Event>>) {
        self.array(turn, &array(&events, &[]));
        for event in events {
            turn.note(event);
        }
    }

    /// Answers the connect if it was resumed, and ends the stream.
    fn resume(&mut self, turn: &mut Turn, context: &mut Context<'_>) {
        let Some(held) = &mut self.held else { return };
        let Poll::Ready(resume) = held.poll_resumed(now, context) else {
            return;
        };
        let Some(held) = self.held.take() else { return };
        let marks = held.session().marks();
        match held.answer(resume) {
            Some((events, reply)) => {
                let session = Arc::clone(held.session());
                self.last(
                    turn,
                    &array(&events, &[legacy::dress_connect(reply, marks)]),
                );
                self.come_with_reply(turn, session, events);
            }
            None => {
                let reply = held.reply().failed(BayeuxError::ConnectDisplaced);
                self.last(turn, &array(&[], &[reply]));
            }
        }
    }

    /// Notes the events that came with the reply; they count as written with all of it.
    fn come_with_reply(&self, turn: &mut Turn, session: Arc<Session>, events: Vec<Arc<Event>>) {
        if events.is_empty() {
            return;
        }
        turn.come_with_reply(session);
        for event in events {
            turn.note(event);
        }
    }

    /// Ends the stream because another connection took the session over.
    fn displaced(&mut self, turn: &mut Turn) {
        let Some(mut held) = self.held.take() else {
            return turn.close();
        };
        held.release(now());
        let reply = held.reply().failed(BayeuxError::ConnectDisplaced);
        self.last(turn, &array(&[], &[reply]));
    }

    fn last(&self, turn: &mut Turn, json: &[u8]) {
        self.array(turn, json);
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
