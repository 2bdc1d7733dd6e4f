//! message-http: whole HTTP responses in a response of type `message/http` (RFC 9112 section 10.1).
//!
//! A connect may ask for it, whose events then come in responses of their own; and a request for a
//! resource's changes. And a request may be of that type itself: the requests in its body are
//! answered in its response as they come, in any order. All three are one connection: a list of what
//! is pending, to which the last adds.

mod asked;
mod inward;
mod outgoing;
mod pending;
mod requests;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use http::{Method, StatusCode};
use tokio::time::Sleep;

pub use self::asked::is_message_http;
pub(super) use self::asked::{Embedding, is_accepted, is_asked, watch};
use self::inward::Inward;
pub use self::inward::expects_continue;
pub use self::requests::Bounds;

use self::outgoing::Outgoing;
use self::pending::{Pending, Step, What};
use self::requests::{Fault, Inner, Next};
use super::exchange::now;
use super::settings::StreamingSettings;
use super::streaming::{self, Around, Streaming};
use super::turn::Turn;
use super::{Answer, Link, Opened, Times};
use crate::metrics::Limit;
use crate::session::Stream;
use crate::web::{Response, Socket};

/// A response that whoever does not wait for it passes over (RFC 9110 section 15.2).
const HEARTBEAT: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";

/// A response that others are embedded in.
#[derive(Debug)]
pub struct Connection {
    outgoing: Outgoing,
    /// The requests in the request's body, if it holds any.
    inward: Option<Box<Inward>>,
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
        if around.is_stopping {
            self.inward.iter_mut().for_each(|inward| inward.end());
            self.pending.iter_mut().for_each(Pending::stop);
        }
        self.read(socket, &mut turn, context);
        self.watch_end(socket, &mut turn, context);
        self.advance(&mut turn, socket, context);
        if self.pending.is_empty() && self.has_read_all() {
            self.end(&mut turn);
        }
        self.keep_time(around.times, &mut turn, sleep, context);
        // After much work others have their turn, and there may be more to read.
        if turn.is_empty() && !turn.is_full() {
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
        for mut pending in self.pending.drain(..) {
            pending.give_up();
        }
    }
}

impl Connection {
    fn new(outgoing: Outgoing, settings: StreamingSettings) -> Self {
        Self {
            outgoing,
            inward: None,
            pending: Vec::new(),
            source: None,
            none: Stream::default(),
            settings,
            wrote: now(),
        }
    }

    /// Serves the connection to its end.
    pub(super) fn run(
        self: Box<Self>,
        socket: Socket,
        link: Link,
    ) -> impl Future<Output = ()> + Send {
        streaming::run(self, socket, link, |metrics| &metrics.message_streams)
    }

    fn has_read_all(&self) -> bool {
        self.inward.as_ref().is_none_or(|inward| inward.has_ended)
    }

