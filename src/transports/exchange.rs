//! One request's messages to the server and back, the same for every polling transport.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{StatusCode, Version};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::held_poll::HeldPoll;
use super::message_http::{self, Embedding};
use super::settings::Transport;
use super::streamed::{self, StreamKind, Wrapping};
use super::usual::Said;
use super::{Answer, Endpoint, Error, legacy};
use crate::bayeux::{BatchError, Event, Message, RandomId, Reply, parse_batches};
use crate::metrics::{Limit, Metrics};
use crate::server::{Actor, HeldConnect, Outcome, Request};
use crate::session::{BeingWritten, InFlight, Session, Stream};
use crate::web::{Headers, Response, Socket, cookies, script};

/// How messages stand in a response.
#[derive(Debug)]
pub(super) enum Framing {
    /// As a JSON array.
    Json,
    /// As a script that calls this function with the array.
    Script(Box<str>),
    /// As in a stream.
    Streamed(Box<dyn Wrapping>),
    /// As a response in a response.
    MessageHttp(Embedding),
    /// As a JSON array in a response that is embedded in another, which says the rest.
    Embedded,
}

/// The messages of a request, as texts.
#[derive(Debug)]
pub(super) struct Messages<'s> {
    pub(super) texts: Vec<Bytes>,
    pub(super) source: Source,
    /// The function that is to be called with the replies, if the request names one.
    pub(super) callback: Option<Box<str>>,
    /// What the request's head says.
    pub(super) said: Said<'s>,
    /// The socket they came from.
    pub(super) socket: &'s Socket,
}

/// Where the messages of a request stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// They were the body.
    Body,
    /// They were fields of a form or a query.
    Fields,
}

const JSON_HEAD: &[u8] = b"Content-Type: application/json; charset=utf-8\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";
/// The same in a response that says already that it is not to be kept.
pub(super) const EMBEDDED_HEAD: &[u8] = b"Content-Type: application/json\r\n";
const SCRIPT_HEAD: &[u8] = b"Content-Type: text/javascript; charset=utf-8\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";

impl Framing {
    pub(super) fn response(&self, mut json: Vec<u8>, escapes_comment_end: bool) -> Response {
        if escapes_comment_end {
            json = script::escape_comment_end(&json).into_owned();
        }
        let (head, body) = match self {
            Self::Streamed(wrapping) => return streamed::whole(&**wrapping, &json),
            Self::MessageHttp(embedding) => return embedding.whole(json),
            Self::Embedded => return Response::with_raw_head(StatusCode::OK, EMBEDDED_HEAD, json),
            Self::Json => (JSON_HEAD, json),
            Self::Script(callback) => {
                let json = script::expression(&json);
                (
                    SCRIPT_HEAD,
                    [b"/**/", callback.as_bytes(), b"(", &json, b");"].concat(),
                )
            }
        };
        Response::with_raw_head(StatusCode::OK, head, body).compressible()
    }

    /// A response without a message, for the status that alone counts.
    pub(super) fn empty(&self, status: StatusCode) -> Response {
        let head = match self {
            Self::Embedded => EMBEDDED_HEAD,
            _ => JSON_HEAD,
        };
        Response::with_raw_head(status, head, Vec::new())
    }
}

/// How a request's messages are answered, as its connect and its headers ask.
#[derive(Debug)]
enum Way {
    /// By one response.
    Once,
    /// By a stream.
    Streamed(StreamKind),
    /// By responses in a response.
    MessageHttp(Embedding),
}

