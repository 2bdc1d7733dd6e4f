//! The connection of a response that others are embedded in.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use http::{Method, StatusCode};
use tokio::time::Sleep;

use super::embedded::Embedded;
use super::outer::OuterResponse;
use super::pending_request::PendingRequest;
use super::requests::{Fault, Inner, Next};
use crate::metrics::{Gauge, Limit, Metrics};
use crate::peer::Peer;
use crate::session::Stream;
use crate::transports::answer::{Answer, Around, Outgoing, Step, Streaming, Times};
use crate::transports::runtime::now;
use crate::transports::settings::StreamingSettings;
use crate::transports::streaming::Heartbeat;
use crate::web::{Response, Socket};

/// A response that whoever does not wait for it passes over (RFC 9110 section 15.2).
const HEARTBEAT: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// A response that others are embedded in.
#[derive(Debug)]
pub(super) struct Connection {
    outer: OuterResponse,
    /// The requests in the request's body, if it holds any.
    embedded: Option<Box<Embedded>>,
    pending: Vec<PendingRequest>,
    /// Who is at the other end, for the log.
    peer: Option<Peer>,
    /// Whose events are written.
    source: Option<usize>,
    /// The stream of no session, for when no events are written.
    none: Stream,
    settings: StreamingSettings,
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
        self.source = None;
        self.peer = Some(socket.peer());
        if around.is_stopping {
            self.embedded.iter_mut().for_each(|embedded| embedded.end());
            let pending = self.pending.iter_mut();
            pending.for_each(|pending| pending.wait().stop());
        }
        self.read(socket, &mut outgoing, context);
        self.watch_end(socket, &mut outgoing, context);
        self.advance(&mut outgoing, socket, context);
        if self.pending.is_empty() && self.has_read_all() {
            self.end(&mut outgoing);
        }
        self.keep_time(around.times, &mut outgoing, sleep, context);
        // After much work others have their turn, and there may be more to read.
        if outgoing.is_empty() && !outgoing.is_full() {
            Poll::Pending
        } else {
            Poll::Ready(outgoing)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        let pending = self.source.and_then(|at| self.pending.get_mut(at));
        pending
            .and_then(PendingRequest::stream)
            .unwrap_or(&mut self.none)
    }

    fn written(&mut self, _: bool) {
        self.heartbeat.wrote();
    }

    fn let_go(&mut self) {
        for mut pending in self.pending.drain(..) {
            pending.give_up();
        }
    }

    fn gauge<'m>(&self, metrics: &'m Metrics) -> &'m Gauge {
        &metrics.message_streams
    }
}

impl Connection {
    /// Makes one that waits for the responses to one request.
    pub(super) fn of(
        outer: OuterResponse,
        settings: StreamingSettings,
        pending: PendingRequest,
    ) -> Self {
        Self {
            pending: vec![pending],
            ..Self::new(outer, settings)
        }
    }

    /// Makes one that reads requests.
    pub(super) fn reading(
        outer: OuterResponse,
        settings: StreamingSettings,
        embedded: Embedded,
    ) -> Self {
        Self {
            embedded: Some(Box::new(embedded)),
            ..Self::new(outer, settings)
        }
    }

    fn new(outer: OuterResponse, settings: StreamingSettings) -> Self {
        Self {
            outer,
            embedded: None,
            pending: Vec::new(),
            peer: None,
            source: None,
            none: Stream::default(),
            heartbeat: Heartbeat::new(settings.heartbeat_interval),
            settings,
        }
    }

    fn has_read_all(&self) -> bool {
        self.embedded
            .as_ref()
            .is_none_or(|embedded| embedded.has_ended)
    }

