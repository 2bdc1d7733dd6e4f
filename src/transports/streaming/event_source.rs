//! eventsource: events by `text/event-stream` (HTML Living Standard section 9.2), messages by POST.
//!
//! Two kinds of clients open such a stream. Faye's, with the client id below the endpoint: a session
//! they made by POST. And those that speak no Bayeux, with channels in the query: they get a session
//! that lives as long as the stream, and `max_interval` more. Every event has an `id` of the session
//! and a number; a client that comes back with its last one gets what it missed, or hears that some
//! of it is gone. If the session is gone, history has what was published since.

use std::borrow::Cow;
use std::io::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use tokio::time::Sleep;

use super::event_id::{self, EventId, Past};
use super::heartbeat::Heartbeat;
use crate::bayeux::{ClientId, Event, Reply, Transport};
use crate::metrics::{Gauge, Metrics};
use crate::server::{Actor, Implied, Opened, Recovered, Recovering, Verdicts, Who};
use crate::session::{Beginning, From, Stream, StreamStep};
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
    let last = last.as_deref().and_then(EventId::read);
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
        Ok((stream, beginning)) => {
            let connection = Connection::new(endpoint, stream, true);
            open(connection, &beginning)
        }
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
    let since = since_parameter(query)?;
    let last_id = last_event_id(head)?;
    let has_received = last_id.is_some();
    let last = last_id.as_deref().and_then(EventId::read);
    let opening = Opening {
        channels,
        has_received,
        last: last.as_ref().map(|last| (last.session, last.number)),
        past: last.and_then(|last| last.past),
        // Where it began counts no more for who has come further.
        since: since.filter(|_| !has_received),
    };
    opening.ask(endpoint, decision, socket, Verdicts::default())
}

