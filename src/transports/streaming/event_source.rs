//! eventsource: events by `text/event-stream` (HTML Living Standard section 9.2), messages by POST.
//!
//! Two kinds of clients open such a stream. Faye's, with the client id below the endpoint: a session
//! they made by POST. And those that speak no Bayeux, with channels in the query: they get a session
//! that lives as long as the stream, and `max_interval` more. Every event has an `id` of the session
//! and a number; a client that comes back with its last one gets what it missed, or hears that some
//! of it is gone.

use std::borrow::Cow;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use tokio::time::Sleep;

use super::heartbeat::Heartbeat;
use crate::bayeux::{ClientId, Event, Reply, Transport};
use crate::metrics::{Gauge, Metrics};
use crate::server::{Actor, Implied, Verdicts, Who};
use crate::session::{Beginning, Stream, StreamStep};
use crate::transports::answer::{Answer, Around, MAX_WRITE, Outgoing, Streaming};
use crate::transports::arrays::array;
use crate::transports::endpoint::Endpoint;
use crate::transports::error::Error;
use crate::transports::gate::Decision;
use crate::transports::runtime::now;
use crate::transports::settings::EventSourceSettings;
use crate::transports::{FORM_LIMITS, admitted};
use crate::web::form;
use crate::web::{Head, Response, Socket};

const HEAD: &[u8] = b"Content-Type: text/event-stream; charset=utf-8\r\n\
    Cache-Control: no-cache, no-store\r\nX-Accel-Buffering: no\r\n";

/// Opens the stream of a session that was made by POST.
///
/// # Errors
/// The client is gone, or its query is malformed.
pub fn join(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    id: ClientId,
    socket: &Socket,
) -> Result<Answer, Error> {
    is_there(socket)?;
    let last = last_event_id(head)?;
    let last = last.and_then(LastEvent::of);
    let last = last.filter(|last| last.session == id);
    let last = last.map(|last| last.number);
    Ok(joined(
        endpoint,
        decision,
        id,
        last,
        socket,
        Verdicts::default(),
    ))
}

/// Opens it, with verdicts on what it stands for as far as that has waited.
fn joined(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    id: ClientId,
    last: Option<u64>,
    socket: &Socket,
    mut verdicts: Verdicts,
) -> Answer {
    let (server, actor) = (&endpoint.server, actor(decision, socket));
    let implied = Implied::Joined(id);
    if let Some(admission) = server.implied_admission(&implied, &actor, &mut verdicts, now()) {
        return admitted::after(
            admission,
            endpoint,
            decision,
            move |verdicts, endpoint, decision, socket| match is_there(socket) {
                Ok(()) => joined(endpoint, decision, id, last, socket, verdicts),
                Err(error) => Response::from(error).into(),
            },
        );
    }
    match server.join_stream(id, &actor, last, verdicts, now()) {
        Ok((stream, beginning)) => open(endpoint, stream, true, beginning),
        Err(reply) => only_reply(&reply).into(),
    }
}

/// Who opens a stream.
fn actor<'d>(decision: &'d Decision<'_>, socket: &Socket) -> Actor<'d> {
    Actor {
        address: socket.peer().ip(),
        shown: decision.shown.as_ref(),
        transport: Some(Transport::EventSource),
        cookies: &decision.cookies,
        is_request: true,
        ..Actor::default()
    }
}

/// A request that comes late, after its client has given it up and asked again, must not displace
/// the newer stream.
fn is_there(socket: &Socket) -> Result<(), Error> {
    if socket.has_closed() {
        Err(Error::Gone)
    } else {
        Ok(())
    }
}

/// Tells a client why it has no stream, such as to handshake again, by a stream: it would not hear of an
/// error's status, and wait for the stream until its next connect is due.
fn only_reply(reply: &Reply<'_>) -> Response {
    let mut body = b"retry: 30000\ndata: ".to_vec();
    body.extend_from_slice(&array(&[], std::slice::from_ref(reply)));
    body.extend_from_slice(b"\n\n");
    Response::with_raw_head(StatusCode::OK, HEAD, body)
}

