//! One request's messages to the server and back, the same for every polling transport.

use std::sync::Arc;

use bytes::Bytes;

use super::format::Format;
use super::replier::Replier;
use super::way::Way;
use crate::bayeux::{BatchError, Message};
use crate::server::{Actor, Admission, Request, Settlement, Verdicts};
use crate::session::Stream;
use crate::transports::answer::{Answer, Deferred};
use crate::transports::arrays::parse;
use crate::transports::endpoint::Endpoint;
use crate::transports::error::Error;
use crate::transports::gate::Decision;
use crate::transports::legacy;
use crate::transports::passing::{self, Messages};
use crate::transports::runtime::{aside, now};
use crate::transports::settings::Transport;
use crate::web::{Response, Socket};

/// The messages of a request, and how it is answered if they do not ask for something else.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) texts: Vec<Bytes>,
    pub(super) source: Source,
    /// The function that is to be called with the replies, if the request names one.
    pub(super) callback: Option<Box<str>>,
    pub(super) format: Format,
    /// Whether it is answered here if its session is at another node.
    pub(super) place: Place,
}

/// Whether a request is answered here if its session is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is passed on.
    Edge,
    /// It is: its session was looked for. These are the marks of that, as far as another node has told them.
    Settled(u8),
    /// It was passed on, and goes back.
    Owner,
}

/// Where the messages of a request stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// They were the body.
    Body,
    /// They were fields of a form or a query.
    Fields,
}

impl Exchange {
    pub(super) fn new(
        texts: Vec<Bytes>,
        source: Source,
        callback: Option<Box<str>>,
        format: Format,
    ) -> Self {
        Self {
            texts,
            source,
            callback,
            format,
            place: Place::Edge,
        }
    }

    /// Answers the messages, or holds their connect; now, or after what the extensions let them wait for.
    pub(super) fn answer(
        mut self,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
        socket: &Socket,
    ) -> Result<Answer, Error> {
        if self.source == Source::Fields {
            self.texts = legacy::in_utf8(self.texts);
        }
        self.run(endpoint, decision, socket, Verdicts::default())
    }

    /// Does so with verdicts on the messages, as far as they have waited before they are processed.
    pub(super) fn run(
        self,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
        socket: &Socket,
        verdicts: Verdicts,
    ) -> Result<Answer, Error> {
        let mut batch = self.parse(endpoint)?;
        let marks_of = |message: &Message<'_>| match self.place {
            Place::Settled(marks) if marks != 0 => marks,
            _ => endpoint.server.marks_of(message),
        };
        let way = Way::asked(&batch, decision, &self.format, endpoint, marks_of);
        if let Some(absent) = endpoint.server.absent(&batch) {
            match (self.place, &endpoint.wire) {
                (Place::Owner, _) => {
                    drop(batch);
                    return Ok(self.not_here(absent, endpoint, decision));
                }
                (Place::Edge, Some(wire)) if way == Way::Once => {
                    let messages = Messages::of(&batch);
                    drop(batch);
                    return Ok(self.pass_on(absent, messages, endpoint, wire, decision, socket));
                }
                (Place::Edge | Place::Settled(_), _) => {}
            }
        }
        if self.place == Place::Owner && way != Way::Once {
            let marks = batch
                .first()
                .map(|message| endpoint.server.marks_of(message));
            return Ok(passing::streams(marks.unwrap_or_default()).into());
        }
        way.check(endpoint, decision, self.callback.as_deref())?;
        let is_stream = way != Way::Once;
        if !is_stream && matches!(self.format, Format::Script(_)) {
            endpoint.gate.check(Transport::CallbackPolling)?;
        }
        let mut stream = Stream::of_connect();
        let is_client_gone = || socket.has_closed();
        let mut request = Request {
            actor: self.actor(way, endpoint, decision, socket),
            is_client_gone: &is_client_gone,
            delivers_on_publish: matches!(self.format, Format::Json | Format::Embedded),
            stream: is_stream.then_some(&mut stream),
            aside,
            needs_own_handshake: false,
            admitted: verdicts,
        };
        if let Some(admission) = endpoint.server.admission(&batch, &mut request, now()) {
            drop(batch);
            return Ok(self.after(admission, endpoint, decision));
        }
        let mut outcome = endpoint.server.process(&mut batch, request, now());
        socket.note_work(outcome.work);
        legacy::remember(&batch, outcome.session.as_ref());
        if let Some(settlement) = outcome.unsettled.take() {
            drop((batch, outcome));
            return Ok(self.when(*settlement, way, endpoint, decision));
        }
        let replier = Replier {
            endpoint,
            decision,
            way,
        };
        Ok(match outcome.held.take() {
            Some(connect) => {
                drop((batch, outcome));
                replier.hold(connect, stream, self.format, self.callback.as_deref())
            }
            None => replier.answer(&batch, outcome, &self.format, self.callback.as_deref()),
        })
    }

    /// Answers the messages after their admission.
    fn after(
        self,
        admission: Admission,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
    ) -> Answer {
        let endpoint = Arc::clone(endpoint);
        let decision = decision.clone().into_owned();
        Answer::later(Deferred::before(admission, move |verdicts, socket| {
            self.run(&endpoint, &decision, socket, verdicts)
                .unwrap_or_else(|error| Response::from(error).into())
                .shared(&decision)
        }))
    }

    /// Lets the replies leave when they may.
    fn when(
        self,
        settlement: Settlement,
        way: Way,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
    ) -> Answer {
        let endpoint = Arc::clone(endpoint);
        let decision = decision.clone().into_owned();
        Answer::later(Deferred::after(
            settlement,
            move |settled, socket: &Socket| {
                let is_client_gone = || socket.has_closed();
                let outcome = endpoint
                    .server
                    .conclude(settled, &is_client_gone, None, now());
                let replier = Replier {
                    endpoint: &endpoint,
                    decision: &decision,
                    way,
                };
                // It was parsed before.
                let batch = self.parse(&endpoint).unwrap_or_default();
                replier
                    .answer(&batch, outcome, &self.format, self.callback.as_deref())
                    .shared(&decision)
            },
        ))
    }

    /// Parses the messages, and gives those of old protocols their meaning in this one.
    pub(super) fn parse(&self, endpoint: &Endpoint) -> Result<Vec<Message<'_>>, Error> {
        let mut batch = match parse(&self.texts, &endpoint.server) {
            // Two variants of jquery.comet post an empty batch, and take an error for the end.
            Err(BatchError::Empty) if self.source == Source::Fields => Vec::new(),
            parsed => parsed?,
        };
        legacy::translate(&mut batch);
        Ok(batch)
    }

    fn actor<'d>(
        &self,
        way: Way,
        endpoint: &Endpoint,
        decision: &'d Decision<'_>,
        socket: &Socket,
    ) -> Actor<'d> {
        Actor {
            address: socket.peer().ip(),
            shown: decision.shown.as_ref(),
            transport: Some(way.transport(&self.format)),
            cookies: &decision.cookies,
            may_be_held: true,
            lifetime: (way != Way::Once).then_some(endpoint.streaming.lifetime),
            is_request: !self.format.is_embedded(),
            by_http2: decision.is_http2(),
            may_publish_without_session: !matches!(self.format, Format::Script(_)),
            is_blind: way.is_blind(&self.format),
            ..Actor::default()
        }
    }
}
