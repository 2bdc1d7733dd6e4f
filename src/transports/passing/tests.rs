//! Two nodes over the loopback interface: the sessions are at one, the clients are connected to the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, pending, ready};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::bayeux::{ChannelName, ClientId};
use crate::cluster::wire::{Secret, Wire, WireSettings};
use crate::cluster::{
    Backplane, Beat, CallKind, Calls, Claim, Feed, Interest, Links, NodeId, NodeInfo, NodeState,
    NotPublished, Orphan, Outgoing, Registry, Settings as ClusterSettings, WhenAway, Written,
};
use crate::history::{Failed, Place};
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::peer::Peer;
use crate::router::{Router, Settings as RouterSettings};
use crate::server::{BayeuxServer, Parts};
use crate::service::Service;
use crate::session;
use crate::transports::answer::{Answer, Arrived, Carried, Surroundings};
use crate::transports::{Endpoint, settings};
use crate::web::{Carrier, Head, Headers, Io, Response, Socket};

const EDGE: NodeId = NodeId(1);
const LONG: Duration = Duration::from_secs(20);

/// A registry in which the sessions are at the node that their ids name, unless that is the edge.
#[derive(Debug)]
struct ByMark;

fn failed<T: Send + 'static>() -> BoxFuture<'static, Result<T, Failed>> {
    ready(Err(Failed::Io("it is away".into()))).boxed()
}

impl Registry for ByMark {
    fn beat(&self, _: NodeInfo, _: Duration) -> BoxFuture<'_, Result<Beat, Failed>> {
        failed()
    }
    fn leave(&self, _: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        failed()
    }
    fn write(&self, _: NodeId, _: Vec<Written>) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        failed()
    }
    fn find(&self, id: ClientId) -> BoxFuture<'_, Result<Option<crate::cluster::Owner>, Failed>> {
        let node = NodeId(id.0.mark());
        let owner = crate::cluster::Owner {
            node,
            generation: 1,
        };
        ready(Ok((node != EDGE).then_some(owner))).boxed()
    }
    fn claim(
        &self,
        _: ClientId,
        _: crate::cluster::Owner,
        _: NodeId,
        _: bool,
    ) -> BoxFuture<'_, Result<Claim, Failed>> {
        failed()
    }
    fn remove(&self, _: NodeId, _: Vec<(ClientId, u64)>) -> BoxFuture<'_, Result<(), Failed>> {
        failed()
    }
    fn lost(
        &self,
        _: NodeId,
        _: Vec<(ClientId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        failed()
    }
    fn bury(&self, _: NodeId, _: usize) -> BoxFuture<'_, Result<Vec<Orphan>, Failed>> {
        failed()
    }
}

/// A backplane by which nothing comes.
#[derive(Debug)]
struct Silent;

