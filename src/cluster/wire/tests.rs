//! Two nodes over the loopback interface.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};

use futures_util::future::join_all;
use http::{Request, Response};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::node::NodeState;
use super::super::peers::Calls;
use super::proof::{Claim, HEADER, digest_of};
use super::*;
use crate::memory::{Budget, Charge};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const SECRET: &[u8] = b"a secret of the cluster";
const LONG: Duration = Duration::from_secs(20);

/// What the node that is asked sees, in its order.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Call(NodeId, CallKind, Bytes),
    Begun(Bytes),
    Hastened,
    ClientClosed,
    Written,
    NotWritten,
    /// It is not known whether it was written.
    Lost,
    /// The request was given up before it was answered.
    GivenUp,
}

/// A node that answers `echo` and `refuse`, and else never. It answers requests that are passed on when it is told
/// to.
#[derive(Debug)]
struct Answers {
    seen: mpsc::UnboundedSender<Seen>,
    /// Turns true for requests that are passed on to be answered.
    gate: watch::Sender<bool>,
    useless: Arc<Notify>,
    held: Arc<AtomicUsize>,
}

impl Calls for Answers {
    fn answer(
        &self,
        from: NodeId,
        kind: CallKind,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Bytes, String>> {
        let _ = self.seen.send(Seen::Call(from, kind, body.clone()));
        Box::pin(async move {
            match &*body {
                b"refuse" => Err("no".to_owned()),
                b"never" => std::future::pending().await,
                _ => Ok(body),
            }
        })
    }
}

impl Passing for Answers {
    fn begin(&self, _: NodeId, request: Bytes) -> Box<dyn Passed> {
        let _ = self.seen.send(Seen::Begun(request.clone()));
        self.held.fetch_add(1, Relaxed);
        let mut gate = self.gate.subscribe();
        Box::new(Held {
            request,
            open: Box::pin(async move {
                let _ = gate.wait_for(|open| *open).await;
            }),
            seen: self.seen.clone(),
            useless: Arc::clone(&self.useless),
            is_hastened: false,
            is_answered: false,
        })
    }
}

struct Held {
    request: Bytes,
    open: BoxFuture<'static, ()>,
    seen: mpsc::UnboundedSender<Seen>,
    useless: Arc<Notify>,
    is_hastened: bool,
    is_answered: bool,
}

impl Passed for Held {
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<PassedAnswer> {
        if !self.is_hastened && self.open.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.is_answered = true;
        let useless = Arc::clone(&self.useless);
        Poll::Ready(PassedAnswer {
            bytes: self.request.clone(),
            delivery: Some(Box::new(Delivered {
                seen: Some(self.seen.clone()),
                useless: Box::pin(async move { useless.notified().await }),
            })),
        })
    }

    fn hasten(&mut self) {
        self.is_hastened = true;
        let _ = self.seen.send(Seen::Hastened);
    }

    fn note_closed(&mut self) {
        self.is_hastened = true;
        let _ = self.seen.send(Seen::ClientClosed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_answered {
            let _ = self.seen.send(Seen::GivenUp);
        }
    }
}

struct Delivered {
    seen: Option<mpsc::UnboundedSender<Seen>>,
    useless: BoxFuture<'static, ()>,
}

impl Delivery for Delivered {
    fn poll_useless(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.useless.as_mut().poll(context)
    }

    fn written(mut self: Box<Self>) {
        if let Some(seen) = self.seen.take() {
            let _ = seen.send(Seen::Written);
        }
    }

