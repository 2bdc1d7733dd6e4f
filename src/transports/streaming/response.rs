//! A connect whose response is a stream: events as they come, at last the connect's own reply.
//!
//! What the streaming transports for browsers have in common, whose own files say only how an array
//! of messages stands in the response: `xhr_streaming.rs`, `multipart.rs`, `forever_frame.rs`. Other
//! messages go by requests of their own, as in long-polling. A stream ends with its connect, at
//! `streaming.lifetime` at the latest, and the client's next connect opens the next one.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{StatusCode, Version};
use tokio::time::Sleep;

use super::connect::{Coming, ConnectStream};
use super::forever_frame::ForeverFrame;
use super::heartbeat::Heartbeat;
use super::multipart::Multipart;
use super::wrapping::Wrapping;
use super::xhr_streaming::XhrStreaming;
use crate::bayeux::{Message, meta, text};
use crate::metrics::{Gauge, Metrics};
use crate::server::HeldConnect;
use crate::session::Stream;
use crate::transports::answer::{Answer, Around, Outgoing, Streaming};
use crate::transports::arrays::array;
use crate::transports::legacy;
use crate::transports::settings::{StreamingSettings, Transport};
use crate::web::script::DEFAULT_CALLBACK;
use crate::web::{Response, Socket};

/// A transport whose connect's response is a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A growing text of arrays.
    XhrStreaming,
    /// An array in each part.
    Multipart,
    /// The same for Dojo 0.4.
    MimeMessageBlock,
    /// A page that never ends, in a frame.
    Iframe,
}

impl StreamKind {
    /// Returns the one that a batch asks for: a lone connect that names it, or whose session's last
    /// one did.
    pub fn asked(
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
        let kind = match &*name {
            "xhr-streaming" => Self::XhrStreaming,
            "multipart" => Self::Multipart,
            "mime-message-block" => Self::MimeMessageBlock,
            "iframe" => Self::Iframe,
            _ => return None,
        };
        on.contains(&kind.transport()).then_some(kind)
    }

    /// Returns it among all transports.
    pub fn transport(self) -> Transport {
        match self {
            Self::XhrStreaming => Transport::XhrStreaming,
            Self::Multipart => Transport::Multipart,
            Self::MimeMessageBlock => Transport::MimeMessageBlock,
            Self::Iframe => Transport::Iframe,
        }
    }

    /// Returns how messages stand in its response, for a client that named a callback or did not.
    pub fn wrapping(self, callback: Option<&str>, marks: u8) -> Box<dyn Wrapping> {
        match self {
            Self::XhrStreaming => Box::new(XhrStreaming),
            Self::Multipart => Box::new(Multipart::Json),
            Self::MimeMessageBlock => Box::new(Multipart::MimeMessageBlock),
            Self::Iframe if legacy::is_of_protocol_0_1(marks) => Box::new(ForeverFrame::Dojo),
            Self::Iframe => {
                let callback = callback.unwrap_or(DEFAULT_CALLBACK);
                Box::new(ForeverFrame::Calling(callback.into()))
            }
        }
    }
}

/// Returns a whole response with one array.
pub fn whole(wrapping: &dyn Wrapping, json: &[u8]) -> Response {
    let mut body = Vec::with_capacity(json.len() + 512);
    wrapping.begin(&mut body);
    wrapping.array(json, &mut body);
    wrapping.end(&mut body);
    Response::with_raw_head(StatusCode::OK, wrapping.head(), body)
}

/// Opens the stream of a connect that is held.
pub fn open(
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
        heartbeat: Heartbeat::new(settings.heartbeat_interval),
    });
    Answer::Stream(response, connection)
}

/// The stream of a connect.
#[derive(Debug)]
struct Connection {
    wrapping: Box<dyn Wrapping>,
    is_chunked: bool,
    connect: ConnectStream,
    heartbeat: Heartbeat,
}

impl Streaming for Connection {
    fn poll_outgoing(
        &mut self,
        socket: &mut Socket,
        around: &Around<'_>,
        sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Outgoing> {
        let mut outgoing = Outgoing::default();
        // The connection ends with this response, so no request can follow.
        if socket.poll_discard(context).is_ready() {
            outgoing.lose();
            return Poll::Ready(outgoing);
        }
        if let Some(session) = self.connect.session().filter(|_| around.is_stopping) {
            session.stop_holding();
        }
        match self.connect.poll(context) {
            Poll::Ready(Coming::Events(events)) => {
                self.array(&mut outgoing, &array(&events, &[]));
                outgoing.note_all(events);
            }
            Poll::Ready(Coming::Last(json, carried)) => {
                self.last(&mut outgoing, &json);
                outgoing.carry(carried);
            }
            Poll::Ready(Coming::End) => self.end(&mut outgoing),
            Poll::Pending => {}
        }
        if outgoing.is_empty() && self.heartbeat.is_due(sleep, context) {
            let mut beat = Vec::new();
            self.wrapping.heartbeat(&mut beat);
            self.write(&mut outgoing, &beat);
        }
        if outgoing.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(outgoing)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        self.connect.stream()
    }

    fn written(&mut self, _: bool) {
        self.heartbeat.wrote();
    }

    fn let_go(&mut self) {
        self.connect.give_up();
    }

    fn gauge<'m>(&self, metrics: &'m Metrics) -> &'m Gauge {
        &metrics.streamed_connects
    }
}

impl Connection {
    fn last(&self, outgoing: &mut Outgoing, json: &[u8]) {
        self.array(outgoing, json);
        self.end(outgoing);
    }

    fn end(&self, outgoing: &mut Outgoing) {
        let mut end = Vec::new();
        self.wrapping.end(&mut end);
        self.write(outgoing, &end);
        if self.is_chunked {
            outgoing.bytes().extend_from_slice(b"0\r\n\r\n");
        }
        outgoing.close();
    }

    fn array(&self, outgoing: &mut Outgoing, json: &[u8]) {
        let mut wrapped = Vec::with_capacity(json.len() + 128);
        self.wrapping.array(json, &mut wrapped);
        self.write(outgoing, &wrapped);
    }

    /// Writes bytes as a chunk of their own.
    fn write(&self, outgoing: &mut Outgoing, bytes: &[u8]) {
        if self.is_chunked {
            Response::chunk(bytes, outgoing.bytes());
        } else {
            outgoing.bytes().extend_from_slice(bytes);
        }
    }
}
