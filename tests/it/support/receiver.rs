//! A client that receives numbered events by any transport, over a narrow connection, and counts only
//! what came whole: a client of that transport would see no other.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use mirant::web::websocket::{FrameKind, Incoming, Reader, Side, encode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Client, Http, Request, Response, TestServer, take_chunk, two_way, upgrade};

/// By what events come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    LongPolling,
    CallbackPolling,
    XhrStreaming,
    Multipart,
    Iframe,
    MessageHttp,
    /// Polls in the body of a request of type `message/http`.
    Embedded,
    WebSocket,
    EventSource,
}

impl Way {
    pub(crate) const ALL: [Self; 9] = [
        Self::LongPolling,
        Self::CallbackPolling,
        Self::XhrStreaming,
        Self::Multipart,
        Self::Iframe,
        Self::MessageHttp,
        Self::Embedded,
        Self::WebSocket,
        Self::EventSource,
    ];

    fn connection_type(self) -> &'static str {
        match self {
            Self::LongPolling | Self::Embedded => "long-polling",
            Self::CallbackPolling => "callback-polling",
            Self::XhrStreaming => "xhr-streaming",
            Self::Multipart => "multipart",
            Self::Iframe => "iframe",
            Self::MessageHttp => "message-http",
            Self::WebSocket => "websocket",
            Self::EventSource => "eventsource",
        }
    }

    /// Tells whether the next connect goes by the same connection.
    fn goes_on(self) -> bool {
        matches!(
            self,
            Self::LongPolling | Self::CallbackPolling | Self::Embedded | Self::WebSocket
        )
    }

    /// Tells whether events leave as they come, if nobody acknowledges them, and not with replies.
    pub(crate) fn is_stream(self) -> bool {
        !matches!(
            self,
            Self::LongPolling | Self::CallbackPolling | Self::Embedded
        )
    }

    /// Tells whether its clients can acknowledge what comes by it: events come with replies then.
    pub(crate) fn may_acknowledge(self) -> bool {
        self != Self::EventSource
    }
}

/// How many connections in a row may bring nothing.
const ATTEMPTS: usize = 30;
/// How long one that does not give up waits before it opens another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// A client, its connection if it has one, and what it has received.
pub(crate) struct Receiver {
    way: Way,
    client: Client,
    /// The number of the last reply, if it acknowledges.
    ack: Option<u64>,
    last_event: Option<String>,
    line: Option<Line>,
    /// How many connections it may still open until something comes.
    attempts: usize,
    /// How long it waits before each read.
    pub(crate) pace: Duration,
    /// How long it waits for something to come before it opens another connection, and before it does that.
    patience: Option<Duration>,
    /// The number after which nothing comes, once that is known.
    last: Option<watch::Receiver<u64>>,
    pub(crate) numbers: Vec<u64>,
    /// How often it was told that something may be missing.
    pub(crate) gaps: usize,
    /// Replies that told it that it has no session.
    pub(crate) losses: usize,
    /// How often it has left a connection on which nothing came, with what may have been on its way.
    pub(crate) departures: usize,
}

impl Receiver {
    /// A client that has connected, and is subscribed to `/flood`.
    pub(crate) async fn new(server: &TestServer, way: Way, acknowledges: bool) -> Self {
        Self::at(server.address, way, acknowledges, Value::Null).await
    }

    /// The same at an address where connections may break, and nothing come for a while: it does not give up, but
    /// leaves a connection on which nothing has come for so long. It is told what number is the last.
    pub(crate) async fn lasting(
        address: SocketAddr,
        way: Way,
        acknowledges: bool,
        patience: Duration,
        last: watch::Receiver<u64>,
    ) -> Self {
        let mut receiver = Self::at(address, way, acknowledges, Value::Null).await;
        receiver.patience = Some(patience);
        receiver.last = Some(last);
        receiver
    }

    /// Tells whether it has got the last number.
    pub(crate) fn is_done(&self) -> bool {
        let last = self.last.as_ref();
        last.is_some_and(|last| self.numbers.contains(&*last.borrow()))
    }