/// Opens a stream of the channels in the query.
///
/// # Errors
/// The client is gone, its query is malformed, or it may not be subscribed to these channels.
pub fn serve(
    endpoint: &Arc<Endpoint>,
    decision: &Decision<'_>,
    head: &Head,
    socket: &Socket,
) -> Result<Answer, Error> {
    is_there(socket)?;
    let query = head.uri.query().unwrap_or_default();
    let channels = form::query_values(query, "channel", FORM_LIMITS)?;
    if channels.is_empty() {
        return Err(Error::NoChannel);
    }
    let channels = channels
        .iter()
        .map(|channel| String::from_utf8_lossy(channel).into_owned().into())
        .collect();
    let last_id = last_event_id(head)?;
    let opening = Opening {
        channels,
        has_received: last_id.is_some(),
        last: last_id.and_then(LastEvent::of),
    };
    opening.ask(endpoint, decision, socket, Verdicts::default())
}

/// A stream of channels that is yet to be opened.
struct Opening {
    channels: Vec<Cow<'static, str>>,
    /// Its client says that it has received something before, be it an event of ours or not.
    has_received: bool,
    /// The event after which its session is to go on.
    last: Option<LastEvent>,
}

impl Opening {
    /// Opens it once it is admitted, with verdicts as far as it has waited for that.
    fn ask(
        self,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
        socket: &Socket,
        mut verdicts: Verdicts,
    ) -> Result<Answer, Error> {
        let (server, actor) = (&endpoint.server, actor(decision, socket));
        let implied = self.implied();
        if let Some(admission) = server.implied_admission(&implied, &actor, &mut verdicts, now()) {
            return Ok(admitted::after(
                admission,
                endpoint,
                decision,
                |verdicts, endpoint, decision, socket| {
                    is_there(socket)
                        .and_then(|()| self.ask(endpoint, decision, socket, verdicts))
                        .unwrap_or_else(|error| Response::from(error).into())
                },
            ));
        }
        let known = server
            .admitted(&implied, verdicts, &actor, now())
            .map_err(Error::Denied)?;
        let who = known.as_ref().map_or(Who::Anonymous, Who::Known);
        self.open(endpoint, decision, &Actor { who, ..actor }, socket)
    }

    fn implied(&self) -> Implied<'_> {
        match self.last {
            Some(last) => Implied::Continued(&self.channels, last.session),
            None => Implied::Begun(&self.channels),
        }
    }

    fn open(
        self,
        endpoint: &Arc<Endpoint>,
        decision: &Decision<'_>,
        actor: &Actor<'_>,
        socket: &Socket,
    ) -> Result<Answer, Error> {
        let last = self.last.map(|last| (last.session, last.number));
        let opened = endpoint
            .server
            .open_stream(&self.channels, actor, last, now());
        let Some((stream, mut beginning)) = opened.map_err(Error::from)? else {
            // What it asks for now is more than what was admitted.
            let anew = Self { last: None, ..self };
            return anew.ask(endpoint, decision, socket, Verdicts::default());
        };
        beginning.is_complete &= self.last.is_some() || !self.has_received;
        Ok(open(endpoint, stream, false, beginning))
    }
}

const LAST: HeaderName = HeaderName::from_static("last-event-id");
/// The parameter by which those say the same that stand in for a browser's EventSource: they set no
/// header, for which other origins would have to be asked.
const LAST_PARAMETER: &str = "lastEventId";

/// Returns the id of the last event that a client says it has received; an empty one is none.
fn last_event_id(head: &Head) -> Result<Option<Bytes>, form::Error> {
    let header = head.headers.get(&LAST);
    if let Some(header) = header.filter(|id| !id.is_empty()) {
        return Ok(Some(Bytes::copy_from_slice(header)));
    }
    let query = head.uri.query().unwrap_or_default();
    // One that was there before the client added its own is older.
    let last = form::query_values(query, LAST_PARAMETER, FORM_LIMITS)?.pop();
    Ok(last.filter(|id| !id.is_empty()))
}

/// The last event that a client has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastEvent {
    session: ClientId,
    number: u64,
}

