//! Whatever way an operation comes in, extensions see it first, and nothing gets past one that refuses.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mirant::bayeux::{ChannelName, ChannelPattern, ClientId, Draft, Limits, Message, Reply};
use mirant::extensions::{Begun, Extension, MessageInfo, Refusal, Wait};
use mirant::run::Additions;
use mirant::services::{Call, Handler};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::http_api;
use crate::support::{
    Client, Embedded, Events, Request, Response, Streamed, TestServer, WebSocket, only, percent,
    until,
};

const ON: &str = "channel=[{ pattern = '/r/**', resource = true }]";
const AT: &str = "/resources/r/a";
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
/// The address that all clients of these tests have.
const HERE: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
const STREAM: &str = "/events?channel=/r/a";

/// An operation, by the message that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Handshake,
    Connect,
    Subscribe,
    Publish,
}

use Kind::{Connect, Handshake, Publish, Subscribe};

impl Kind {
    fn channel(self) -> &'static str {
        match self {
            Handshake => "/meta/handshake",
            Connect => "/meta/connect",
            Subscribe => "/meta/subscribe",
            Publish => "/r/a",
        }
    }

    fn message(self, connection_type: &str) -> Value {
        let channel = self.channel();
        match self {
            Handshake => json!({
                "channel": channel, "version": "1.0", "clientId": null,
                "supportedConnectionTypes": [connection_type],
            }),
            Connect => json!({
                "channel": channel, "connectionType": connection_type, "advice": {"timeout": 0},
            }),
            Subscribe => json!({"channel": channel, "subscription": "/r/a"}),
            Publish => json!({"channel": channel, "data": 7}),
        }
    }
}

/// What an extension has seen, and what it refuses.
#[derive(Debug, Default)]
struct Book {
    seen: Vec<Seen>,
    refused: Option<(Kind, &'static str)>,
    ends: bool,
    /// What waits is seen, and refused, before it is processed.
    waits: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    channel: String,
    /// Its `subscription` or its `data`.
    what: Option<String>,
    client_id: Option<ClientId>,
}

/// Writes down what it sees, and refuses by channel.
#[derive(Debug, Clone, Default)]
struct Guard(Arc<Mutex<Book>>);

impl Guard {
    fn server(&self) -> TestServer {
        let additions = Additions {
            extensions: vec![Box::new(self.clone())],
            handlers: Vec::new(),
        };
        let key = http_api::key("publish");
        let set = [
            ON,
            "bayeux.publish_without_session=true",
            "api.public=true",
            &key,
        ];
        TestServer::start_with(&set, additions)
    }

    fn refuse(&self, kind: Kind, error: &'static str) {
        let mut book = self.0.lock().unwrap();
        book.refused = Some((kind, error));
        book.seen.clear();
    }

    /// Disconnects whose message is of this kind.
    fn end(&self, kind: Kind) {
        self.refuse(kind, "");
        self.0.lock().unwrap().ends = true;
    }

    fn allow(&self) {
        let mut book = self.0.lock().unwrap();
        let waits = book.waits;
        *book = Book {
            waits,
            ..Book::default()
        };
    }

    /// Lets all messages wait, and looks at them before that.
    fn wait(&self) {
        self.0.lock().unwrap().waits = true;
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().unwrap().seen)
    }
}

impl Extension for Guard {
    fn begin(&self, handshake: &Message<'_>, _: &mut Begun) {
        assert!(handshake.is_on("/meta/handshake"));
        let channel = "begin".to_owned();
        self.0.lock().unwrap().seen.push(Seen {
            channel,
            what: None,
            client_id: None,
        });
    }

    fn reply(&self, _: &mut Reply<'_>, _: &Message<'_>, info: &MessageInfo) {
        assert_eq!(info.address, HERE);
    }

    fn may_wait(&self) -> bool {
        true
    }

    fn admit(&self, message: &Message<'_>, info: &MessageInfo) -> Option<Wait> {
        if !self.0.lock().unwrap().waits {
            return None;
        }
        let passed = self.look(message, info);
        Some(Box::pin(async {
            tokio::task::yield_now().await;
            passed
        }))
    }