    /// The same, whose subscribe names a position in what was published before.
    pub(crate) async fn replaying(
        server: &TestServer,
        way: Way,
        acknowledges: bool,
        position: Value,
    ) -> Self {
        Self::at(server.address, way, acknowledges, position).await
    }

    async fn at(address: SocketAddr, way: Way, acknowledges: bool, position: Value) -> Self {
        let mut client = Client::new(address);
        let ext = if acknowledges {
            json!({"ack": true})
        } else {
            json!({})
        };
        client.handshake_with(json!({"ext": ext})).await;
        let first = client.connect().await;
        let subscribe = json!({
            "channel": "/meta/subscribe", "subscription": "/flood", "ext": {"replay": position},
        });
        let replies = client.send([subscribe]).await;
        assert_eq!(replies.last().unwrap()["successful"], true, "{replies:?}");
        Self {
            way,
            client,
            ack: acknowledges.then(|| first[0]["ext"]["ack"].as_u64().unwrap()),
            last_event: None,
            line: None,
            attempts: ATTEMPTS,
            pace: Duration::ZERO,
            patience: None,
            last: None,
            numbers: Vec::new(),
            gaps: 0,
            losses: 0,
            departures: 0,
        }
    }

    /// Publishes on a channel, on a connection of its own; events may come with the reply.
    pub(crate) async fn publish(&mut self, channel: &str, data: Value) {
        let messages = self.client.publish(channel, data).await;
        self.note(Value::from(messages).to_string().as_bytes());
    }

    /// By what it receives, and whether it acknowledges.
    pub(crate) fn name(&self) -> (Way, bool) {
        (self.way, self.ack.is_some())
    }

    /// Connects, and reads until a response has begun to come; returns that connection.
    pub(crate) async fn begin(&mut self) -> Line {
        self.open().await;
        let mut line = self.line.take().unwrap();
        let body = line.expect_body(self.pace).await;
        assert!(body, "{:?}: the connection ended", self.way);
        line
    }

    /// Goes on with a connection.
    pub(crate) fn resume(&mut self, line: Line) {
        self.line = Some(line);
    }

    /// Receives, and connects again where that is due, until it has so many events.
    pub(crate) async fn receive(&mut self, count: usize) {
        while self.numbers.len() < count {
            self.step().await;
        }
    }

    /// Reads a connection to its end.
    pub(crate) async fn drain(&mut self, mut line: Line) {
        while let Some(unit) = line.unit(self.pace).await {
            self.note(&unit);
        }
    }

    /// Reads one unit, and asks for the next.
    pub(crate) async fn step(&mut self) {
        if self.line.is_none() {
            match self.patience {
                Some(patience) => drop(timeout(patience, self.open()).await),
                None => self.open().await,
            }
        }
        let unit = match (&mut self.line, self.patience) {
            (None, _) => None,
            (Some(line), Some(patience)) => {
                let told = async {
                    match &mut self.last {
                        Some(last) => last.changed().await,
                        None => std::future::pending().await,
                    }
                };
                let unit = tokio::select! {
                    unit = timeout(patience, line.unit(self.pace)) => unit,
                    _ = told => return,
                };
                self.departures += usize::from(unit.is_err());
                unit.ok().flatten()
            }
            (Some(line), None) => line.unit(self.pace).await,
        };
        let Some(unit) = unit else {
            self.line = None;
            if self.patience.is_some() {
                self.attempts = ATTEMPTS;
                sleep(PAUSE).await;
            }
            return;
        };
        if self.note(&unit) {
            let (way, connect) = (self.way, self.connect());
            match &mut self.line {
                Some(line) if way.goes_on() && !line.has_ended() => line.ask(way, &connect).await,
                line => *line = None,
            }
        }
    }