impl Backplane for Silent {
    fn publish(
        &self,
        _: Vec<Outgoing>,
    ) -> BoxFuture<'_, Result<Vec<Result<Place, NotPublished>>, Failed>> {
        failed()
    }
    fn next(&self) -> BoxFuture<'_, Feed> {
        pending().boxed()
    }
    fn mark(&self, _: u64) -> BoxFuture<'_, Result<(), Failed>> {
        failed()
    }
    fn last_of(&self, _: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<u64>, Failed>> {
        failed()
    }
    fn is_up(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct NoCalls;

impl Calls for NoCalls {
    fn answer(&self, _: NodeId, _: CallKind, _: Bytes) -> BoxFuture<'_, Result<Bytes, String>> {
        ready(Err("no".to_owned())).boxed()
    }
}

fn wire(me: NodeId, metrics: Arc<Metrics>) -> Arc<Wire> {
    let settings = WireSettings::default();
    Arc::new(Wire::new(me, Secret::new(b"secret"), settings, metrics))
}

fn service(server: &Arc<BayeuxServer>, wire: Option<Arc<Wire>>) -> Service {
    let transports = settings::Settings {
        callback_without_origin: true,
        ..settings::Settings::default()
    };
    let endpoint = Endpoint::new(
        Arc::clone(server),
        transports,
        settings::WebSocketSettings::default(),
        settings::EventSourceSettings::default(),
        settings::StreamingSettings::default(),
        settings::ResourceSettings::default(),
        &["https://page.example".to_owned()],
    );
    Service::new(endpoint.expect("origins").passing_by(wire))
}

/// What stands between two nodes.
#[derive(Debug, Default, Clone, Copy)]
struct Between {
    /// What the owner says does not arrive.
    is_stalled: bool,
    /// How often all connections were cut.
    cuts: u32,
}

/// Passes bytes on between the nodes, as it is told, and returns where it listens.
async fn relay(to: SocketAddr) -> (SocketAddr, watch::Sender<Between>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, between) = watch::channel(Between::default());
    tokio::spawn(async move {
        while let Ok((edge, _)) = listener.accept().await {
            let (mut open, mut cut) = (between.clone(), between.clone());
            let cuts = between.borrow().cuts;
            tokio::spawn(async move {
                let owner = TcpStream::connect(to).await.expect("the owner");
                let (mut from_edge, mut to_edge) = edge.into_split();
                let (mut from_owner, mut to_owner) = owner.into_split();
                let back = async {
                    let mut buffer = [0; 4096];
                    while let Ok(read) = from_owner.read(&mut buffer).await
                        && read > 0
                    {
                        let _ = open.wait_for(|between| !between.is_stalled).await;
                        let _ = to_edge.write_all(&buffer[..read]).await;
                    }
                };
                tokio::select! {
                    biased;
                    _ = cut.wait_for(|between| between.cuts > cuts) => {}
                    _ = tokio::io::copy(&mut from_edge, &mut to_owner) => {}
                    () = back => {}
                }
            });
        }
    });
    (address, sender)
}

/// A node with a session, a node without, and a client of the latter.
struct Two {
    owner: Arc<BayeuxServer>,
    own: Service,
    serving: JoinHandle<()>,
    between: watch::Sender<Between>,
    edge: Arc<BayeuxServer>,
    service: Service,
    id: ClientId,
    cookie: String,
    around: Around,
}

/// What is around a connection of the edge.
#[derive(Debug, Default)]
struct Around {
    is_stopping: AtomicBool,
    stop: Notify,
    memory: Arc<Budget>,
}

impl Surroundings for Around {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    fn memory(&self) -> &Arc<Budget> {
        &self.memory
    }
}

/// A client's connection.
struct Connection {
    socket: Socket,
    /// Its other end.
    client: UnixStream,
}

impl Connection {
    fn new() -> Self {
        let (server, client) = UnixStream::pair().expect("two sockets");
        let socket = Socket::new(
            Io::Plain(Carrier::Unix(server)),
            Peer::Behind([192, 0, 2, 1].into()),
        );
        Self { socket, client }
    }
}

fn parts(timeout: Duration) -> Parts {
    Parts {
        session: session::Settings {
            timeout,
            ..session::Settings::default()
        },
        router: Router::new(
            RouterSettings {
                publish_without_session: true,
                ..RouterSettings::default()
            },
            &[],
        ),
        connection_types: vec!["long-polling", "callback-polling"],
        ..Parts::default()
    }
}