    /// Reads requests, as long as the outgoing has room for their responses.
    fn read(&mut self, socket: &mut Socket, outgoing: &mut Outgoing, context: &mut Context<'_>) {
        while outgoing.goes_on()
            && self.may_read()
            && let Some(embedded) = self
                .embedded
                .as_mut()
                .filter(|embedded| !embedded.has_ended)
        {
            match embedded.next(socket) {
                Next::Request(inner) => self.answer(*inner, socket, outgoing, context),
                Next::Fault(fault) => self.refuse(fault, outgoing),
                Next::More => match socket.poll_fill(context) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => outgoing.lose(),
                    Poll::Pending => break,
                },
                Next::End => {}
            }
        }
        let arrived = socket.arrived_bytes();
        if arrived.is_empty() {
            // An empty buffer may still hold on to memory.
            *arrived = BytesMut::new();
        }
        if let Some(embedded) = &mut self.embedded
            && embedded.poll_cut(socket, context).is_ready()
        {
            embedded.metrics().limited(Limit::Memory);
            outgoing.lose();
        }
    }

    /// Tells whether what comes next need not wait for something that is pending.
    fn may_read(&mut self) -> bool {
        let mut pending = self.pending.iter_mut();
        let keeps_order = pending.any(|pending| pending.wait().keeps_order());
        !(keeps_order || self.is_full() && self.owes_answer())
    }

    /// Tells whether a request that is done waits for its answer.
    fn owes_answer(&mut self) -> bool {
        let mut pending = self.pending.iter_mut();
        pending.any(|pending| pending.wait().survives_half_close())
    }

    /// Notices that the client is gone once nothing is read of it. Before that, it has asked for all
    /// that is written.
    fn watch_end(
        &mut self,
        socket: &mut Socket,
        outgoing: &mut Outgoing,
        context: &mut Context<'_>,
    ) {
        if self.pending.is_empty() || !outgoing.goes_on() {
            return;
        }
        let is_closed = if self.has_read_all() {
            socket.poll_discard(context).is_ready()
        } else {
            !self.may_read() && socket.poll_closed(context).is_ready()
        };
        if !is_closed {
            return;
        }
        if socket.is_reset() || !self.owes_answer() {
            return outgoing.lose();
        }
        self.end_reading(outgoing);
    }

    /// Reads no more, and gives up what is pending, but for the answers to requests that are done.
    fn end_reading(&mut self, outgoing: &mut Outgoing) {
        if let Some(embedded) = &mut self.embedded {
            embedded.end();
        }
        for mut pending in std::mem::take(&mut self.pending) {
            if pending.wait().survives_half_close() {
                self.pending.push(pending);
            } else if let Some(response) = pending.give_up() {
                self.respond(&response, &pending.location, pending.omits_body, outgoing);
            }
        }
    }

    /// Has a request answered: now, or later if there is room to wait for that.
    fn answer(
        &mut self,
        inner: Inner,
        socket: &mut Socket,
        outgoing: &mut Outgoing,
        context: &mut Context<'_>,
    ) {
        let Some(embedded) = &self.embedded else {
            return;
        };
        let Inner { location, request } = inner;
        outgoing.note_read(location.len() + request.body.len());
        let omits_body = *request.method() == Method::HEAD;
        let answer = embedded.answer(request, socket);
        outgoing.note_work(socket.take_work());
        if let Some(pending) = self.take(answer, location, omits_body, outgoing) {
            self.keep(pending, outgoing, socket, context);
        }
    }

    /// Writes an answer, or returns what is to be waited for.
    fn take(
        &mut self,
        answer: Answer,
        location: Box<str>,
        omits_body: bool,
        outgoing: &mut Outgoing,
    ) -> Option<PendingRequest> {
        match answer {
            Answer::Now(response, carried) => {
                self.respond(&response, &location, omits_body, outgoing);
                outgoing.carry(carried);
                None
            }
            Answer::Later(answer) => Some(PendingRequest::new(location, omits_body, answer)),
            Answer::Stream(..) => {
                let reason = "an embedded request may not open such a stream";
                let response = Response::error(StatusCode::BAD_REQUEST, reason);
                self.respond(&response, &location, omits_body, outgoing);
                None
            }
        }
    }

    /// Keeps a request until its answer is there, if there is room for it.
    fn keep(
        &mut self,
        mut pending: PendingRequest,
        outgoing: &mut Outgoing,
        socket: &Socket,
        context: &mut Context<'_>,
    ) {
        if self.is_full() {
            // A connect has displaced another, which makes room for it.
            self.advance(outgoing, socket, context);
        }
        // What is done is to be answered, so no more is read until there is room.
        if !self.is_full() || pending.wait().survives_half_close() {
            return self.pending.push(pending);
        }
        pending.give_up();
        if let Some(embedded) = &self.embedded {
            embedded.metrics().limited(Limit::MaxEmbeddedRequests);
        }
        let response = Response::error(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
        self.respond(&response, &pending.location, pending.omits_body, outgoing);
    }

    fn is_full(&self) -> bool {
        self.embedded.is_some() && self.pending.len() >= self.settings.max_embedded_requests
    }

    /// Writes the only response to an embedded request.
    fn respond(
        &mut self,
        response: &Response,
        location: &str,
        omits_body: bool,
        outgoing: &mut Outgoing,
    ) {
        if let Some(embedded) = &self.embedded {
            let status = response.status().as_u16();
            embedded.metrics().responded(status);
            if let Some(reason) = response.reason() {
                embedded.metrics().refused(status, reason, self.peer);
            }
        }
        write(&mut self.outer, response, location, omits_body, outgoing);
    }

    /// Answers a request that is not served; after the last, what is pending is answered too.
    fn refuse(&mut self, fault: Fault, outgoing: &mut Outgoing) {
        let Some(embedded) = &mut self.embedded else {
            return;
        };
        if let Some(limit) = fault.limit {
            embedded.metrics().limited(limit);
        }
        let location = fault.location.unwrap_or_else(|| embedded.location.clone());
        let response = Response::error(fault.status, fault.reason);
        self.respond(&response, &location, false, outgoing);
        if fault.is_last {
            self.end_reading(outgoing);
        }
    }

    /// Writes what has become of what is pending.
    fn advance(&mut self, outgoing: &mut Outgoing, socket: &Socket, context: &mut Context<'_>) {
        let mut at = 0;
        while let Some(pending) = self.pending.get_mut(at).filter(|_| outgoing.goes_on()) {
            let Poll::Ready(step) = pending.wait().poll(socket, context) else {
                at += 1;
                continue;
            };
            if let Step::Next(response, events) = step {
                let (location, omits_body) = (&pending.location, pending.omits_body);
                write(&mut self.outer, &response, location, omits_body, outgoing);
                outgoing.note_all(events);
                // Others have their turn first.
                let pending = self.pending.remove(at);
                self.pending.push(pending);
                self.source = Some(self.pending.len() - 1);
                continue;
            }
            let pending = self.pending.swap_remove(at);
            match step {
                Step::Last(response, carried) => {
                    self.respond(&response, &pending.location, pending.omits_body, outgoing);
                    outgoing.carry(carried);
                }
                Step::Instead(answer) => {
                    let PendingRequest {
                        location,
                        omits_body,
                        ..
                    } = pending;
                    // There may be something to read that had to wait.
                    context.waker().wake_by_ref();
                    let next = self.take(answer, location, omits_body, outgoing);
                    self.pending.extend(next);
                }
                Step::Lost => outgoing.lose(),
                Step::End | Step::Next(..) => {}
            }
        }
    }

    /// Writes what is due, and ends what has lasted too long.
    fn keep_time(
        &mut self,
        times: &Times,
        outgoing: &mut Outgoing,
        mut sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) {
        // Events may have to go back to what this could give up: they leave first.
        while !outgoing.closes() && !outgoing.has_events() {
            let Some((due, what)) = self.next_due(times) else {
                return;
            };
            if sleep.deadline() != due.into() {
                sleep.as_mut().reset(due.into());
            }
            if sleep.as_mut().poll(context).is_pending() {
                return;
            }
            match what {
                Due::Beat => {
                    self.outer.piece(HEARTBEAT, outgoing.bytes());
                    self.heartbeat.wrote();
                }
                Due::Request => {
                    self.refuse(Fault::late(), outgoing);
                    if self.pending.is_empty() {
                        self.end(outgoing);
                    }
                }
                Due::End => self.end(outgoing),
            }
        }
    }

    fn next_due(&mut self, times: &Times) -> Option<(Instant, Due)> {
        let beat = self.heartbeat.due().map(|due| (due, Due::Beat));
        let embedded = self
            .embedded
            .as_mut()
            .filter(|embedded| !embedded.has_ended);
        let of_requests = embedded.and_then(|embedded| {
            if let Some(begun) = embedded.begun {
                return Some((begun + times.message_timeout, Due::Request));
            }
            if !self.pending.is_empty() {
                embedded.idle = None;
                return None;
            }
            let idle = *embedded.idle.get_or_insert_with(now);
            Some((idle + times.idle_timeout, Due::End))
        });
        beat.into_iter()
            .chain(of_requests)
            .min_by_key(|(due, _)| *due)
    }

    fn end(&mut self, outgoing: &mut Outgoing) {
        if !outgoing.closes() {
            self.outer.end(outgoing.bytes());
            outgoing.close();
        }
    }
}

/// What is due at a time.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// Something that means nothing, so that the client and proxies know that the stream is alive.
    Beat,
    /// The rest of a request.
    Request,
    /// The end, because nothing happens.
    End,
}

const TOO_MANY: &str = "as many embedded requests wait already as may at once \
    (streaming.max_embedded_requests)";

fn write(
    outer: &mut OuterResponse,
    response: &Response,
    location: &str,
    omits_body: bool,
    outgoing: &mut Outgoing,
) {
    let mut embedded = Vec::new();
    response.embed(location, omits_body, &mut embedded);
    outer.piece(&embedded, outgoing.bytes());
}
