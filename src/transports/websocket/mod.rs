//! websocket: one connection for all messages, both ways; events leave in frames of their own.
//!
//! Not in the specification; as CometD and Faye speak it. A frame holds an array of messages, or one
//! message. A connect is held for its own sake: it is answered at its timeout, while events leave by
//! the session's stream. A turn reads what has arrived, answers it, and adds the events that are
//! there: replies come first, so a flood of events does not hold them back.

mod clock;
mod frames;
mod waiting;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Sleep;

use self::clock::{Clock, Due};
use self::frames::{Frames, close, frame};
use self::waiting::Waiting;
use super::answer::{Answer, Around, Carried, MAX_WRITE, Outgoing, Streaming, Times};
use super::arrays::{array, array_of, parse};
use super::endpoint::Endpoint;
use super::gate::Decision;
use super::runtime::{aside, now};
use crate::bayeux::{BatchError, BayeuxError, RandomId, Reply, Transport};
use crate::memory::{Charge, Kind};
use crate::metrics::{Gauge, Limit, Metrics, Notice};
use crate::pause::was_paused;
use crate::server::{Actor, BayeuxServer, HeldConnect, Outcome, Request, Verdicts};
use crate::session::{EndReason, Resume, Stream, StreamStep};
use crate::web::websocket::{self, CloseCode, FrameKind, Reader, Side, UpgradeError};
use crate::web::{Head, Socket};

/// Why a socket is closed whose session goes on elsewhere.
const DISPLACED: &str = "another connection took the session over";
/// The same, if that is another node of the cluster.
const MOVED: &str = "the session goes on at another node";

/// Accepts an upgrade.
///
/// # Errors
/// It is none.
pub fn serve(
    endpoint: &Endpoint,
    decision: &Decision<'_>,
    head: &Head,
) -> Result<Answer, UpgradeError> {
    let settings = &endpoint.websocket;
    let accepted = websocket::accept(&head.headers, settings.permessage_deflate)?;
    let max = endpoint.server.terms().limits.max_message_size.as_u64();
    let max = usize::try_from(max).unwrap_or(usize::MAX);
    let connection = Box::new(Connection {
        server: Arc::clone(&endpoint.server),
        ping_interval: settings.ping_interval,
        needs_own_handshake: settings.require_handshake_per_connection,
        frames: Frames {
            deflates_from: if accepted.deflates {
                settings.deflate_threshold.as_u64()
            } else {
                u64::MAX
            },
        },
        reader: Reader::new(Side::Server, accepted.deflates, max),
        cookies: decision.cookies.clone(),
        stream: Stream::opened(now()),
        held: None,
        waiting: decision.shown.clone().map(Waiting::of),
        clock: Clock::new(now()),
        partial: None,
    });
    Ok(Answer::Stream(accepted.response, connection))
}

/// A WebSocket, and whose it is.
#[derive(Debug)]
struct Connection {
    server: Arc<BayeuxServer>,
    ping_interval: Duration,
    /// It serves only the session whose handshake came by it.
    needs_own_handshake: bool,
    frames: Frames,
    reader: Reader,
    /// The browser cookies of the upgrade.
    cookies: Box<[RandomId]>,
    /// Dropped before the stream, so that it counts as lost and not as resumed.
    held: Option<HeldConnect>,
    stream: Stream,
    /// Nothing until the first batch has to wait, if its head shows nothing.
    waiting: Option<Box<Waiting>>,
    clock: Clock,
    /// What of a message has come that is not whole, or not read yet.
    partial: Option<Box<Charge>>,
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
        if around.is_stopping {
            if let Some(session) = self.stream.session() {
                session.stop_holding();
            }
        } else {
            self.read(socket, &mut outgoing, context);
        }
        self.go_on(socket, &mut outgoing, context);
        self.watch_end(socket, around.is_stopping, &mut outgoing, context);
        self.count_partial(socket, &mut outgoing, context);
        if outgoing.is_lost() {
            return Poll::Ready(outgoing);
        }
        self.resume(&mut outgoing, context);
        self.stream_events(&mut outgoing, context);
        if around.is_stopping && !outgoing.has_events() && !self.has_waiting() {
            close(&mut outgoing, CloseCode::Away, "the server stops");
        }
        self.keep_time(around.times, socket, &mut outgoing, sleep, context);
        // After much work others have their turn, and there may be more to read.
        if outgoing.is_empty() && !outgoing.is_full() {
            Poll::Pending
        } else {
            Poll::Ready(outgoing)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn written(&mut self, had_to_wait: bool) {
        if had_to_wait {
            // The client reads: a ping behind all that may have waited long for its answer.
            self.clock.hear(now());
        }
    }

    fn let_go(&mut self) {
        if let Some(mut held) = self.held.take() {
            held.release(now());
        }
        self.stream = Stream::default();
    }

    fn gauge<'m>(&self, metrics: &'m Metrics) -> &'m Gauge {
        &metrics.websockets
    }
}