    /// Notes what came; true if it is the reply to a connect.
    fn note(&mut self, unit: &[u8]) -> bool {
        let text = String::from_utf8_lossy(unit);
        let had = self.numbers.len();
        self.numbers.extend(numbers(&text));
        if self.numbers.len() > had {
            self.attempts = ATTEMPTS;
        }
        self.gaps += usize::from(text.contains("event: gap") || text.contains("\"gap\":["));
        self.losses += usize::from(text.contains("\"402::"));
        if let Some(id) = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("id: "))
        {
            self.last_event = Some(id.to_owned());
        }
        if let Some((_, rest)) = text.rsplit_once("\"ack\":") {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
            self.ack = rest[..end].parse().ok();
        }
        text.contains("\"/meta/connect\"")
    }

    async fn open(&mut self) {
        assert!(
            self.attempts > 0,
            "{:?}: it connects in vain, with {} events",
            self.way,
            self.numbers.len()
        );
        self.attempts -= 1;
        let address = self.client.address;
        let mut line = Line::new(match self.patience {
            Some(_) => Http::open(address).await,
            None => Http::open_narrow(address).await,
        });
        let opening = match self.way {
            Way::WebSocket => Some(self.client.with_cookie(upgrade())),
            Way::Embedded => Some(two_way().header("Transfer-Encoding", "chunked")),
            Way::EventSource => {
                let request = Request::new("GET", &format!("/cometd/{}", self.client.id))
                    .header("Accept", "text/event-stream")
                    .header(
                        "Last-Event-ID",
                        self.last_event.as_deref().unwrap_or_default(),
                    );
                Some(self.client.with_cookie(request))
            }
            _ => None,
        };
        if let Some(request) = opening {
            line.http.try_send(&request.bytes()).await;
            let has_begun = line.expect_head().await;
            assert!(has_begun || self.patience.is_some(), "a head");
        }
        if self.way == Way::EventSource {
            match line.unit(Duration::ZERO).await {
                Some(beginning) => self.note(&beginning),
                None => return assert!(self.patience.is_some(), "a stream"),
            };
        } else {
            line.ask(self.way, &self.connect()).await;
        }
        self.line = Some(line);
    }

    /// The request of a connect.
    fn connect(&self) -> Request {
        let mut connect = json!({
            "channel": "/meta/connect", "clientId": self.client.id,
            "connectionType": self.way.connection_type(),
        });
        if let Some(ack) = self.ack {
            connect["ext"] = json!({"ack": ack});
        }
        let batch = Value::from([connect]).to_string();
        let request = match self.way {
            Way::CallbackPolling => Request::jsonp("cb", &batch),
            Way::Iframe => Request::post(batch).header("Origin", "http://localhost"),
            _ => Request::post(batch),
        };
        self.client.with_cookie(request)
    }
}

/// The end of the last unit that is whole: an event, or an array of messages; of other forms each chunk is.
fn end_of_units(text: &[u8], are_events: bool) -> usize {
    if are_events {
        return memchr::memmem::rfind(text, b"\n\n").map_or(0, |at| at + 2);
    }
    if !text.trim_ascii_start().starts_with(b"[") {
        return text.len();
    }
    let mut arrays = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let mut end = 0;
    while let Some(Ok(_)) = arrays.next() {
        end = arrays.byte_offset();
    }
    end
}

/// The numbers of the events in a text, however they stand in it.
fn numbers(text: &str) -> Vec<u64> {
    let behind = text.split("\"number\":").skip(1);
    // What was cut in the middle has not come.
    let whole = behind.filter_map(|rest| rest.split_once('}'));
    whole.map(|(number, _)| number.parse().unwrap()).collect()
}

/// A connection, from which whole units are taken: what a client would see at once.
pub(crate) struct Line {
    http: Http,
    arrived: Vec<u8>,
    form: Form,
}

/// In what form the next unit comes.
enum Form {
    /// A response is yet to begin.
    Head,
    /// A body of so many bytes; the connection ends behind it if `is_last`.
    Body {
        length: usize,
        is_last: bool,
    },
    /// What has come of a unit that is not whole: who stands between may cut chunks anywhere.
    Chunks {
        begun: Vec<u8>,
        are_events: bool,
    },
    Blocks,
    Frames(Box<Reader>, BytesMut),
    Ended,
}

impl Line {
    fn new(http: Http) -> Self {
        Self {
            http,
            arrived: Vec::new(),
            form: Form::Head,
        }
    }