    fn lost(mut self: Box<Self>) {
        if let Some(seen) = self.seen.take() {
            let _ = seen.send(Seen::Lost);
        }
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        if let Some(seen) = self.seen.take() {
            let _ = seen.send(Seen::NotWritten);
        }
    }
}

/// A node, and what it sees.
struct Two {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
    gate: watch::Sender<bool>,
    useless: Arc<Notify>,
    held: Arc<AtomicUsize>,
    metrics: Arc<Metrics>,
    task: JoinHandle<()>,
}

fn wire(me: NodeId, secret: &[u8], settings: WireSettings) -> Arc<Wire> {
    let metrics = Arc::default();
    Arc::new(Wire::new(me, Secret::new(secret), settings, metrics))
}

async fn serve_with(settings: WireSettings, memory: Budget) -> Two {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, seen) = mpsc::unbounded_channel();
    let (gate, useless) = (watch::Sender::new(false), Arc::<Notify>::default());
    let held = Arc::<AtomicUsize>::default();
    let answers = Arc::new(Answers {
        seen: sender,
        gate: gate.clone(),
        useless: Arc::clone(&useless),
        held: Arc::clone(&held),
    });
    let metrics = Arc::new(Metrics::of(memory));
    let two = Wire::new(TWO, Secret::new(SECRET), settings, metrics);
    let calls = Arc::clone(&answers) as Arc<dyn Calls>;
    Two {
        address,
        seen,
        gate,
        useless,
        held,
        metrics: Arc::clone(&two.metrics),
        task: tokio::spawn(two.serve(listener, calls, answers)),
    }
}

async fn serve() -> Two {
    serve_with(WireSettings::default(), Budget::default()).await
}

impl Two {
    /// A node that knows this one.
    fn one(&self) -> Arc<Wire> {
        let settings = WireSettings {
            call_timeout: LONG,
            ..WireSettings::default()
        };
        let one = wire(ONE, SECRET, settings);
        one.set_nodes(&[self.info()]);
        one
    }

    fn info(&self) -> NodeInfo {
        NodeInfo {
            id: TWO,
            address: self.address.to_string(),
            state: NodeState::Ready,
            version: String::new(),
        }
    }

    async fn sees(&mut self) -> Seen {
        let seen = timeout(LONG, self.seen.recv()).await;
        seen.expect("nothing is seen in time").expect("it lives")
    }