impl Connection {
    /// Goes on with the batches that have waited; those that came behind them are read later.
    fn go_on(&mut self, socket: &mut Socket, outgoing: &mut Outgoing, context: &mut Context<'_>) {
        while outgoing.goes_on()
            && let Some(waiting) = &mut self.waiting
        {
            if let Some(settled) = waiting.settled(context) {
                let is_client_gone = || socket.has_closed();
                let stream = Some(&mut self.stream);
                let outcome = self
                    .server
                    .conclude(settled, &is_client_gone, stream, now());
                self.finish(outcome, outgoing);
                context.waker().wake_by_ref();
            } else if let Some((text, verdicts)) = waiting.admitted(context) {
                self.process(text, verdicts, socket, outgoing);
                // Meanwhile its client may have sent what shows that it is there, and more to read.
                self.clock.hear(now());
                context.waker().wake_by_ref();
            } else {
                break;
            }
        }
    }

    /// Notices that the client is gone while nothing is read of it, because something waits.
    fn watch_end(
        &self,
        socket: &mut Socket,
        is_stopping: bool,
        outgoing: &mut Outgoing,
        context: &mut Context<'_>,
    ) {
        let is_unread = !self.may_read() || is_stopping && self.has_waiting();
        if is_unread && socket.poll_closed(context).is_ready() {
            outgoing.lose();
        }
    }

    /// Counts what has come of messages that are not read yet; it has to go if there is no memory for it.
    fn count_partial(
        &mut self,
        socket: &Socket,
        outgoing: &mut Outgoing,
        context: &mut Context<'_>,
    ) {
        let bytes = socket.memory() + self.reader.memory();
        if bytes == 0 {
            self.partial = None;
            return;
        }
        let memory = &self.server.metrics().memory;
        let new = || Box::new(Charge::new(memory, Kind::Requests, 0));
        let partial = self.partial.get_or_insert_with(new);
        partial.set(bytes);
        if !partial.may_grow() || partial.poll_cut(context).is_ready() {
            self.server.metrics().limited(Limit::Memory);
            let reason = "the server has no memory left for the message (memory.budget)";
            self.refuse(CloseCode::Again, reason, socket, outgoing);
        }
    }

    fn may_read(&self) -> bool {
        self.waiting
            .as_ref()
            .is_none_or(|waiting| waiting.may_read())
    }

    fn has_waiting(&self) -> bool {
        self.waiting
            .as_ref()
            .is_some_and(|waiting| !waiting.is_empty())
    }

    /// Reads what has arrived, as long as there is room for answers.
    fn read(&mut self, socket: &mut Socket, outgoing: &mut Outgoing, context: &mut Context<'_>) {
        let mut has_message = false;
        while outgoing.goes_on() && !self.clock.rests() && self.may_read() {
            match self.reader.next(socket.arrived_bytes()) {
                Ok(Some(incoming)) => {
                    has_message = true;
                    self.take(incoming, socket, outgoing);
                }
                Ok(None) => match socket.poll_fill(context) {
                    Poll::Ready(true) => self.clock.hear(now()),
                    Poll::Ready(false) => outgoing.lose(),
                    Poll::Pending => break,
                },
                Err(failure) => {
                    if failure.code == CloseCode::Size {
                        self.server.metrics().limited(Limit::MaxMessageSize);
                    }
                    self.refuse(failure.code, failure.reason, socket, outgoing);
                }
            }
        }
        let arrived = socket.arrived_bytes();
        if arrived.is_empty() {
            // An empty buffer may still hold on to memory.
            *arrived = BytesMut::new();
        }
        // What is not read may have arrived whole.
        let is_partial = !arrived.is_empty() || self.reader.is_within_message();
        let is_partial = is_partial && self.may_read();
        self.clock.arrive(is_partial, has_message, now());
    }