    /// Ends the connection with a reset.
    pub(crate) fn reset(self) {
        self.http.reset();
    }

    fn has_ended(&self) -> bool {
        matches!(self.form, Form::Ended)
    }

    async fn ask(&mut self, way: Way, connect: &Request) {
        let bytes = match way {
            Way::Embedded => {
                let request = connect.bytes();
                let size = format!("{:x}\r\n", request.len());
                [size.as_bytes(), &request, b"\r\n"].concat()
            }
            Way::WebSocket => {
                let mut frame = Vec::new();
                encode(
                    FrameKind::Text,
                    connect.payload(),
                    Some([1, 2, 3, 4]),
                    &mut frame,
                );
                frame
            }
            _ => connect.bytes(),
        };
        // If it cannot be sent the connection has ended, which is seen when it is read.
        self.http.try_send(&bytes).await;
    }

    /// Reads a head; false if the connection ends instead.
    async fn expect_head(&mut self) -> bool {
        while matches!(self.form, Form::Head) {
            if !self.fill(Duration::ZERO).await {
                return false;
            }
            self.take_head();
        }
        true
    }

    /// Reads until something of a body is there; false at the connection's end.
    async fn expect_body(&mut self, pace: Duration) -> bool {
        loop {
            self.take_head();
            if !matches!(self.form, Form::Head) && !self.arrived.is_empty() {
                return true;
            }
            if !self.fill(pace).await {
                return false;
            }
        }
    }

    /// The next unit; nothing at the connection's end.
    async fn unit(&mut self, pace: Duration) -> Option<Vec<u8>> {
        loop {
            if let Some(unit) = self.take() {
                return Some(unit);
            }
            if self.has_ended() || !self.fill(pace).await {
                return None;
            }
        }
    }

    async fn fill(&mut self, pace: Duration) -> bool {
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
        match self.http.more().await {
            Some(bytes) => self.arrived.extend(bytes),
            None => return false,
        }
        true
    }

    fn take_head(&mut self) {
        let Form::Head = self.form else { return };
        let Some(end) = memchr::memmem::find(&self.arrived, b"\r\n\r\n") else {
            return;
        };
        let head = Response::of_head(self.arrived.drain(..end + 4).collect());
        let is_last = head.header("Connection") == Some("close");
        self.form = match (head.status, head.header("Content-Length")) {
            (101, _) => Form::Frames(
                Box::new(Reader::new(Side::Client, false, usize::MAX)),
                BytesMut::new(),
            ),
            (200, Some(length)) => Form::Body {
                length: length.parse().unwrap(),
                is_last,
            },
            (200, None) if head.header("Transfer-Encoding").is_some() => Form::Chunks {
                begun: Vec::new(),
                are_events: head
                    .header("Content-Type")
                    .is_some_and(|text| text.starts_with("text/event-stream")),
            },
            (200, None) => Form::Blocks,
            // A displaced poll.
            _ => Form::Ended,
        };
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        self.take_head();
        match &mut self.form {
            Form::Head | Form::Ended => None,
            Form::Body { length, .. } if self.arrived.len() < *length => None,
            Form::Body { length, is_last } => {
                let unit = self.arrived.drain(..*length).collect();
                self.form = if *is_last { Form::Ended } else { Form::Head };
                Some(unit)
            }
            Form::Chunks { begun, are_events } => loop {
                let chunk = take_chunk(&mut self.arrived)?;
                if chunk.is_empty() {
                    self.form = Form::Ended;
                    return None;
                }
                begun.extend(chunk);
                let end = end_of_units(begun, *are_events);
                if end > 0 {
                    return Some(begun.drain(..end).collect());
                }
            },
            Form::Blocks => {
                let end = memchr::memmem::find(&self.arrived, b"\n\n")? + 2;
                Some(self.arrived.drain(..end).collect())
            }
            Form::Frames(reader, arrived) => {
                arrived.extend_from_slice(&std::mem::take(&mut self.arrived));
                match reader.next(arrived).unwrap()? {
                    Incoming::Text(text) => Some(text.to_vec()),
                    Incoming::Close(_) => {
                        self.form = Form::Ended;
                        None
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