    fn incoming(&self, message: &mut Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        if self.0.lock().unwrap().waits {
            return Ok(());
        }
        self.look(message, info)
    }
}

impl Guard {
    fn look(&self, message: &Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        let channel = message.channel_text().unwrap().into_owned();
        let subscription = message.subscription.map(|raw| raw.get().to_owned());
        let what = subscription.or(message.data.as_ref().map(|raw| raw.get().to_owned()));
        let mut book = self.0.lock().unwrap();
        let client_id = info.client_id;
        assert_eq!(info.address, HERE);
        assert_eq!(message.client_id.is_some(), client_id.is_some());
        let is_on_it = channel != "/meta/subscribe" || what.as_ref().unwrap().contains("/r/a");
        book.seen.push(Seen {
            channel: channel.clone(),
            what,
            client_id,
        });
        match book.refused {
            Some((kind, _)) if is_on_it && channel == kind.channel() && book.ends => {
                Err(Refusal::Disconnect)
            }
            Some((kind, error)) if is_on_it && channel == kind.channel() => {
                Err(Refusal::Failed(error.into()))
            }
            _ => Ok(()),
        }
    }
}

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    LongPolling,
    /// By a head that the connection has had before.
    RepeatedHead,
    CallbackPolling,
    Form,
    WebSocket,
    XhrStreaming,
    Multipart,
    Iframe,
    Embedded,
    EmbeddedResource,
    EventStream,
    ResumedStream,
    /// The stream of a client of Faye's.
    JoinedStream,
    Get,
    Head,
    Wait,
    Watch,
    Put,
    Post,
    Patch,
    Delete,
    /// The API for application servers: a message, a list of them, bare data, and a delivery.
    Api,
    ApiList,
    ApiData,
    ApiDelivery,
}

const MESSAGES: [Kind; 4] = [Handshake, Connect, Subscribe, Publish];

pub(crate) const WAYS: [(Way, &[Kind]); 21] = [
    (Way::LongPolling, &MESSAGES),
    (Way::RepeatedHead, &MESSAGES),
    (Way::CallbackPolling, &MESSAGES),
    (Way::Form, &MESSAGES),
    (Way::WebSocket, &MESSAGES),
    (Way::XhrStreaming, &[Connect]),
    (Way::Multipart, &[Connect]),
    (Way::Iframe, &[Connect]),
    (Way::Embedded, &MESSAGES),
    (Way::EmbeddedResource, &[Publish]),
    (Way::EventStream, &[Handshake, Subscribe]),
    (Way::ResumedStream, &[Subscribe]),
    (Way::JoinedStream, &[Connect]),
    (Way::Get, &[Subscribe]),
    (Way::Head, &[Subscribe]),
    (Way::Wait, &[Subscribe]),
    (Way::Watch, &[Subscribe]),
    (Way::Put, &[Publish]),
    (Way::Post, &[Publish]),
    (Way::Patch, &[Publish]),
    (Way::Delete, &[Publish]),
];

/// Those of application servers, which access rules are not for.
const BACKEND_WAYS: [(Way, &[Kind]); 4] = [
    (Way::Api, &[Publish]),
    (Way::ApiList, &[Publish]),
    (Way::ApiData, &[Publish]),
    (Way::ApiDelivery, &[Publish]),
];

/// What became of an attempt: the error of a reply, or the reason of a response that is no success.
pub(crate) type Attempt = Result<(), String>;

fn of_reply(reply: &Value) -> Attempt {
    match reply["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(()),
    }
}

fn of_response(response: &Response) -> Attempt {
    if response.status < 400 {
        Ok(())
    } else {
        Err(format!("{} {}", response.status, response.reason()))
    }
}

/// The problem of the only message that an application server has sent.
fn of_receipt(response: &Response) -> Attempt {
    let answer: Value = serde_json::from_slice(&response.body).unwrap();
    let problem = match &answer["receipts"] {
        Value::Array(receipts) => &receipts[0]["error"],
        _ if response.status >= 400 => &answer,
        _ => return Ok(()),
    };
    if problem.is_null() {
        return Ok(());
    }
    let (status, detail) = (&problem["status"], problem["detail"].as_str().unwrap());
    let (_, reason) = detail.rsplit_once(": ").unwrap();
    Err(format!("{status} {reason}"))
}