    fn take(&mut self, incoming: websocket::Incoming, socket: &Socket, outgoing: &mut Outgoing) {
        match incoming {
            websocket::Incoming::Text(text) => self.answer(text, socket, outgoing),
            websocket::Incoming::Binary(_) => {
                let reason = "messages are JSON in text frames";
                self.refuse(CloseCode::Unsupported, reason, socket, outgoing);
            }
            websocket::Incoming::Ping(payload) => frame(outgoing, FrameKind::Pong, &payload),
            websocket::Incoming::Pong => {}
            websocket::Incoming::Close(code) => {
                close(outgoing, code.unwrap_or(CloseCode::Normal), "");
            }
        }
    }

    fn answer(&mut self, text: Bytes, socket: &Socket, outgoing: &mut Outgoing) {
        outgoing.note_read(text.len());
        self.process(text, Verdicts::default(), socket, outgoing);
    }

    /// Processes a batch, with verdicts on its messages as far as they have waited before.
    fn process(
        &mut self,
        text: Bytes,
        verdicts: Verdicts,
        socket: &Socket,
        outgoing: &mut Outgoing,
    ) {
        if self.stream.is_displaced() {
            return close(outgoing, CloseCode::Normal, DISPLACED);
        }
        let texts = [text];
        let mut batch = match parse(&texts, &self.server) {
            Ok(batch) => batch,
            // Faye's clients of 2014 see by this that the connection is alive.
            Err(BatchError::Empty) => return frame(outgoing, FrameKind::Text, b"[]"),
            Err(error) => {
                return self.refuse(CloseCode::Policy, &error.to_string(), socket, outgoing);
            }
        };
        let is_client_gone = || socket.has_closed();
        let mut request = Request {
            actor: Actor {
                address: socket.peer().ip(),
                shown: self.waiting.as_ref().and_then(|waiting| waiting.shown()),
                transport: Some(Transport::WebSocket),
                cookies: &self.cookies,
                may_be_held: true,
                may_publish_without_session: true,
                ..Actor::default()
            },
            is_client_gone: &is_client_gone,
            delivers_on_publish: false,
            stream: Some(&mut self.stream),
            aside,
            needs_own_handshake: self.needs_own_handshake,
            admitted: verdicts,
        };
        if let Some(admission) = self.server.admission(&batch, &mut request, now()) {
            drop(batch);
            let [text] = texts;
            return self.waiting().admit(admission, text);
        }
        let outcome = self.server.process(&mut batch, request, now());
        self.finish(outcome, outgoing);
    }