    /// Connects without being a node.
    async fn stranger(&self) -> SendRequest<Body> {
        let stream = TcpStream::connect(self.address).await.expect("connected");
        let made =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = made.await.expect("HTTP/2");
        tokio::spawn(connection);
        sender
    }
}

fn claim(number: u64) -> Claim {
    Claim {
        from: ONE,
        to: TWO,
        time: connection::seconds(),
        series: 5,
        number,
        said: digest_of(b"echo"),
    }
}

fn request(path: &str, proof: &str) -> Request<Body> {
    request_of(path, proof, "echo")
}

fn request_of(path: &str, proof: &str, said: &'static str) -> Request<Body> {
    let request = Request::post(format!("http://node{path}")).header(HEADER, proof);
    let body = Body::whole(Bytes::from_static(said.as_bytes()));
    request.body(body).expect("a request")
}

/// Waits until a connection is cut off.
async fn cut(stranger: &mut SendRequest<Body>) {
    let cut = async {
        while stranger.ready().await.is_ok() && !stranger.is_closed() {
            tokio::task::yield_now().await;
        }
    };
    in_time(cut).await;
}

async fn ask(
    sender: &mut SendRequest<Body>,
    request: Request<Body>,
) -> hyper::Result<Response<Incoming>> {
    let asked = sender.send_request(request);
    timeout(LONG, asked).await.expect("an answer in time")
}

fn pass(wire: &Arc<Wire>, text: &'static str) -> Pass {
    wire.pass(TWO, Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn a_request_that_waits_for_its_answer_is_small() {
    let one = wire(ONE, SECRET, WireSettings::default());
    let size = size_of_val(&one.ask(TWO, PASS, Body::whole(Bytes::new())));
    assert!(
        size <= 1024,
        "every poll that is passed on costs {size} bytes"
    );
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(LONG, future).await.expect("in time")
}

#[tokio::test]
async fn calls_are_answered_or_refused() {
    let mut two = serve().await;
    let one = two.one();
    for kind in CallKind::ALL {
        let body = Bytes::from_static(b"echo");
        let answer = one.call(TWO, kind, body.clone()).await;
        assert_eq!(answer, Ok(body.clone()));
        assert_eq!(two.sees().await, Seen::Call(ONE, kind, body));
    }
    let refused = one.call(TWO, CallKind::Take, Bytes::from_static(b"refuse"));
    assert_eq!(refused.await, Err(CallFailed::Refused("no".to_owned())));
    // More than a window of flow control at once, there and back.
    let large = Bytes::from(vec![7; 3_000_000]);
    let answer = one.call(TWO, CallKind::Give, large.clone()).await;
    assert!(answer == Ok(large));
}

#[tokio::test]
async fn what_is_not_heard_is_told_from_what_is_not_answered() {
    let mut two = serve().await;
    let never = || Bytes::from_static(b"never");
    let settings = WireSettings {
        call_timeout: Duration::from_millis(300),
        ..WireSettings::default()
    };
    let one = wire(ONE, SECRET, settings);
    let unknown = one.call(TWO, CallKind::Give, never()).await;
    assert_eq!(unknown, Err(CallFailed::Unreachable(TWO)));
    one.set_nodes(&[two.info()]);
    let unanswered = one.call(TWO, CallKind::Give, never()).await;
    assert_eq!(unanswered, Err(CallFailed::NoAnswer(TWO)));
    assert!(matches!(two.sees().await, Seen::Call(..)));

    // It dies in the middle of a call.
    let one = two.one();
    let calling = Arc::clone(&one);
    let call = tokio::spawn(async move { calling.call(TWO, CallKind::Give, never()).await });
    assert!(matches!(two.sees().await, Seen::Call(..)));
    two.task.abort();
    let broken = in_time(call).await.expect("no panic");
    assert_eq!(broken, Err(CallFailed::NoAnswer(TWO)));
    let _ = (&mut two.task).await;
    let gone = one.call(TWO, CallKind::Give, never()).await;
    assert_eq!(gone, Err(CallFailed::Unreachable(TWO)));
}

#[tokio::test]
async fn a_connection_is_made_again() {
    let two = serve().await;
    let one = two.one();
    let echo = || one.call(TWO, CallKind::Give, Bytes::from_static(b"echo"));
    assert!(echo().await.is_ok());
    two.task.abort();
    while echo().await.is_ok() {}
    // The same node has another address.
    let again = serve().await;
    one.set_nodes(&[again.info()]);
    assert!(echo().await.is_ok());
    // Another node has the address of the one that was meant.
    let settings = WireSettings::default();
    let three = wire(ONE, SECRET, settings);
    three.set_nodes(&[NodeInfo {
        id: NodeId(3),
        ..again.info()
    }]);
    let misdirected = three.call(NodeId(3), CallKind::Give, Bytes::new()).await;
    assert_eq!(misdirected, Err(CallFailed::Unreachable(NodeId(3))));
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_refused_and_cut_off() {
    let mut two = serve().await;
    let secret = Secret::new(SECRET);
    let path = "/call/give";
    let old = Claim {
        time: connection::seconds() - 100,
        ..claim(1)
    };
    let proofs = [
        String::new(),
        Secret::new(b"another").prove(path, &claim(1)),
        secret.prove("/pass", &claim(1)),
        secret.prove(path, &old),
    ];
    for (count, proof) in proofs.iter().enumerate() {
        let mut stranger = two.stranger().await;
        let answer = ask(&mut stranger, request(path, proof))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{proof}");
        // It has asked once.
        cut(&mut stranger).await;
        assert_eq!(two.metrics.cluster.strangers.value(), count as u64 + 1);
    }
    assert!(two.seen.try_recv().is_err());

    // A node with another secret is told.
    let other = wire(ONE, b"another", WireSettings::default());
    other.set_nodes(&[two.info()]);
    let refused = other.call(TWO, CallKind::Give, Bytes::new()).await;
    let Err(CallFailed::Refused(reason)) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("cluster.secret"), "{reason}");
    let told = format!("{TWO} at {}: {reason}", two.info().address);
    assert_eq!(other.metrics.cluster.refusing.lately(), Some(told.into()));
    assert_eq!(two.one().metrics.cluster.refusing.lately(), None);
}

#[tokio::test]
async fn what_was_said_to_another_node_makes_nobody_one() {
    let mut two = serve().await;
    let path = "/call/give";
    let other = Claim {
        to: NodeId(3),
        ..claim(1)
    };
    let proof = Secret::new(SECRET).prove(path, &other);
    let mut stranger = two.stranger().await;
    let answer = ask(&mut stranger, request(path, &proof)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST);
    cut(&mut stranger).await;
    assert!(two.seen.try_recv().is_err());
}

#[tokio::test]
async fn nobody_changes_what_a_node_says() {
    let mut two = serve().await;
    let (secret, path) = (Secret::new(SECRET), "/call/give");
    let mut between = two.stranger().await;
    let forged = request_of(path, &secret.prove(path, &claim(1)), "ECHO");
    let answer = ask(&mut between, forged).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    cut(&mut between).await;
    let mut between = two.stranger().await;
    let begun = Claim {
        series: 6,
        said: digest_of(b"a poll"),
        ..claim(1)
    };
    let mut forged = request(PASS, &secret.prove(PASS, &begun));
    *forged.body_mut() = Body::whole(inbox::framed(b"A poll"));
    let answer = ask(&mut between, forged).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(two.seen.try_recv().is_err());
    assert_eq!(two.metrics.cluster.strangers.value(), 2);
}

/// Answers whatever is asked, as somebody does who does not know the secret.
async fn pretender() -> NodeInfo {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let service = hyper::service::service_fn(|request: Request<Incoming>| async move {
            let said = match request.uri().path() {
                PASS => inbox::framed(b"a lie"),
                _ => Bytes::from_static(b"a lie"),
            };
            Ok::<_, std::convert::Infallible>(Response::new(Body::whole(said)))
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let _ = server.serve_connection(TokioIo::new(stream), service).await;
    });
    NodeInfo {
        id: TWO,
        address,
        state: NodeState::Ready,
        version: String::new(),
    }
}

#[tokio::test]
async fn nobody_answers_for_a_node() {
    let one = wire(ONE, SECRET, WireSettings::default());
    one.set_nodes(&[pretender().await]);
    let answer = one.call(TWO, CallKind::Take, Bytes::new()).await;
    assert_eq!(answer, Err(CallFailed::NoAnswer(TWO)));
    let passed = in_time(pass(&one, "a poll")).await;
    assert!(matches!(passed, Err(CallFailed::NoAnswer(TWO))));
}

#[tokio::test]
async fn strangers_do_not_keep_nodes_out() {
    let two = serve().await;
    let mut idle = Vec::new();
    let mut crowd = async || {
        for _ in 0..200 {
            idle.push(TcpStream::connect(two.address).await.expect("connected"));
        }
    };
    crowd().await;
    let one = two.one();
    let echo = || one.call(TWO, CallKind::Give, Bytes::from_static(b"echo"));
    assert!(echo().await.is_ok());
    // Whoever has shown that it is a node is none of them any more.
    let (_, receipt) = {
        two.gate.send_replace(true);
        in_time(pass(&one, "a poll")).await.expect("an answer")
    };
    crowd().await;
    let mut context = Context::from_waker(Waker::noop());
    assert!(receipt.poll_useless(&mut context).is_pending());
    assert!(echo().await.is_ok());
}

#[tokio::test]
async fn a_stranger_is_not_heard_for_long() {
    const PINGS: usize = 10_000;
    let two = serve().await;
    let stream = TcpStream::connect(two.address).await.expect("connected");
    let (mut reading, mut writing) = stream.into_split();
    let mut said = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let ping = b"\0\0\x08\x06\0\0\0\0\0pingping";
    said.extend(ping.repeat(PINGS));
    tokio::spawn(async move {
        let _ = writing.write_all(&said).await;
        std::future::pending::<()>().await;
    });
    let mut answered = Vec::new();
    let _ = in_time(reading.read_to_end(&mut answered)).await;
    let pongs = answered.windows(8).filter(|bytes| *bytes == b"pingping");
    let pongs = pongs.count();
    assert!(pongs > 0 && pongs < 1_000, "{pongs}");
}

#[tokio::test]
async fn what_nodes_say_counts_as_memory() {
    let mut two = serve_with(WireSettings::default(), Budget::new(64 * 1024 * 1024)).await;
    let one = two.one();
    let large = || Bytes::from(vec![b'x'; 1_000_000]);
    assert!(one.call(TWO, CallKind::Give, large()).await.is_ok());
    assert!(matches!(two.sees().await, Seen::Call(..)));
    assert_eq!(two.metrics.memory.of(Kind::Requests), 0);
    // Once there is none left, only what everybody may have is heard.
    let _all = Charge::new(&two.metrics.memory, Kind::History, 64 * 1024 * 1024);
    let refused = one.call(TWO, CallKind::Give, large()).await;
    assert!(
        matches!(refused, Err(CallFailed::Refused(_))),
        "{refused:?}"
    );
    assert!(two.seen.try_recv().is_err());
    let small = one.call(TWO, CallKind::Give, Bytes::from_static(b"echo"));
    assert!(small.await.is_ok());
}

#[tokio::test]
async fn what_was_sent_before_is_refused() {
    let mut two = serve().await;
    let (secret, path) = (Secret::new(SECRET), "/call/give");
    let first = secret.prove(path, &claim(1));
    let mut node = two.stranger().await;
    let answer = ask(&mut node, request(path, &first))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(matches!(two.sees().await, Seen::Call(..)));
    // By another connection, with another body: while the first lives, and afterwards.
    for _ in 0..2 {
        for number in [1, 2] {
            let proof = secret.prove(path, &claim(number));
            let mut replay = two.stranger().await;
            let answer = ask(&mut replay, request(path, &proof))
                .await
                .expect("an answer");
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        }
        // By its own; it is cut off then.
        let _ = ask(&mut node, request(path, &first)).await;
    }
    assert!(two.seen.try_recv().is_err());
}

#[tokio::test]
async fn a_stranger_has_not_long() {
    let two = serve().await;
    let mut silent = TcpStream::connect(two.address).await.expect("connected");
    let mut noise = TcpStream::connect(two.address).await.expect("connected");
    noise
        .write_all(b"GET / HTTP/1.1\r\n\r\n")
        .await
        .expect("sent");
    let mut bytes = Vec::new();
    let _ = in_time(noise.read_to_end(&mut bytes)).await;
    let _ = in_time(silent.read_to_end(&mut bytes)).await;
}

#[tokio::test]
async fn an_answer_is_confirmed_or_taken_back() {
    let mut two = serve().await;
    let one = two.one();
    two.gate.send_replace(true);
    for (is_written, expected) in [(true, Seen::Written), (false, Seen::NotWritten)] {
        let (answer, receipt) = in_time(pass(&one, "a poll")).await.expect("an answer");
        assert_eq!(answer, "a poll");
        assert_eq!(two.sees().await, Seen::Begun(answer));
        assert!(two.seen.try_recv().is_err());
        if is_written {
            receipt.written();
        } else {
            drop(receipt);
        }
        assert_eq!(two.sees().await, expected);
    }
    let metrics = &one.metrics.cluster;
    assert_eq!(
        (metrics.passed.value(), metrics.passed_total.value()),
        (0, 2)
    );
}

#[tokio::test]
async fn an_owner_that_wants_an_answer_back_still_hears_that_it_was_written() {
    let mut two = serve().await;
    let one = two.one();
    two.gate.send_replace(true);
    for (is_written, expected) in [(true, Seen::Written), (false, Seen::NotWritten)] {
        let (_, receipt) = in_time(pass(&one, "a poll")).await.expect("an answer");
        assert!(matches!(two.sees().await, Seen::Begun(_)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(receipt.poll_useless(&mut context).is_pending());
        two.useless.notify_one();
        in_time(poll_fn(|context| receipt.poll_useless(context))).await;
        assert!(two.seen.try_recv().is_err());
        if is_written {
            receipt.written();
        } else {
            drop(receipt);
        }
        assert_eq!(two.sees().await, expected);
    }
}

#[tokio::test]
async fn a_client_that_leaves_and_a_node_that_stops_are_told() {
    let mut two = serve().await;
    let one = two.one();
    let mut left = pass(&one, "left");
    let mut stopped = pass(&one, "stopped");
    let begun = async {
        tokio::select! {
            _ = &mut left => unreachable!("it is held"),
            _ = &mut stopped => unreachable!("it is held"),
            seen = async { (two.sees().await, two.sees().await) } => seen,
        }
    };
    let begun = begun.await;
    assert!(matches!(begun, (Seen::Begun(_), Seen::Begun(_))));
    drop(left);
    assert_eq!(two.sees().await, Seen::GivenUp);
    stopped.hasten();
    let (answer, receipt) = in_time(stopped).await.expect("an answer");
    assert_eq!(
        (answer, two.sees().await),
        ("stopped".into(), Seen::Hastened)
    );
    receipt.written();
    assert_eq!(two.sees().await, Seen::Written);
    // One that reads, and sends nothing more.
    let closed = pass(&one, "closed");
    closed.note_closed();
    let (_, receipt) = in_time(closed).await.expect("an answer");
    assert_eq!(two.sees().await, Seen::Begun("closed".into()));
    assert_eq!(two.sees().await, Seen::ClientClosed);
    receipt.written();
    assert_eq!(two.sees().await, Seen::Written);
}

#[tokio::test]
async fn of_an_answer_whose_carrier_dies_nobody_knows_what_became_of_it() {
    let mut two = serve().await;
    let one = two.one();
    two.gate.send_replace(true);
    let (_, receipt) = in_time(pass(&one, "a poll")).await.expect("an answer");
    assert!(matches!(two.sees().await, Seen::Begun(_)));
    // And the carrier hears that the owner has died.
    two.task.abort();
    assert_eq!(two.sees().await, Seen::Lost);
    in_time(poll_fn(|context| receipt.poll_useless(context))).await;
}

#[tokio::test]
async fn thousands_are_held_by_one_connection() {
    const POLLS: usize = 2_000;
    let mut two = serve().await;
    let one = two.one();
    let polls = (0..POLLS).map(|_| {
        let pass = pass(&one, "a poll");
        tokio::spawn(async move { pass.await.map(|(_, receipt)| receipt.written()) })
    });
    let polls: Vec<_> = polls.collect();
    for _ in 0..POLLS {
        assert!(matches!(two.sees().await, Seen::Begun(_)));
    }
    assert_eq!(two.metrics.cluster.served.value(), POLLS as i64);
    // Calls are answered beside them.
    let echo = one.call(TWO, CallKind::Give, Bytes::from_static(b"echo"));
    assert!(in_time(echo).await.is_ok());
    assert!(matches!(two.sees().await, Seen::Call(..)));
    two.gate.send_replace(true);
    for answer in in_time(join_all(polls)).await {
        answer.expect("no panic").expect("an answer");
    }
    for _ in 0..POLLS {
        assert_eq!(two.sees().await, Seen::Written);
    }
    assert_eq!(two.held.load(Relaxed), POLLS);
}

#[tokio::test]
async fn there_is_a_bound_on_what_is_passed_on() {
    let settings = WireSettings {
        max_passed: 1,
        ..WireSettings::default()
    };
    let mut two = serve_with(settings, Budget::default()).await;
    let one = two.one();
    let mut held = pass(&one, "held");
    let begun = async {
        tokio::select! {
            _ = &mut held => unreachable!("it is held"),
            seen = two.sees() => seen,
        }
    };
    assert!(matches!(begun.await, Seen::Begun(_)));
    let refused = in_time(pass(&one, "too many")).await;
    let Err(CallFailed::Refused(reason)) = refused else {
        panic!("it is answered");
    };
    assert!(reason.contains("cluster.max_passed"), "{reason}");
    assert_eq!(two.metrics.limit_count(crate::metrics::Limit::MaxPassed), 1);
    drop(held);
    assert_eq!(two.sees().await, Seen::GivenUp);
}