impl LastEvent {
    #[expect(clippy::needless_pass_by_value, reason = "it is passed as a function")]
    fn of(id: Bytes) -> Option<Self> {
        let (session, number) = str::from_utf8(&id).ok()?.split_once('-')?;
        Some(Self {
            session: session.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

fn open(endpoint: &Endpoint, stream: Stream, is_bayeux: bool, beginning: Beginning) -> Answer {
    let settings = &endpoint.event_source;
    let mut block = Vec::with_capacity(128);
    let retry = settings.retry.as_millis();
    writeln!(block, "retry: {retry}").expect("a Vec takes every write");
    // A client that loses the stream before the first event comes back with this.
    let session = stream.session().map(|session| session.id().to_string());
    let session = session.unwrap_or_default();
    id(&mut block, &session, beginning.after);
    if !beginning.is_complete {
        block.extend_from_slice(
            b"event: gap\ndata: {\"error\":\"events were missed that are no longer kept\"}\n",
        );
    }
    block.push(b'\n');
    let connection = Box::new(Connection {
        settings: settings.clone(),
        is_bayeux,
        session: session.into(),
        stream,
        heartbeat: Heartbeat::new(settings.heartbeat_interval),
    });
    Answer::Stream(Response::open(HEAD, block), connection)
}

fn id(out: &mut Vec<u8>, session: &str, number: u64) {
    writeln!(out, "id: {session}-{number}").expect("a Vec takes every write");
}

/// An event stream.
#[derive(Debug)]
struct Connection {
    settings: EventSourceSettings,
    /// Its client speaks Bayeux, and gets arrays of messages; others get one message an event.
    is_bayeux: bool,
    /// The client id of its session, as it stands in ids of events.
    session: Box<str>,
    stream: Stream,
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
        // There is nothing a client could say on this connection.
        if socket.poll_discard(context).is_ready() {
            outgoing.lose();
            return Poll::Ready(outgoing);
        }
        match self.stream.poll(MAX_WRITE as u64, context) {
            Poll::Ready(StreamStep::Events { first, events }) => {
                self.add(&mut outgoing, first, events)
            }
            Poll::Ready(StreamStep::Displaced | StreamStep::Ended(_)) => outgoing.close(),
            Poll::Pending if self.stream.session().is_none() => outgoing.close(),
            Poll::Pending if around.is_stopping => self.stop(&mut outgoing),
            Poll::Pending => {
                if self.heartbeat.is_due(sleep, context) {
                    outgoing.bytes().extend_from_slice(b":\n\n");
                }
            }
        }
        if outgoing.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(outgoing)
        }
    }

    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    fn written(&mut self, _: bool) {
        self.heartbeat.wrote();
    }

    fn let_go(&mut self) {
        self.stream = Stream::default();
    }

    fn gauge<'m>(&self, metrics: &'m Metrics) -> &'m Gauge {
        &metrics.event_streams
    }
}

impl Connection {
    /// Ends the stream, and says when to come back if that is not the time it is always.
    fn stop(&self, outgoing: &mut Outgoing) {
        let shared = self.stream.session().map(|session| session.shared());
        let wait = shared.map_or(Duration::ZERO, |shared| shared.wait(false, now()));
        if !wait.is_zero() {
            let retry = (self.settings.retry + wait).as_millis();
            write!(outgoing.bytes(), "retry: {retry}\n\n").expect("a Vec takes every write");
        }
        outgoing.close();
    }

    fn add(&self, outgoing: &mut Outgoing, first: u64, events: Vec<Arc<Event>>) {
        for (number, event) in (first..).zip(events) {
            let out = outgoing.bytes();
            out.reserve(event.json().len() + 48);
            id(out, &self.session, number);
            out.extend_from_slice(if self.is_bayeux {
                b"data: ["
            } else {
                b"data: "
            });
            write_lines(out, event.json());
            out.extend_from_slice(if self.is_bayeux { b"]\n\n" } else { b"\n\n" });
            outgoing.note(event);
        }
    }
}

/// Writes JSON, each of its lines as a line of data: white space may hold line ends.
fn write_lines(out: &mut Vec<u8>, json: &[u8]) {
    let mut rest = json;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\ndata: ");
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_data_is_one() {
        let cases = [
            ("{}", "{}"),
            ("{\n}", "{\ndata: }"),
            ("{\r}", "{\ndata: }"),
            ("{\r\n}", "{\ndata: \ndata: }"),
        ];
        for (json, expected) in cases {
            let mut out = Vec::new();
            write_lines(&mut out, json.as_bytes());
            assert_eq!(out, expected.as_bytes());
        }
    }

    #[test]
    fn the_last_event_is_read_if_it_can_be_ours() {
        let id = "0000000000000000000001";
        let cases = [
            (format!("{id}-7"), Some(7)),
            (format!("{id}-"), None),
            (format!("{id}--1"), None),
            ("7".to_owned(), None),
            ("x-7".to_owned(), None),
            (String::new(), None),
        ];
        for (text, number) in cases {
            let last = LastEvent::of(Bytes::copy_from_slice(text.as_bytes()));
            assert_eq!(last.map(|last| last.number), number, "{text}");
        }
    }
}