/// The reply that is all there is of a stream.
fn only_reply(response: &Response) -> Option<Value> {
    assert_eq!(response.status, 200);
    response.header("Content-Length")?;
    let messages = response
        .text()
        .strip_prefix("retry: 30000\ndata: ")
        .unwrap();
    Some(only(serde_json::from_str(messages).unwrap()))
}

/// A client before it does something.
pub(crate) struct Ready {
    client: Client,
    socket: Option<WebSocket>,
    /// The id of the last event that it received by a stream.
    last: String,
}

impl Ready {
    pub(crate) async fn to(server: &TestServer, way: Way) -> Self {
        let put = Request::new("PUT", AT).body("\"old\"");
        assert!(server.open().await.exchange(put).await.status < 300);
        Self::of(server, way).await
    }

    /// One that has no session.
    pub(crate) async fn without_session(server: &TestServer, way: Way) -> Self {
        let socket = match way {
            Way::WebSocket => Some(WebSocket::open(server.address).await),
            _ => None,
        };
        Self {
            client: Client::new(server.address),
            socket,
            last: String::new(),
        }
    }

    pub(crate) async fn of(server: &TestServer, way: Way) -> Self {
        let client = server.client().await;
        let socket = match way {
            Way::WebSocket => Some(WebSocket::client(server.address).await),
            _ => None,
        };
        let mut last = String::new();
        if way == Way::ResumedStream {
            let (_stream, block) = Events::open(server.address, STREAM).await;
            last = block.id.unwrap();
        }
        Self {
            client,
            socket,
            last,
        }
    }

    /// Sends a message.
    async fn send(&mut self, server: &TestServer, way: Way, kind: Kind) -> Attempt {
        let name = match way {
            Way::XhrStreaming => "xhr-streaming",
            Way::Multipart => "multipart",
            Way::Iframe => "iframe",
            Way::CallbackPolling => "callback-polling",
            Way::WebSocket => "websocket",
            _ => "long-polling",
        };
        let message = self.client.message(kind.message(name));
        let text = json!([message]).to_string();
        let replies = match way {
            Way::WebSocket => {
                let socket = self.socket.as_mut().unwrap();
                vec![socket.call(kind.message(name)).await]
            }
            Way::CallbackPolling => {
                let request = self.client.with_cookie(Request::jsonp("cb", &text));
                server
                    .open()
                    .await
                    .exchange(request)
                    .await
                    .messages_for("cb")
            }
            Way::Form => {
                let request = self
                    .client
                    .request(format!("message={}", percent(&text)))
                    .header("Content-Type", "application/x-www-form-urlencoded");
                server.open().await.exchange(request).await.messages()
            }
            Way::RepeatedHead => {
                let mut http = server.open().await;
                for _ in 0..3 {
                    let text = text.replace(kind.channel(), "/meta/none");
                    http.exchange(self.client.request(text)).await;
                }
                http.exchange(self.client.request(text)).await.messages()
            }
            Way::Embedded => {
                let mut stream = Embedded::two_way(server.address).await;
                stream.exchange(self.client.request(text)).await.messages()
            }
            Way::XhrStreaming | Way::Multipart | Way::Iframe => {
                let request = self.client.request(text);
                let request = request.header("Origin", "http://localhost");
                let body = Streamed::open(server.address, request).await.rest().await;
                let (start, end) = (body.find("[{").unwrap(), body.rfind("}]").unwrap());
                serde_json::from_str(&body[start..end + 2].replace("\\/", "/")).unwrap()
            }
            _ => server
                .open()
                .await
                .exchange(self.client.request(text))
                .await
                .messages(),
        };
        of_reply(replies.last().unwrap())
    }