impl Two {
    async fn start() -> Self {
        let owner = Arc::new(BayeuxServer::new(parts(LONG)));
        let own = service(&owner, None);
        let text = json!([{
            "channel": "/meta/handshake",
            "version": "1.0",
            "supportedConnectionTypes": ["long-polling"],
        }]);
        let connection = Connection::new();
        let decision_head = head(Method::POST, "/cometd", &[]);
        let decision = own.gate().decide(&decision_head);
        let body = Bytes::from(text.to_string());
        let answer = own.serve(&decision, &decision_head, body, &connection.socket);
        let Answer::Now(response, _) = answer else {
            panic!("{answer:?}");
        };
        let messages: Value = serde_json::from_slice(response.bytes()).expect("JSON");
        let id = messages[0]["clientId"].as_str().expect("a client id");
        let id: ClientId = id.parse().expect("a client id");
        let head = String::from_utf8(response.into_parts().head).expect("UTF-8");
        let cookie = head
            .lines()
            .find_map(|line| line.strip_prefix("Set-Cookie: "));
        let cookie = cookie
            .expect("a cookie")
            .split(';')
            .next()
            .unwrap_or_default();

        let node = NodeId(id.0.mark());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, between) = relay(listener.local_addr().expect("an address")).await;
        let passing = Arc::new(own.owner());
        let serving =
            wire(node, owner.shared_metrics()).serve(listener, Arc::new(NoCalls), passing);
        let metrics = Arc::<Metrics>::default();
        let to_owner = wire(EDGE, Arc::clone(&metrics));
        to_owner.set_nodes(&[NodeInfo {
            id: node,
            address: address.to_string(),
            state: NodeState::Ready,
            version: String::new(),
        }]);
        let links = Links {
            me: EDGE,
            backplane: Arc::new(Silent),
            registry: Arc::new(ByMark),
            peers: Arc::clone(&to_owner) as _,
            interest: Arc::<Interest>::default(),
            // It asks nobody whether its sessions are its own.
            settings: ClusterSettings {
                when_away: WhenAway::Local,
                ..ClusterSettings::default()
            },
        };
        let edge = Arc::new(BayeuxServer::new(Parts {
            cluster: Some(links),
            metrics,
            ..parts(LONG)
        }));
        Self {
            own,
            owner,
            serving: tokio::spawn(serving),
            between,
            service: service(&edge, Some(to_owner)),
            edge,
            id,
            cookie: cookie.to_owned(),
            around: Around::default(),
        }
    }

    /// Begins a request with a message on a connection to the edge.
    fn begin(&self, message: Value, connection: &Connection) -> Answer {
        self.begin_at(&self.service, message, connection)
    }

    fn begin_at(&self, service: &Service, mut message: Value, connection: &Connection) -> Answer {
        message["clientId"] = self.id.to_string().into();
        let head = head(Method::POST, "/cometd", &[("Cookie", &self.cookie)]);
        let decision = service.gate().decide(&head);
        let body = Bytes::from(message.to_string());
        service.serve(&decision, &head, body, &connection.socket)
    }

    /// Waits for the answer to a request.
    async fn arrived(&self, mut answer: Answer, connection: &mut Connection) -> Arrived {
        loop {
            let Answer::Later(pending) = answer else {
                return Arrived::Answer(answer);
            };
            let mut arriving = Box::pin(pending.arrived(&mut connection.socket, &self.around));
            let arrived = loop {
                tokio::select! {
                    arrived = timeout(LONG, &mut arriving) => break arrived.expect("in time"),
                    () = self.around.stop.notified() => {}
                }
            };
            match arrived {
                Arrived::Answer(next) => answer = next,
                arrived => return arrived,
            }
        }
    }

    /// Sends a message, and returns the response and what has to hear of it.
    async fn exchange(&self, message: Value) -> (Response, Option<Carried>) {
        let mut connection = Connection::new();
        let answer = self.begin(message, &connection);
        match self.arrived(answer, &mut connection).await {
            Arrived::Answer(Answer::Now(response, carried)) => (response, carried),
            other => panic!("{other:?}"),
        }
    }

    /// Sends a message, and returns the messages of the response, which is written.
    async fn messages(&self, message: Value) -> Vec<Value> {
        let (response, _) = self.exchange(message).await;
        read(&response)
    }

    /// Connects for the first time, which is answered at once, and subscribes.
    async fn connect(&self) {
        let replies = self.messages(connect()).await;
        assert_eq!(replies[0]["successful"], true, "{replies:?}");
        let subscribe = json!({"channel": "/meta/subscribe", "subscription": "/a"});
        let replies = self.messages(subscribe).await;
        assert_eq!(replies[0]["successful"], true, "{replies:?}");
    }

    /// Waits until a connect of the session is held.
    async fn held(&self, connects: i64) {
        let is_held = async {
            while self.owner.metrics().held_connects.value() != connects {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, is_held).await.expect("in time");
    }

    /// Publishes at the owner, as somebody without a session.
    fn publish(&self, data: &str) {
        let message = json!([{"channel": "/a", "data": data}]);
        let head = head(Method::POST, "/cometd", &[]);
        let decision = self.own.gate().decide(&head);
        let body = Bytes::from(message.to_string());
        let connection = Connection::new();
        let answer = self.own.serve(&decision, &head, body, &connection.socket);
        assert!(matches!(answer, Answer::Now(..)), "{answer:?}");
    }

    /// Cuts the connections between the nodes, with what is on its way.
    fn cut(&self) {
        self.between.send_modify(|between| {
            between.cuts += 1;
            between.is_stalled = false;
        });
    }

    fn stop(&self) {
        self.around.is_stopping.store(true, Relaxed);
        self.around.stop.notify_one();
    }
}