    /// Reads requests, as long as the turn has room for their responses.
    fn read(&mut self, socket: &mut Socket, turn: &mut Turn, context: &mut Context<'_>) {
        while turn.goes_on()
            && let Some(inward) = self.inward.as_mut().filter(|inward| !inward.has_ended)
        {
            match inward.next(socket) {
                Next::Request(inner) => {
                    let Inner { location, request } = *inner;
                    turn.note_read(location.len() + request.body.len());
                    let omits_body = *request.method() == Method::HEAD;
                    let answer = inward.serve(request, socket);
                    turn.note_work(socket.take_work());
                    if let Some(what) = self.take(answer, &location, omits_body, turn) {
                        let pending = Pending::new(location, omits_body, what);
                        self.keep(pending, turn, socket, context);
                    }
                }
                Next::Fault(fault) => self.refuse(fault, turn),
                Next::More => match socket.poll_fill(context) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => turn.lose(),
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
    }

    /// Notices that the client is gone once nothing is read of it. Before that, it has asked for all
    /// that is written.
    fn watch_end(&mut self, socket: &mut Socket, turn: &mut Turn, context: &mut Context<'_>) {
        let is_watched = self.has_read_all() && !self.pending.is_empty() && turn.goes_on();
        if is_watched && socket.poll_discard(context).is_ready() {
            turn.lose();
        }
    }

    /// Writes the answer to an embedded request, or returns what to wait for.
    fn take(
        &mut self,
        answer: Answer,
        location: &str,
        omits_body: bool,
        turn: &mut Turn,
    ) -> Option<What> {
        Some(match answer {
            Answer::Now(response, carried) => {
                self.respond(&response, location, omits_body, turn);
                turn.carry(carried);
                return None;
            }
            Answer::Held(held) => What::Poll(held),
            Answer::Waiting(waiting) => What::Waiting(waiting),
            Answer::Delayed(response, delay) => {
                What::Delayed(Some(response), Box::pin(tokio::time::sleep(delay)))
            }
            Answer::Open(_, Opened::MessageHttp(mut connection)) => connection.pending.pop()?.what,
            Answer::Open(..) => {
                let reason = "an embedded request may not open such a stream";
                let response = Response::error(StatusCode::BAD_REQUEST, reason);
                self.respond(&response, location, omits_body, turn);
                return None;
            }
        })
    }

    /// Keeps a request until its answer is there, if there is room for it.
    fn keep(
        &mut self,
        mut pending: Pending,
        turn: &mut Turn,
        socket: &Socket,
        context: &mut Context<'_>,
    ) {
        if self.is_full() {
            // A connect has displaced another, which makes room for it.
            self.advance(turn, socket, context);
        }
        if !self.is_full() {
            return self.pending.push(pending);
        }
        pending.give_up();
        if let Some(inward) = &self.inward {
            inward.metrics().limited(Limit::MaxEmbeddedRequests);
        }
        let response = Response::error(StatusCode::SERVICE_UNAVAILABLE, TOO_MANY);
        self.respond(&response, &pending.location, pending.omits_body, turn);
    }

    fn is_full(&self) -> bool {
        let max = self.inward.as_ref().map(|inward| inward.max_pending());
        self.pending.len() >= max.unwrap_or(1)
    }

    /// Writes the only response to an embedded request.
    fn respond(&mut self, response: &Response, location: &str, omits_body: bool, turn: &mut Turn) {
        if let Some(inward) = &self.inward {
            let status = response.status().as_u16();
            inward.metrics().responded(status);
            if let Some(reason) = response.reason() {
                inward.metrics().refused(status, reason, None);
            }
        }
        write(&mut self.outgoing, response, location, omits_body, turn);
    }

    /// Answers a request that is not served; after the last, what is pending is answered too.
    fn refuse(&mut self, fault: Fault, turn: &mut Turn) {
        let Some(inward) = &mut self.inward else {
            return;
        };
        if let Some(limit) = fault.limit {
            inward.metrics().limited(limit);
        }
        let location = fault.location.unwrap_or_else(|| inward.location.clone());
        let response = Response::error(fault.status, fault.reason);
        self.respond(&response, &location, false, turn);
        if !fault.is_last {
            return;
        }
        if let Some(inward) = &mut self.inward {
            inward.end();
        }
        for mut pending in std::mem::take(&mut self.pending) {
            if let Some(response) = pending.give_up() {
                self.respond(&response, &pending.location, pending.omits_body, turn);
            }
        }
    }

    /// Writes what has become of what is pending.
    fn advance(&mut self, turn: &mut Turn, socket: &Socket, context: &mut Context<'_>) {
        let mut at = 0;
        while let Some(pending) = self.pending.get_mut(at).filter(|_| turn.goes_on()) {
            let Poll::Ready(step) = pending.poll(socket, context) else {
                at += 1;
                continue;
            };
            if let Step::Next(response, events) = step {
                let (location, omits_body) = (&pending.location, pending.omits_body);
                write(&mut self.outgoing, &response, location, omits_body, turn);
                turn.note_all(events);
                // Others have their turn first.
                let pending = self.pending.remove(at);
                self.pending.push(pending);
                self.source = Some(self.pending.len() - 1);
                continue;
            }
            let pending = self.pending.swap_remove(at);
            match step {
                Step::Last(response, carried) => {
                    self.respond(&response, &pending.location, pending.omits_body, turn);
                    turn.carry(carried);
                }
                Step::Lost => turn.lose(),
                Step::End | Step::Next(..) => {}
            }
        }
    }

    /// Writes what is due, and ends what has lasted too long.
    fn keep_time(
        &mut self,
        times: &Times,
        turn: &mut Turn,
        mut sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) {
        // Events may have to go back to what this could give up: they leave first.
        while !turn.closes() && !turn.has_events() {
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
                    self.outgoing.piece(HEARTBEAT, turn.bytes());
                    self.wrote = now();
                }
                Due::Request => {
                    self.refuse(Fault::late(), turn);
                    self.end(turn);
                }
                Due::End => self.end(turn),
            }
        }
    }

    fn next_due(&mut self, times: &Times) -> Option<(Instant, Due)> {
        let interval = self.settings.heartbeat_interval;
        let beat = (!interval.is_zero()).then(|| (self.wrote + interval, Due::Beat));
        let inward = self.inward.as_mut().filter(|inward| !inward.has_ended);
        let of_requests = inward.and_then(|inward| {
            if let Some(begun) = inward.begun {
                return Some((begun + times.message_timeout, Due::Request));
            }
            if !self.pending.is_empty() {
                inward.idle = None;
                return None;
            }
            let idle = *inward.idle.get_or_insert_with(now);
            Some((idle + times.idle_timeout, Due::End))
        });
        beat.into_iter()
            .chain(of_requests)
            .min_by_key(|(due, _)| *due)
    }

    fn end(&mut self, turn: &mut Turn) {
        if !turn.closes() {
            self.outgoing.end(turn.bytes());
            turn.close();
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
    outgoing: &mut Outgoing,
    response: &Response,
    location: &str,
    omits_body: bool,
    turn: &mut Turn,
) {
    let mut embedded = Vec::new();
    response.embed(location, omits_body, &mut embedded);
    outgoing.piece(&embedded, turn.bytes());
}