    /// Makes a request that is no message.
    fn request(&self, way: Way) -> Request {
        let get = |target: &str| Request::new("GET", target);
        match way {
            Way::EventStream => get(STREAM),
            Way::ResumedStream => get(STREAM).header("Last-Event-ID", &self.last),
            Way::Head => Request::new("HEAD", AT).header("Connection", "close"),
            Way::Wait => get(AT).header("When-Modified-After", EPOCH),
            Way::Watch => get(AT)
                .header("When-Modified-After", EPOCH)
                .header("Accept", "message/http"),
            Way::Put | Way::EmbeddedResource => Request::new("PUT", AT).body("\"new\""),
            Way::Post => Request::new("POST", AT).body("\"new\""),
            Way::Patch => Request::new("PATCH", AT)
                .header("Content-Range", "bytes 1-3/5")
                .body("new"),
            Way::Delete => Request::new("DELETE", AT),
            Way::Api => http_api::post("/api/v1/publish", r#"{"channel":"/r/a","data":7}"#),
            Way::ApiList => http_api::post("/api/v1/publish", r#"[{"channel":"/r/a","data":7}]"#),
            Way::ApiData => http_api::post("/api/v1/publish/r/a", "7"),
            Way::ApiDelivery => {
                let body = r#"{"user":"nobody","channel":"/r/a","data":7}"#;
                http_api::post("/api/v1/deliver", body)
            }
            _ => get(AT),
        }
    }

    pub(crate) async fn attempt(&mut self, server: &TestServer, way: Way, kind: Kind) -> Attempt {
        let mut http = server.open().await;
        match way {
            Way::Get | Way::Wait | Way::Put | Way::Post | Way::Patch | Way::Delete => {
                of_response(&http.exchange(self.request(way)).await)
            }
            Way::Api | Way::ApiList | Way::ApiData | Way::ApiDelivery => {
                of_receipt(&http.exchange(self.request(way)).await)
            }
            Way::Watch => {
                http.send(self.request(way).bytes()).await;
                of_response(&http.response().await)
            }
            Way::Head => {
                http.send(self.request(way).bytes()).await;
                let head = String::from_utf8(http.rest().await).unwrap();
                match &head[9..12] {
                    "200" => Ok(()),
                    status => Err(format!("{status} not_here")),
                }
            }
            Way::EventStream | Way::ResumedStream => {
                http.send(self.request(way).bytes()).await;
                of_response(&http.response().await)
            }
            Way::EmbeddedResource => {
                let mut stream = Embedded::two_way(server.address).await;
                of_response(&stream.exchange(self.request(way)).await)
            }
            Way::JoinedStream => {
                let target = format!("/cometd/{}", self.client.id);
                let request = Request::new("GET", &target).header("Accept", "text/event-stream");
                let request = self.client.with_cookie(request);
                http.send(request.bytes()).await;
                match only_reply(&http.response().await) {
                    Some(reply) => of_reply(&reply),
                    None => Ok(()),
                }
            }
            _ => self.send(server, way, kind).await,
        }
    }
}

/// What would show that something was done.
pub(crate) async fn state(server: &TestServer) -> (u64, i64, String) {
    let metrics = server.metrics();
    let get = Request::new("GET", AT);
    let response = server.open().await.exchange(get).await;
    (
        metrics.published.value(),
        metrics.sessions.value(),
        response.text().to_owned(),
    )
}

/// What an extension is to see first of an attempt.
fn expected(way: Way, kind: Kind, waits: bool) -> (&'static str, Option<&'static str>) {
    let what = match (way, kind) {
        // What comes of it is not known yet.
        (Way::Patch, Publish) if waits => None,
        (_, Handshake | Connect) => None,
        (Way::EventStream | Way::ResumedStream, Subscribe) => Some("[\"/r/a\"]"),
        (_, Subscribe) => Some("\"/r/a\""),
        (Way::Put | Way::Post | Way::Patch | Way::EmbeddedResource, Publish) => Some("\"new\""),
        (Way::Delete, Publish) => None,
        (_, Publish) => Some("7"),
    };
    (kind.channel(), what)
}

/// Says what is wrong with a way in, if something is.
async fn wrong(way: Way, kind: Kind, waits: bool) -> Option<&'static str> {
    let guard = Guard::default();
    let server = guard.server();
    if waits {
        guard.wait();
    }
    let mut ready = Ready::to(&server, way).await;
    let before = state(&server).await;
    let (channel, what) = expected(way, kind, waits);
    let was_seen = || {
        let mut seen = guard.seen().into_iter();
        seen.any(|seen| seen.channel == channel && seen.what.as_deref() == what)
    };
    guard.refuse(kind, "403:/r/a:not_here");
    match ready.attempt(&server, way, kind).await {
        Ok(()) => return Some("it gets past"),
        Err(reason) if !["403:/r/a:not_here", "403 not_here"].contains(&&*reason) => {
            return Some("it has another reason");
        }
        Err(_) => {}
    }
    if !was_seen() {
        return Some("it is refused, but not seen as what it is");
    }
    guard.allow();
    if state(&server).await != before {
        return Some("it is refused, but does something");
    }
    guard.seen();
    if ready.attempt(&server, way, kind).await.is_err() {
        return Some("it is always refused");
    }
    (!was_seen()).then_some("it is not seen as what it is")
}

async fn try_all(waits: bool) {
    let mut problems = Vec::new();
    for (way, kinds) in WAYS.into_iter().chain(BACKEND_WAYS) {
        for kind in kinds {
            let problem = wrong(way, *kind, waits).await;
            problems.extend(problem.map(|problem| format!("{way:?}, {kind:?}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test]
async fn every_way_in_passes_the_extensions() {
    try_all(false).await;
}

#[tokio::test]
async fn every_way_in_waits_for_what_the_extensions_wait_for() {
    try_all(true).await;
}

#[tokio::test]
async fn an_event_stream_is_seen_as_what_a_client_would_send() {
    let guard = Guard::default();
    let server = guard.server();
    let target = format!("{STREAM}&channel=/b/**");
    let (mut stream, block) = Events::open(server.address, &target).await;
    let seen = guard.seen();
    let channels: Vec<&str> = seen.iter().map(|seen| &*seen.channel).collect();
    assert_eq!(channels, ["/meta/handshake", "begin", "/meta/subscribe"]);
    assert_eq!(seen[2].what.as_deref(), Some("[\"/r/a\",\"/b/**\"]"));
    let id = seen[2].client_id.unwrap().to_string();
    let last = block.id.unwrap();
    assert!(last.starts_with(&id), "{last} {id}");
    server.client().await.publish("/b/c", 1).await;
    stream.next().await;

    guard.seen();
    let (_resumed, _) = Events::after(server.address, &target, &last).await;
    let seen = guard.seen();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].channel, "/meta/subscribe");
    assert_eq!(seen[0].client_id.unwrap().to_string(), id);
}

#[tokio::test]
async fn the_status_of_a_refusal_is_its_code_if_that_is_one() {
    let cases = [
        ("403:/r/a:not_here", 403, "not_here"),
        ("401::who_are_you", 401, "who_are_you"),
        ("503:a,b:later: much", 503, "later: much"),
        ("200::fine", 403, "fine"),
        ("302::elsewhere", 403, "elsewhere"),
        ("999::odd", 403, "odd"),
        ("no code", 403, "no code"),
        ("x:y:z", 403, "z"),
        ("403:only_arguments:", 403, "only_arguments"),
        ("403::", 403, "refused"),
        ("", 403, "refused"),
    ];
    let guard = Guard::default();
    let server = guard.server();
    for (error, status, reason) in cases {
        for (kind, request) in [
            (Handshake, Request::new("GET", STREAM)),
            (Subscribe, Request::new("GET", STREAM)),
            (Subscribe, Request::new("GET", AT)),
            (Publish, Request::new("PUT", AT).body("1")),
        ] {
            guard.refuse(kind, error);
            let response = server.open().await.exchange(request).await;
            assert_eq!((response.status, &*response.reason()), (status, reason));
        }
    }
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn a_session_that_is_disconnected_as_its_event_stream_opens_has_ended() {
    for waits in [false, true] {
        disconnect_as_it_opens(waits).await;
    }
}

async fn disconnect_as_it_opens(waits: bool) {
    let guard = Guard::default();
    let server = guard.server();
    guard.0.lock().unwrap().waits = waits;
    for kind in [Handshake, Subscribe] {
        guard.end(kind);
        let request = Request::new("GET", STREAM);
        let response = server.open().await.exchange(request).await;
        assert_eq!((response.status, &*response.reason()), (403, "refused"));
        assert_eq!(server.metrics().sessions.value(), 0);
        guard.allow();
    }
    let (mut stream, block) = Events::open(server.address, STREAM).await;
    guard.end(Subscribe);
    let request = Request::new("GET", STREAM).header("Last-Event-ID", &block.id.unwrap());
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 403);
    stream.ended().await;
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn a_client_of_faye_s_hears_why_its_stream_is_refused_or_that_its_session_is_over() {
    for waits in [false, true] {
        refuse_faye_s_stream(waits).await;
    }
}

async fn refuse_faye_s_stream(waits: bool) {
    let guard = Guard::default();
    let server = guard.server();
    guard.0.lock().unwrap().waits = waits;
    let client = server.client().await;
    let target = format!("/cometd/{}", client.id);
    let request = Request::new("GET", &target).header("Accept", "text/event-stream");
    let request = client.with_cookie(request);
    let reply = async || {
        let response = server.open().await.exchange(request.clone()).await;
        only_reply(&response).unwrap()
    };
    guard.refuse(Connect, "403::no");
    let refused = json!({"channel": "/meta/connect", "successful": false, "error": "403::no"});
    assert_eq!(reply().await, refused);
    assert_eq!(server.metrics().sessions.value(), 1);
    guard.end(Connect);
    assert_eq!(reply().await["advice"]["reconnect"], "none");
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn who_may_not_publish_learns_nothing_of_a_resource_by_a_patch() {
    let guard = Guard::default();
    let server = guard.server();
    let put = Request::new("PUT", AT).body("\"old\"");
    server.open().await.exchange(put).await;
    guard.refuse(Publish, "403::no");
    let patch = |range| {
        let patch = Request::new("PATCH", AT).header("Content-Range", range);
        patch.body("x")
    };
    for request in [
        patch("bytes 100-100/*"),
        patch("bytes 0-0/*"),
        patch("bytes 1-1/9"),
        patch("bytes 1-1/*").header("If-Match", "\"a-1\""),
        Request::new("DELETE", AT).header("If-Match", "\"a-1\""),
        Request::new("PUT", AT)
            .header("If-Match", "\"a-1\"")
            .body("1"),
    ] {
        let response = server.open().await.exchange(request).await;
        assert_eq!((response.status, &*response.reason()), (403, "no"));
        assert_eq!(response.header("ETag"), None);
        assert_eq!(response.header("Content-Range"), None);
    }
    // The rule is for the channel: of another a client is told what is wrong.
    let patch = patch("bytes 0-0/*").to("/resources/r/none");
    assert_eq!(server.open().await.exchange(patch).await.status, 404);
}

/// Changes what comes in.
#[derive(Debug)]
struct Changing;

impl Extension for Changing {
    fn incoming(&self, message: &mut Message<'_>, _: &MessageInfo) -> Result<(), Refusal> {
        if let Some(data) = &mut message.data {
            let text = data.get().replace("bad", "good");
            *data = std::borrow::Cow::Owned(RawValue::from_string(text).unwrap());
            let by = RawValue::TRUE.to_owned();
            message
                .custom
                .push(("checked".into(), std::borrow::Cow::Owned(by)));
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_comes_in_for_a_resource_can_be_changed() {
    let additions = Additions {
        extensions: vec![Box::new(Changing)],
        handlers: Vec::new(),
    };
    let server = TestServer::start_with(&[ON], additions);
    let (mut stream, _) = Events::open(server.address, STREAM).await;
    let put = |body| Request::new("PUT", AT).body(body);
    let patch = |range, part| {
        let patch = Request::new("PATCH", AT).header("Content-Range", range);
        patch.body(part)
    };
    for (request, kept) in [
        (put(" \"bad\""), "\"good\""),
        (patch("bytes 5-9/*", " bad\""), "\"good good\""),
        (put(" [ 1 ] "), " [ 1 ] "),
    ] {
        let response = server.open().await.exchange(request).await;
        assert!(response.status < 300, "{response:?}");
        let got = server.open().await.exchange(Request::new("GET", AT)).await;
        assert_eq!(got.text(), kept);
        let event = stream.next().await.json();
        let data: Value = serde_json::from_str(kept).unwrap();
        assert_eq!(
            event,
            json!({"channel": "/r/a", "data": data, "checked": true})
        );
    }
}

#[tokio::test]
async fn the_reply_to_a_held_connect_passes_with_the_address_too() {
    let guard = Guard::default();
    let server = guard.server();
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    client.disconnect().await;
    assert_eq!(only(client.polled().await)["successful"], true);
    // A panic of the extension would have ended the connection without a reply.
}

#[tokio::test]
async fn an_event_stream_is_never_inactive_as_it_does_not_connect() {
    let set = [
        "extensions.activity=client",
        "extensions.max_inactivity=1ms",
        "eventsource.heartbeat_interval=20ms",
        "bayeux.publish_without_session=true",
    ];
    let server = TestServer::start(&set);
    let (mut stream, _) = Events::open(server.address, "/events?channel=/a").await;
    assert!(stream.next().await.is_comment, "some time has passed");
    // The publisher has no session, which might be inactive before it publishes.
    let message = json!({"channel": "/a", "data": 1});
    let reply = only(server.post(message.to_string()).await.messages());
    assert_eq!(reply["successful"], true, "{reply}");
    while stream.next().await.is_comment {}
}

/// Gives every session an event, and a short life without its stream.
#[derive(Debug)]
struct Welcoming;

impl Extension for Welcoming {
    fn begin(&self, _: &Message<'_>, begun: &mut Begun) {
        let channel = ChannelName::parse("/welcome", &Limits::default()).unwrap();
        let event = Draft::new(&channel, RawValue::TRUE).encode();
        begun.events.push(Arc::new(event));
        begun.max_interval = Some(Duration::from_millis(50));
    }
}

#[tokio::test]
async fn the_session_of_an_event_stream_begins_as_extensions_say() {
    let additions = Additions {
        extensions: vec![Box::new(Welcoming)],
        handlers: Vec::new(),
    };
    let server = TestServer::start_with(&[], additions);
    let (mut stream, _) = Events::open(server.address, "/events?channel=/a").await;
    let welcome = json!({"channel": "/welcome", "data": true});
    assert_eq!(stream.next().await.json(), welcome);
    drop(stream);
    until(|| server.metrics().sessions.value() == 0).await;
}

/// Hands its calls on.
#[derive(Debug)]
struct Taking(mpsc::UnboundedSender<Call>);

impl Handler for Taking {
    fn handle(&self, call: Call) -> Result<(), Call> {
        self.0.send(call).unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn a_handler_knows_who_calls_also_by_an_embedded_request() {
    let (send, mut calls) = mpsc::unbounded_channel();
    let pattern = ChannelPattern::parse("/service/a", &Limits::default()).unwrap();
    let additions = Additions {
        extensions: Vec::new(),
        handlers: vec![(pattern, Arc::new(Taking(send)) as Arc<dyn Handler>)],
    };
    let server = TestServer::start_with(&[], additions);
    let client = server.client().await;
    let message = client.message(json!({"channel": "/service/a", "data": 1}));
    let mut stream = Embedded::two_way(server.address).await;
    let request = client.request(message.to_string());
    let reply = only(stream.exchange(request).await.messages());
    assert_eq!(reply["successful"], true);
    let call = calls.recv().await.unwrap();
    assert_eq!(call.client_id.to_string(), client.id);
    assert_eq!(call.address, HERE);
    until(|| calls.is_empty()).await;
}