    /// Tells whether the head of the upgrade shows who its client is.
    fn shows(&self) -> bool {
        let shown = self.waiting.as_ref().and_then(|waiting| waiting.shown());
        shown.is_some_and(|shown| shown.token.is_some())
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// Answers a batch that was processed.
    fn finish(&mut self, mut outcome: Outcome<'_>, outgoing: &mut Outgoing) {
        if let Some(settlement) = outcome.unsettled.take() {
            self.waiting().settle(*settlement);
        }
        outgoing.note_work(outcome.work);
        let is_other =
            |held: &mut HeldConnect| outcome.held.is_some() || !self.stream.is_of(held.session());
        if let Some(displaced) = self.held.take_if(is_other) {
            let reply = displaced.reply().failed(BayeuxError::ConnectDisplaced);
            self.reply(outgoing, reply);
        }
        if let Some(delay) = outcome.delay {
            // The next message is late instead of this reply, which nothing has to keep so.
            self.clock.rest(now() + delay);
        }
        if outcome.held.is_some() {
            self.held = outcome.held.take();
        }
        if !outcome.replies.is_empty() {
            let json = array_of(&outcome);
            let carried = Carried::of(None, outcome.in_flight, outcome.events);
            self.frames.replies(outgoing, &json, carried);
        }
    }

    /// Closes the socket for what its client did, and logs it.
    fn refuse(&self, code: CloseCode, reason: &str, socket: &Socket, outgoing: &mut Outgoing) {
        if let Some(permit) = self.server.metrics().may_log(Notice::Socket) {
            tracing::info!(
                remote = %socket.peer(),
                ?code,
                suppressed = permit.suppressed,
                "a WebSocket was closed: {reason}"
            );
        }
        close(outgoing, code, reason);
    }

    fn reply(&self, outgoing: &mut Outgoing, reply: Reply<'_>) {
        self.frames.replies(outgoing, &array(&[], &[reply]), None);
    }

    /// Answers the held connect if that was resumed.
    fn resume(&mut self, outgoing: &mut Outgoing, context: &mut Context<'_>) {
        let Some(held) = &mut self.held else { return };
        let Poll::Ready(resume) = held.poll_resumed(now, context) else {
            return;
        };
        let Some(held) = self.held.take() else { return };
        match held.answer(resume) {
            Some((taken, reply)) => {
                let json = array(&taken.events, &[reply]);
                let carried = Carried::of(None, taken.in_flight, taken.events);
                self.frames.replies(outgoing, &json, carried);
            }
            // A connect by another connection did it, which may be this client's or not.
            None => {
                debug_assert_eq!(resume, Resume::Displaced);
                let reply = held.reply().failed(BayeuxError::ConnectDisplaced);
                self.reply(outgoing, reply);
            }
        }
    }

    /// Adds the events that are there, some at a time.
    fn stream_events(&mut self, outgoing: &mut Outgoing, context: &mut Context<'_>) {
        if outgoing.has_events() || outgoing.closes() {
            return;
        }
        match self.stream.poll(MAX_WRITE as u64, context) {
            Poll::Ready(StreamStep::Events { events, .. }) => {
                self.frames.events(outgoing, events);
            }
            Poll::Ready(StreamStep::Displaced) => {
                close(outgoing, CloseCode::Normal, DISPLACED);
            }
            Poll::Ready(StreamStep::Ended(EndReason::Disconnect)) => self.waiting().end(),
            // Its client comes back, and finds the session wherever that is.
            Poll::Ready(StreamStep::Ended(EndReason::Moved)) => {
                close(outgoing, CloseCode::Away, MOVED);
            }
            // What its head shows has expired too: its client has to open another.
            Poll::Ready(StreamStep::Ended(EndReason::IdentityExpired)) if self.shows() => {
                self.waiting().end();
            }
            // Its client hears of it when it speaks next, and may handshake again.
            Poll::Ready(StreamStep::Ended(_)) | Poll::Pending => {}
        }
        if self
            .waiting
            .as_ref()
            .is_some_and(|waiting| waiting.is_over())
        {
            close(outgoing, CloseCode::Normal, "");
        }
    }

    /// Pings, and ends what has lasted too long.
    fn keep_time(
        &mut self,
        times: &Times,
        socket: &Socket,
        outgoing: &mut Outgoing,
        mut sleep: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) {
        let may_be_without = self.stream.session().is_some() || self.has_waiting();
        self.clock.have_session(may_be_without, now());
        while !outgoing.closes() {
            let next = self.clock.next(times, self.ping_interval);
            let Some((due, what)) = next else { return };
            if sleep.deadline() != due.into() {
                sleep.as_mut().reset(due.into());
            }
            if sleep.as_mut().poll(context).is_pending() {
                return;
            }
            if was_paused(due, now()) {
                self.clock.resume(now());
            } else if what == Due::Rest {
                self.clock.go_on();
                // There may be something to read.
                context.waker().wake_by_ref();
            } else {
                self.be_due(what, socket, outgoing);
            }
        }
    }

    fn be_due(&mut self, what: Due, socket: &Socket, outgoing: &mut Outgoing) {
        match what {
            Due::Message => {
                self.server.metrics().limited(Limit::BodyTimeout);
                let reason = "the message did not arrive within http.body_timeout";
                self.refuse(CloseCode::Policy, reason, socket, outgoing);
            }
            Due::Session => {
                let reason = "no session within http.keep_alive_timeout";
                close(outgoing, CloseCode::Normal, reason);
            }
            // Its answer may be there, and is not read.
            Due::Peer if !self.may_read() => self.clock.hear(now()),
            Due::Peer => {
                self.server.metrics().dead_peers.increment();
                outgoing.lose();
            }
            Due::Rest => {}
            Due::Ping => {
                self.clock.ping(now());
                frame(outgoing, FrameKind::Ping, b"");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_that_waits_is_small() {
        let size = size_of::<Connection>();
        // What the allocator gives for more is 384.
        assert!(size <= 320, "every WebSocket that waits costs {size} bytes");
    }
}