fn head(method: Method, target: &str, fields: &[(&str, &str)]) -> Head {
    let fields = fields.iter();
    let headers: Headers = fields
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    Head {
        method,
        uri: target.parse().expect("a target"),
        version: http::Version::HTTP_11,
        headers,
    }
}

fn connect() -> Value {
    json!({"channel": "/meta/connect", "connectionType": "long-polling", "id": "1"})
}

/// A connect that is not held.
fn look() -> Value {
    let mut connect = connect();
    connect["advice"] = json!({"timeout": 0});
    connect
}

fn read(response: &Response) -> Vec<Value> {
    serde_json::from_slice(response.bytes()).expect("an array")
}

fn data(messages: &[Value]) -> Vec<&str> {
    let data = messages
        .iter()
        .filter_map(|message| message["data"].as_str());
    data.collect()
}

#[tokio::test]
async fn messages_reach_their_session_by_another_node() {
    let two = Two::start().await;
    two.connect().await;
    let replies = two.messages(json!({"channel": "/a", "data": "one"})).await;
    // What it may carry comes with it, as if the client were connected to the owner.
    assert_eq!(data(&replies), ["one"], "{replies:?}");
    assert_eq!(replies[1]["successful"], true);
    let replies = two.messages(json!({"channel": "/meta/disconnect"})).await;
    assert_eq!(replies[0]["successful"], true);
    // Its owner still knows that its client has ended it.
    let replies = two.messages(connect()).await;
    assert_eq!(replies[0]["advice"]["reconnect"], "none", "{replies:?}");
    let metrics = &two.edge.metrics().cluster;
    assert_eq!(
        (metrics.passed.value(), metrics.passed_total.value()),
        (0, 5)
    );
}

#[tokio::test]
async fn an_answer_is_shared_where_its_client_is() {
    let two = Two::start().await;
    two.connect().await;
    let fields = [("Cookie", &*two.cookie), ("Origin", "https://page.example")];
    let head = head(Method::POST, "/cometd", &fields);
    let decision = two.service.gate().decide(&head);
    let mut connection = Connection::new();
    let message = json!({"channel": "/a", "data": "one", "clientId": two.id.to_string()});
    let body = Bytes::from(message.to_string());
    let answer = two
        .service
        .serve(&decision, &head, body, &connection.socket);
    let arrived = two.arrived(answer, &mut connection).await;
    let Arrived::Answer(Answer::Now(response, _)) = arrived else {
        panic!("{arrived:?}");
    };
    let head = String::from_utf8(response.into_parts().head).expect("UTF-8");
    assert!(head.contains("application/json"), "{head}");
    let allow = "access-control-allow-origin: https://page.example\r\n";
    assert_eq!(head.to_lowercase().matches(allow).count(), 1, "{head}");
}