impl Way {
    fn asked(
        batch: &[Message<'_>],
        said: Said<'_>,
        framing: &Framing,
        on: &[Transport],
        marks_of: impl FnOnce(&Message<'_>) -> u8,
    ) -> Self {
        let is_embedded = match framing {
            Framing::Json => Some(false),
            Framing::Embedded => Some(true),
            _ => None,
        };
        if let Some(is_embedded) = is_embedded
            && message_http::is_asked(batch, || said.accepts_message_http(), on)
        {
            return Self::MessageHttp(Embedding {
                location: said.location(),
                version: said.version(),
                gzips: said.gzips(),
                is_embedded,
            });
        }
        match StreamKind::asked(batch, on, marks_of) {
            Some(streamed) if is_embedded != Some(true) => Self::Streamed(streamed),
            _ => Self::Once,
        }
    }

    /// A frame is a page of scripts, which call one function of the page that has it.
    fn check(
        &self,
        endpoint: &Endpoint,
        said: Said<'_>,
        callback: Option<&str>,
    ) -> Result<(), Error> {
        let Self::Streamed(StreamKind::Iframe) = self else {
            return Ok(());
        };
        endpoint.check_script(said)?;
        if callback.is_some_and(|name| !script::is_identifier(name)) {
            return Err(Error::FrameCallback);
        }
        Ok(())
    }
}

impl Way {
    /// Tells whether its clients do not see that nothing listens any more: what a page loads for its
    /// scripts fails without a word, in many browsers and for most clients.
    fn is_blind(&self, framing: &Framing) -> bool {
        match self {
            Self::Once => matches!(framing, Framing::Script(_)),
            Self::Streamed(streamed) => *streamed == StreamKind::Iframe,
            Self::MessageHttp(_) => false,
        }
    }
}

/// Writes events and replies as a JSON array.
pub(super) fn array(events: &[Arc<Event>], replies: &[Reply<'_>]) -> Vec<u8> {
    let mut json = opened(events);
    add_events(events, &mut json);
    add_replies(replies, &mut json);
    closed(json)
}

/// Writes what a batch led to as a JSON array.
pub(super) fn array_of(outcome: &Outcome<'_>) -> Vec<u8> {
    if !outcome.replies_first {
        return array(&outcome.events, &outcome.replies);
    }
    let mut json = opened(&outcome.events);
    add_replies(&outcome.replies, &mut json);
    add_events(&outcome.events, &mut json);
    closed(json)
}

fn opened(events: &[Arc<Event>]) -> Vec<u8> {
    let size: usize = events.iter().map(|event| event.json().len() + 1).sum();
    let mut json = Vec::with_capacity(size + 128);
    json.push(b'[');
    json
}

fn add_events(events: &[Arc<Event>], json: &mut Vec<u8>) {
    for event in events {
        json.extend_from_slice(event.json());
        json.push(b',');
    }
}

fn add_replies(replies: &[Reply<'_>], json: &mut Vec<u8>) {
    for reply in replies {
        reply.write(json);
        json.push(b',');
    }
}

fn closed(mut json: Vec<u8>) -> Vec<u8> {
    if json.len() > 1 {
        json.pop();
    }
    json.push(b']');
    json
}

/// Whose response it is, and the events on their way in it.
#[derive(Debug)]
pub struct Carried {
    session: Option<Arc<Session>>,
    in_flight: Option<InFlight>,
    events: Vec<Arc<Event>>,
}

impl Carried {
    /// Makes one of a response; nothing if it is of no session.
    pub(super) fn of(
        session: Option<Arc<Session>>,
        in_flight: Option<InFlight>,
        events: Vec<Arc<Event>>,
    ) -> Option<Self> {
        (session.is_some() || in_flight.is_some()).then_some(Self {
            session,
            in_flight,
            events,
        })
    }

    /// Returns the session, the events, and what has to hear what becomes of them.
    pub(super) fn into_parts(self) -> (Option<Arc<Session>>, Option<InFlight>, Vec<Arc<Event>>) {
        (self.session, self.in_flight, self.events)
    }

    /// Keeps the session as long as the response is written.
    #[must_use]
    pub fn writing(&self) -> Option<BeingWritten> {
        let to_connect = self.in_flight.as_ref().is_some_and(InFlight::is_to_connect);
        let session = self.session.as_ref()?;
        Some(BeingWritten::of(session, to_connect))
    }

    /// Waits, while the response is written, until there is no use in that.
    pub fn poll_displaced(&self, context: &mut Context<'_>) -> Poll<()> {
        let in_flight = self.in_flight.as_ref();
        in_flight.map_or(Poll::Pending, |way| way.poll_displaced(context))
    }

    /// Gives the events back to their session, because the response could not be written.
    pub fn restore(self) {
        if let Some(in_flight) = self.in_flight {
            in_flight.give_back(self.events);
        }
    }
}

impl Endpoint {
    /// Answers the messages of a request, or holds its connect.
    pub(super) fn answer(&self, messages: Messages<'_>, framing: Framing) -> Result<Answer, Error> {
        let Messages {
            texts,
            source,
            callback,
            said,
            socket,
        } = messages;
        let texts = match source {
            Source::Body => texts,
            Source::Fields => legacy::in_utf8(texts),
        };
        let mut batch = match parse_batches(&texts, self.server.limits()) {
            // Two variants of jquery.comet post an empty batch, and take an error for the end.
            Err(BatchError::Empty) if source == Source::Fields => Vec::new(),
            parsed => parsed.inspect_err(|error| count(error, self.server.metrics()))?,
        };
        legacy::translate(&mut batch);
        let cookies = said.cookies(self);
        let way = Way::asked(
            &batch,
            said,
            &framing,
            &self.settings.transports,
            |message| self.server.marks_of(message),
        );
        way.check(self, said, callback.as_deref())?;
        let is_stream = !matches!(way, Way::Once);
        if !is_stream && matches!(framing, Framing::Script(_)) {
            self.check(Transport::CallbackPolling)?;
        }
        let mut stream = Stream::of_connect();
        let request = Request {
            actor: self.actor(&way, &framing, &cookies),
            is_client_gone: &|| socket.has_closed(),
            delivers_on_publish: matches!(framing, Framing::Json | Framing::Embedded),
            stream: is_stream.then_some(&mut stream),
            aside,
            needs_own_handshake: false,
        };
        let mut outcome = self.server.process(&mut batch, request, now());
        socket.note_work(outcome.work);
        legacy::remember(&batch, outcome.session.as_ref());
        let session = outcome.session.as_ref();
        let marks = session.map_or(0, |session| session.marks());
        let framing = match way {
            Way::Streamed(streamed) => Framing::Streamed(streamed.wrapping(callback, marks)),
            Way::MessageHttp(embedding) => Framing::MessageHttp(embedding),
            Way::Once => framing,
        };
        if let Some(connect) = outcome.held {
            return Ok(self.hold(connect, framing, stream, said.version()));
        }
        legacy::dress(&mut outcome.replies, &batch, marks);
        let escapes = legacy::escapes_comment_end(marks);
        let mut response = framing.response(array_of(&outcome), escapes);
        if let Some(cookie) = outcome.new_cookie {
            let value = self.settings.browser_cookie.set_cookie(&cookie.to_string());
            response = response.header("Set-Cookie", value.as_bytes());
        }
        let delay = legacy::delay(&batch, &outcome.replies).max(outcome.delay);
        if let Some(delay) = delay {
            return Ok(Answer::Delayed(response, delay));
        }
        let carried = Carried::of(outcome.session, outcome.in_flight, outcome.events);
        Ok(Answer::Now(response, carried))
    }

    /// Who sends the messages of a request.
    fn actor<'c>(&self, way: &Way, framing: &Framing, cookies: &'c [RandomId]) -> Actor<'c> {
        let is_stream = !matches!(way, Way::Once);
        Actor {
            address: None,
            cookies,
            may_be_held: true,
            lifetime: is_stream.then_some(self.streaming.lifetime),
            is_request: !matches!(framing, Framing::Embedded),
            may_publish_without_session: !matches!(framing, Framing::Script(_)),
            is_blind: way.is_blind(framing),
            ..Actor::default()
        }
    }

    fn hold(
        &self,
        connect: HeldConnect,
        framing: Framing,
        stream: Stream,
        version: Version,
    ) -> Answer {
        let framing = match framing {
            Framing::Streamed(wrapping) => {
                return streamed::open(wrapping, connect, stream, &self.streaming, version);
            }
            Framing::MessageHttp(embedding) => {
                return embedding.open(connect, stream, &self.streaming);
            }
            framing => framing,
        };
        let status = self.settings.duplicate_meta_connect_status;
        Answer::Held(Box::new(HeldPoll::new(connect, framing, status)))
    }

    pub(super) fn cookies(&self, headers: &Headers) -> Vec<RandomId> {
        let values = cookies::values(headers, &self.settings.browser_cookie.name);
        values.filter_map(|value| value.parse().ok()).collect()
    }
}

/// Counts a batch that is refused for a bound.
pub(super) fn count(error: &BatchError, metrics: &Metrics) {
    match error {
        BatchError::TooManyMessages(_) => metrics.limited(Limit::MaxBatch),
        BatchError::TooDeep(_) => metrics.limited(Limit::MaxDepth),
        BatchError::Malformed(_) | BatchError::Empty => {}
    }
}

/// Does work while the other tasks of this thread go on elsewhere.
pub(super) fn aside(work: &mut dyn FnMut()) {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}

pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