/// A stream of channels that is yet to be opened.
struct Opening {
    channels: Vec<Cow<'static, str>>,
    /// Its client says that it has received something before, be it an event of ours or not.
    has_received: bool,
    /// The session that is to go on, and after which of its events.
    last: Option<(ClientId, u64)>,
    /// Where its client is in history.
    past: Option<Past>,
    /// From where on it wants the past at first.
    since: Option<From>,
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
            Some((session, _)) => Implied::Continued(&self.channels, session),
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
        let past = self.past.as_ref();
        let after = past.map(|past| From::After(past.id, Some(Arc::clone(&past.epoch))));
        let since = after.as_ref().or(self.since.as_ref());
        let opened = endpoint
            .server
            .open_stream(&self.channels, actor, self.last, since, now());
        let Some(opened) = opened.map_err(Error::from)? else {
            // What it asks for now is more than what was admitted.
            let anew = Self { last: None, ..self };
            return anew.ask(endpoint, decision, socket, Verdicts::default());
        };
        let Opened {
            stream,
            mut beginning,
            epoch,
            recovering,
        } = opened;
        // What is lost of the past is told when that is known.
        let is_known = self.last.is_some() || self.past.is_some() || !self.has_received;
        beginning.is_complete &= is_known;
        let mut connection = Connection::new(endpoint, stream, false);
        connection.past = self
            .past
            .filter(|past| self.last.is_some() && epoch.as_ref() == Some(&past.epoch));
        connection.epoch = epoch;
        Ok(match recovering {
            Some(recovering) => {
                connection.begins = Some(Box::new((beginning, recovering)));
                Answer::Stream(Response::open(HEAD, Vec::new()), Box::new(connection))
            }
            None => open(connection, &beginning),
        })
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

/// The parameter by which a first connection says from where on it wants the past.
const SINCE: &str = "since";

fn since_parameter(query: &str) -> Result<Option<From>, Error> {
    let Some(since) = form::query_values(query, SINCE, FORM_LIMITS)?.pop() else {
        return Ok(None);
    };
    let since = str::from_utf8(&since).ok().and_then(event_id::since);
    since.map(Some).ok_or(Error::Since)
}

fn open(connection: Connection, beginning: &Beginning) -> Answer {
    let mut block = Vec::with_capacity(160);
    connection.begin(&mut block, beginning, None);
    Answer::Stream(Response::open(HEAD, block), Box::new(connection))
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
    /// What it is yet to begin with.
    begins: Option<Box<(Beginning, Recovering)>>,
    /// Where it is in history, if anything came from there.
    past: Option<Past>,
    /// The name of the numbers there.
    epoch: Option<Arc<str>>,
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
        if self.begins.is_some() && self.poll_beginning(&mut outgoing, context).is_ready() {
            return Poll::Ready(outgoing);
        }
        let next = match self.begins {
            Some(_) => Poll::Pending,
            None => self.stream.poll(MAX_WRITE as u64, context),
        };
        match next {
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
    fn new(endpoint: &Endpoint, stream: Stream, is_bayeux: bool) -> Self {
        let settings = &endpoint.event_source;
        let session = stream.session().map(|session| session.id().to_string());
        Self {
            settings: settings.clone(),
            is_bayeux,
            session: session.unwrap_or_default().into(),
            stream,
            heartbeat: Heartbeat::new(settings.heartbeat_interval),
            begins: None,
            past: None,
            epoch: None,
        }
    }

    /// Begins once it is known what it gets of the past.
    fn poll_beginning(&mut self, outgoing: &mut Outgoing, context: &mut Context<'_>) -> Poll<()> {
        let Some(begins) = &mut self.begins else {
            return Poll::Pending;
        };
        let recovered = ready!(begins.1.poll(context));
        let (beginning, _) = *self.begins.take().expect("it begins");
        match recovered {
            Some(Recovered { after, lost }) => {
                let at = after.zip(self.epoch.clone());
                self.past = at.map(|(id, epoch)| Past { id, epoch });
                self.begin(outgoing.bytes(), &beginning, lost.as_deref());
            }
            // Its client asks again.
            None => outgoing.close(),
        }
        Poll::Ready(())
    }

    /// Writes the first block: where the stream begins, and whether that is where its client was.
    fn begin(&self, out: &mut Vec<u8>, beginning: &Beginning, lost: Option<&str>) {
        let retry = self.settings.retry.as_millis();
        writeln!(out, "retry: {retry}").expect("a Vec takes every write");
        // A client that loses the stream before the first event comes back with this.
        self.id(out, beginning.after);
        if lost.is_some() || !beginning.is_complete {
            write_gap(out, lost);
        }
        out.push(b'\n');
    }

    fn id(&self, out: &mut Vec<u8>, number: u64) {
        write!(out, "id: {}-{number}", self.session).expect("a Vec takes every write");
        if let Some(past) = &self.past {
            write!(out, "{past}").expect("a Vec takes every write");
        }
        out.push(b'\n');
    }

    /// Notes an event that is about to be written, if it comes from history.
    fn saw(&mut self, event: &Event) {
        let id = event.id();
        if id == 0 || self.is_bayeux {
            return;
        }
        match (&mut self.past, &self.epoch) {
            (Some(past), _) => past.saw(id),
            (None, Some(epoch)) => {
                let epoch = Arc::clone(epoch);
                self.past = Some(Past { id, epoch });
            }
            (None, None) => {}
        }
    }

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

    fn add(&mut self, outgoing: &mut Outgoing, first: u64, events: Vec<Arc<Event>>) {
        for (number, event) in (first..).zip(events) {
            self.saw(&event);
            let out = outgoing.bytes();
            out.reserve(event.json().len() + 96);
            self.id(out, number);
            if let Some(lost) = event.replay_told().filter(|_| !self.is_bayeux) {
                write_gap(out, Some(lost));
                out.push(b'\n');
                outgoing.note(event);
                continue;
            }
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

/// Writes that something was missed, and if it is known of which channels.
fn write_gap(out: &mut Vec<u8>, lost: Option<&str>) {
    let lost = lost.map(|lost| format!(",\"replay\":{lost}"));
    let lost = lost.unwrap_or_default();
    writeln!(
        out,
        "event: gap\ndata: {{\"error\":\"events were missed that are no longer kept\"{lost}}}"
    )
    .expect("a Vec takes every write");
}

/// Writes JSON, each of its lines as a line of data: white space may hold line ends.
pub fn write_lines(out: &mut Vec<u8>, json: &[u8]) {
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
}