#[tokio::test]
async fn a_script_is_a_script_by_another_node_too() {
    let two = Two::start().await;
    two.connect().await;
    let message = json!([{"channel": "/a", "data": "one", "clientId": two.id.to_string()}]);
    let message = message.to_string();
    let encoded =
        percent_encoding::utf8_percent_encode(&message, percent_encoding::NON_ALPHANUMERIC);
    let target = format!("/cometd?jsonp=call.it&message={encoded}");
    let head = head(Method::GET, &target, &[("Cookie", &two.cookie)]);
    let decision = two.service.gate().decide(&head);
    let mut connection = Connection::new();
    let answer = two
        .service
        .serve(&decision, &head, Bytes::new(), &connection.socket);
    let arrived = two.arrived(answer, &mut connection).await;
    let Arrived::Answer(Answer::Now(response, _)) = arrived else {
        panic!("{arrived:?}");
    };
    let body = String::from_utf8_lossy(response.bytes()).into_owned();
    assert!(
        body.starts_with("/**/call.it([") && body.contains("true"),
        "{body}"
    );
}

#[tokio::test]
async fn a_held_poll_is_answered_by_an_event_once() {
    let two = Two::start().await;
    two.connect().await;
    for is_written in [true, false] {
        let mut connection = Connection::new();
        let poll = two.begin(connect(), &connection);
        let (arrived, ()) = tokio::join!(two.arrived(poll, &mut connection), async {
            two.held(1).await;
            two.publish("an event");
        });
        let Arrived::Answer(Answer::Now(response, carried)) = arrived else {
            panic!("{arrived:?}");
        };
        assert_eq!(data(&read(&response)), ["an event"]);
        let carried = carried.expect("somebody has to hear of it");
        let expected: &[&str] = if is_written {
            drop(carried);
            &[]
        } else {
            carried.restore();
            &["an event"]
        };
        let next = two.messages(look()).await;
        assert_eq!(data(&next), expected, "{next:?}");
    }
}

#[tokio::test]
async fn what_is_not_written_comes_back_when_the_client_asks_again() {
    let two = Two::start().await;
    two.connect().await;
    two.publish("an event");
    let (response, carried) = two.exchange(look()).await;
    assert_eq!(data(&read(&response)), ["an event"]);
    // The client asks again before the first response is written, and waits for what becomes of that.
    let mut connection = Connection::new();
    let again = two.begin(connect(), &connection);
    let carried = carried.expect("somebody has to hear of it");
    let given_up = async {
        std::future::poll_fn(|context| carried.poll_displaced(context)).await;
        carried.restore();
    };
    let (arrived, ()) = tokio::join!(two.arrived(again, &mut connection), given_up);
    let Arrived::Answer(Answer::Now(response, _)) = arrived else {
        panic!("{arrived:?}");
    };
    assert_eq!(data(&read(&response)), ["an event"]);
}

/// It may have been written, and may be yet.
#[tokio::test]
async fn what_was_on_a_link_that_breaks_is_told_to_be_missing_and_never_comes_again() {
    let two = Two::start().await;
    two.connect().await;
    two.publish("an event");
    let (response, carried) = two.exchange(look()).await;
    assert_eq!(data(&read(&response)), ["an event"]);
    let mut connection = Connection::new();
    let elsewhere = two.begin_at(&two.own, connect(), &connection);
    two.cut();
    let arrived = two.arrived(elsewhere, &mut connection).await;
    let Arrived::Answer(Answer::Now(response, told)) = arrived else {
        panic!("{arrived:?}");
    };
    let replies = read(&response);
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(replies[0]["ext"]["gap"], json!(["/a"]), "{replies:?}");
    drop((carried, told));
    let connection = Connection::new();
    let Answer::Now(response, _) = two.begin_at(&two.own, look(), &connection) else {
        panic!("it is not held");
    };
    let replies = read(&response);
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(replies[0]["ext"], Value::Null, "{replies:?}");
}

