//! One request's messages to the server and back, the same for every polling transport.

use bytes::Bytes;

use super::format::Format;
use super::held_poll::HeldPoll;
use crate::bayeux::{BatchError, Message};
use crate::server::{Actor, HeldConnect, Request, Verdicts};
use crate::session::Stream;
use crate::transports::answer::{Answer, Carried, Delay};
use crate::transports::arrays::{array_of, parse};
use crate::transports::endpoint::Endpoint;
use crate::transports::error::Error;
use crate::transports::gate::Decision;
use crate::transports::legacy;
use crate::transports::message_http::{self, ConnectResponses};
use crate::transports::runtime::{aside, now};
use crate::transports::settings::Transport;
use crate::transports::streaming::{self, StreamKind};
use crate::web::{Response, Socket, script};

/// The messages of a request, and how it is answered if they do not ask for something else.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) texts: Vec<Bytes>,
    pub(super) source: Source,
    /// The function that is to be called with the replies, if the request names one.
    pub(super) callback: Option<Box<str>>,
    pub(super) format: Format,
}

/// Where the messages of a request stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// They were the body.
    Body,
    /// They were fields of a form or a query.
    Fields,
}

/// How a request's messages are answered, as its connect and its head ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By one response.
    Once,
    /// By a stream.
    Streamed(StreamKind),
    /// By responses in a response.
    Responses,
}

impl Way {
    fn asked(
        batch: &[Message<'_>],
        decision: &Decision<'_>,
        format: &Format,
        endpoint: &Endpoint,
    ) -> Self {
        let has_responses = endpoint.gate.is_on(Transport::MessageHttp)
            && matches!(format, Format::Json | Format::Embedded)
            && message_http::is_asked(batch, decision);
        if has_responses {
            return Self::Responses;
        }
        let marks_of = |message: &Message<'_>| endpoint.server.marks_of(message);
        match StreamKind::asked(batch, endpoint.gate.transports(), marks_of) {
            Some(kind) if !format.is_embedded() => Self::Streamed(kind),
            _ => Self::Once,
        }
    }

    /// A frame is a page of scripts, which call one function of the page that has it.
    fn check(
        self,
        endpoint: &Endpoint,
        decision: &Decision<'_>,
        callback: Option<&str>,
    ) -> Result<(), Error> {
        if self != Self::Streamed(StreamKind::Iframe) {
            return Ok(());
        }
        endpoint.check_script(decision)?;
        if callback.is_some_and(|name| !script::is_identifier(name)) {
            return Err(Error::FrameCallback);
        }
        Ok(())
    }

    /// Tells whether its clients do not see that nothing listens any more: what a page loads for its
    /// scripts fails without a word, in many browsers and for most clients.
    fn is_blind(self, format: &Format) -> bool {
        match self {
            Self::Once => matches!(format, Format::Script(_)),
            Self::Streamed(kind) => kind == StreamKind::Iframe,
            Self::Responses => false,
        }
    }
}

impl Exchange {
    /// Answers the messages, or holds their connect.
    pub(super) fn answer(
        self,
        endpoint: &Endpoint,
        decision: &Decision<'_>,
        socket: &Socket,
    ) -> Result<Answer, Error> {
        let Self {
            texts,
            source,
            callback,
            format,
        } = self;
        let texts = match source {
            Source::Body => texts,
            Source::Fields => legacy::in_utf8(texts),
        };
        let mut batch = match parse(&texts, &endpoint.server) {
            // Two variants of jquery.comet post an empty batch, and take an error for the end.
            Err(BatchError::Empty) if source == Source::Fields => Vec::new(),
            parsed => parsed?,
        };
        legacy::translate(&mut batch);
        let way = Way::asked(&batch, decision, &format, endpoint);
        way.check(endpoint, decision, callback.as_deref())?;
        let is_stream = way != Way::Once;
        if !is_stream && matches!(format, Format::Script(_)) {
            endpoint.gate.check(Transport::CallbackPolling)?;
        }
        let mut stream = Stream::of_connect();
        let request = Request {
            actor: Actor {
                address: socket.peer().ip(),
                cookies: &decision.cookies,
                may_be_held: true,
                lifetime: is_stream.then_some(endpoint.streaming.lifetime),
                is_request: !format.is_embedded(),
                may_publish_without_session: !matches!(format, Format::Script(_)),
                is_blind: way.is_blind(&format),
                ..Actor::default()
            },
            is_client_gone: &|| socket.has_closed(),
            delivers_on_publish: matches!(format, Format::Json | Format::Embedded),
            stream: is_stream.then_some(&mut stream),
            aside,
            needs_own_handshake: false,
            admitted: Verdicts::default(),
        };
        let mut outcome = endpoint.server.process(&mut batch, request, now());
        socket.note_work(outcome.work);
        legacy::remember(&batch, outcome.session.as_ref());
        let session = outcome.session.as_ref();
        let marks = session.map_or(0, |session| session.marks());
        let replier = Replier {
            endpoint,
            decision,
            way,
            format: match way {
                Way::Streamed(kind) => Format::Streamed(kind.wrapping(callback, marks)),
                Way::Once | Way::Responses => format,
            },
        };
        if let Some(connect) = outcome.held {
            return Ok(replier.hold(connect, stream));
        }
        legacy::dress(&mut outcome.replies, &batch, marks);
        let mut response = replier.response(array_of(&outcome), marks);
        if let Some(cookie) = outcome.new_cookie {
            let settings = &endpoint.settings.browser_cookie;
            let value = settings.set_cookie(&cookie.to_string());
            response = response.header("Set-Cookie", value.as_bytes());
        }
        let delay = legacy::delay(&batch, &outcome.replies).max(outcome.delay);
        if let Some(delay) = delay {
            return Ok(Answer::later(Delay::new(response, delay)));
        }
        let carried = Carried::of(outcome.session, outcome.in_flight, outcome.events);
        Ok(Answer::Now(response, carried))
    }
}

/// What replies are made into.
struct Replier<'r> {
    endpoint: &'r Endpoint,
    decision: &'r Decision<'r>,
    way: Way,
    format: Format,
}

impl Replier<'_> {
    fn response(&self, json: Vec<u8>, marks: u8) -> Response {
        let escapes = legacy::escapes_comment_end(marks);
        match self.way {
            Way::Responses if escapes => {
                let json = script::escape_comment_end(&json).into_owned();
                message_http::whole(self.decision, json)
            }
            Way::Responses => message_http::whole(self.decision, json),
            Way::Once | Way::Streamed(_) => self.format.response(json, escapes),
        }
    }

    fn hold(self, connect: HeldConnect, stream: Stream) -> Answer {
        let settings = &self.endpoint.streaming;
        let version = self.decision.persistence.version;
        match (self.way, self.format) {
            (Way::Responses, _) => {
                let responses = ConnectResponses::new(connect, stream);
                if self.decision.is_embedded {
                    Answer::later(responses)
                } else {
                    message_http::open(self.decision, responses, settings)
                }
            }
            (_, Format::Streamed(wrapping)) => {
                streaming::open(wrapping, connect, stream, settings, version)
            }
            (_, format) => {
                let status = self.endpoint.settings.duplicate_meta_connect_status;
                Answer::later(HeldPoll::new(connect, format, status))
            }
        }
    }
}