#[tokio::test]
async fn a_request_that_is_passed_on_again_gets_what_its_first_answer_had() {
    let two = Two::start().await;
    two.connect().await;
    let mut connection = Connection::new();
    let poll = two.begin(connect(), &connection);
    let (arrived, ()) = tokio::join!(two.arrived(poll, &mut connection), async {
        two.held(1).await;
        two.between.send_modify(|between| between.is_stalled = true);
        two.publish("an event");
        two.held(0).await;
        two.cut();
    });
    let Arrived::Answer(Answer::Now(response, carried)) = arrived else {
        panic!("{arrived:?}");
    };
    let replies = read(&response);
    assert_eq!(data(&replies), ["an event"], "{replies:?}");
    assert_eq!(replies[1]["ext"], Value::Null, "{replies:?}");
    drop(carried);
    let next = two.messages(look()).await;
    assert_eq!(next.len(), 1, "{next:?}");
}

#[tokio::test]
async fn a_client_that_leaves_releases_its_connect() {
    let two = Two::start().await;
    two.connect().await;
    let mut connection = Connection::new();
    let poll = two.begin(connect(), &connection);
    let other = Connection::new().client;
    let client = std::mem::replace(&mut connection.client, other);
    let (arrived, ()) = tokio::join!(two.arrived(poll, &mut connection), async {
        two.held(1).await;
        drop(client);
    });
    // It may still read: what is held is answered, without events.
    let Arrived::Answer(Answer::Now(response, _)) = arrived else {
        panic!("{arrived:?}");
    };
    assert!(data(&read(&response)).is_empty());
    two.held(0).await;
    assert_eq!(two.owner.metrics().lost_connects.value(), 1);
    two.publish("an event");
    let next = two.messages(look()).await;
    assert_eq!(data(&next), ["an event"]);
}

#[tokio::test]
async fn a_newer_connect_displaces_one_by_another_node() {
    let two = Two::start().await;
    two.connect().await;
    let mut connection = Connection::new();
    let poll = two.begin(connect(), &connection);
    let (arrived, _newer) = tokio::join!(two.arrived(poll, &mut connection), async {
        two.held(1).await;
        let newer = Connection::new();
        let answer = two.begin_at(&two.own, connect(), &newer);
        (answer, newer)
    });
    let Arrived::Answer(Answer::Now(response, _)) = arrived else {
        panic!("{arrived:?}");
    };
    assert_eq!(response.status(), http::StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_node_that_stops_has_its_polls_answered_and_the_session_goes_on() {
    let two = Two::start().await;
    two.connect().await;
    let mut connection = Connection::new();
    let poll = two.begin(connect(), &connection);
    let (arrived, ()) = tokio::join!(two.arrived(poll, &mut connection), async {
        two.held(1).await;
        two.stop();
    });
    let Arrived::Answer(Answer::Now(response, carried)) = arrived else {
        panic!("{arrived:?}");
    };
    let replies = read(&response);
    assert_eq!(replies[0]["successful"], true);
    assert_eq!(replies[0]["advice"]["reconnect"], "retry", "{replies:?}");
    drop(carried);
    // Its next connect, at whatever node, is held.
    let newer = Connection::new();
    let answer = two.begin_at(&two.own, connect(), &newer);
    two.held(1).await;
    drop(answer);
}

#[tokio::test]
async fn nobody_is_to_handshake_because_a_node_cannot_be_reached() {
    let two = Two::start().await;
    two.connect().await;
    // It dies while it holds a poll.
    let mut connection = Connection::new();
    let poll = two.begin(connect(), &connection);
    let (arrived, ()) = tokio::join!(two.arrived(poll, &mut connection), async {
        two.held(1).await;
        two.serving.abort();
        two.held(0).await;
        // It is looked for again and again, until this one stops.
        two.stop();
    });
    let Arrived::Answer(Answer::Now(response, _)) = arrived else {
        panic!("{arrived:?}");
    };
    let replies = read(&response);
    assert_eq!(replies[0]["successful"], true, "{replies:?}");
    assert_eq!(replies[0]["advice"]["reconnect"], "retry", "{replies:?}");
    let replies = two.messages(json!({"channel": "/a", "data": "one"})).await;
    assert_eq!(
        replies[0]["error"], "503::cluster_unavailable",
        "{replies:?}"
    );
}
