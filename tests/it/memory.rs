//! The budget of memory: what is counted is what there is, and a flood stays within it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::program::{Serving, mirant};
use crate::support::{Client, Http, Http2, PATIENCE, Request, WebSocket, upgrade};

const MIB: f64 = 1024.0 * 1024.0;

/// A server in a process of its own, whose memory can be asked for from outside.
struct Server {
    serving: Serving,
    address: SocketAddr,
    admin: SocketAddr,
}

/// What the server counts, and what the system says.
#[derive(Debug, Clone)]
struct Figures {
    by_name: HashMap<String, f64>,
    resident: f64,
}

impl Server {
    fn start(settings: &[&str]) -> Self {
        let mut command = mirant(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(["--set", "admin.listen=127.0.0.1:0", "--log-level", "error"]);
        for setting in settings {
            command.args(["--set", setting]);
        }
        // What is freed goes back to the system at once, so that what is resident is in use.
        command.env("_RJEM_MALLOC_CONF", "dirty_decay_ms:0");
        let mut serving = Serving::of(&mut command);
        let address = serving.address();
        serving.line();
        let line = serving.line();
        let admin = line.strip_prefix("admin on http://").unwrap();
        let admin = admin.strip_suffix("/metrics\n").unwrap().parse().unwrap();
        Self {
            serving,
            address,
            admin,
        }
    }

    async fn figures(&self) -> Figures {
        let request = Request::new("GET", "/metrics");
        let response = Http::open(self.admin).await.exchange(request).await;
        let lines = response
            .text()
            .lines()
            .filter(|line| !line.starts_with('#'));
        let by_name = lines.map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        });
        let status = format!("/proc/{}/status", self.serving.child.id());
        let status = std::fs::read_to_string(status).unwrap();
        // Without the program itself, whose pages come as they are used.
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kibibytes: f64 = line
            .and_then(|line| line.split_whitespace().nth(1))
            .unwrap()
            .parse()
            .unwrap();
        Figures {
            by_name: by_name.collect(),
            resident: kibibytes * 1024.0,
        }
    }

    /// Waits until the figures are so, but not for ever.
    async fn until_or_late(&self, is_so: impl Fn(&Figures) -> bool) -> Figures {
        let late = Instant::now() + 2 * PATIENCE;
        loop {
            let figures = self.figures().await;
            if is_so(&figures) || late < Instant::now() {
                return figures;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Figures {
    fn of(&self, name: &str) -> f64 {
        self.by_name[name]
    }

    fn counted(&self, kind: &str) -> f64 {
        self.of(&format!("mirant_memory_bytes{{kind=\"{kind}\"}}"))
    }

    fn all_counted(&self) -> f64 {
        let kinds = self.by_name.iter();
        let kinds = kinds.filter(|(name, _)| name.starts_with("mirant_memory_bytes"));
        kinds.map(|(_, bytes)| bytes).sum()
    }
}

/// Sessions that live as long as a test, and no bound in its way.
const LASTING: [&str; 8] = [
    "websocket.ping_interval=10m",
    "http.header_timeout=10m",
    "http.body_timeout=10m",
    "bayeux.max_interval=10m",
    "bayeux.max_unconnected=10m",
    "bayeux.max_queue=1000000",
    "bayeux.max_queue_bytes=1GiB",
    "bayeux.publish_without_session=true",
];

#[tokio::test]
async fn a_poll_by_http_2_takes_at_most_4_kib_beside_its_connection() {
    const CONNECTIONS: usize = 40;
    const TABS: usize = 25;
    let prior = "http.http2_prior_knowledge=true";
    let server = Server::start(&[&LASTING[..], &[prior]].concat());
    let (mut connections, mut polls) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let mut http = Http2::open(server.address).await;
        for _ in 0..TABS {
            let mut client = Client::new(server.address);
            let handshake = json!([{"channel": "/meta/handshake", "version": "1.0"}]);
            let response = http.exchange(&Request::post(handshake.to_string())).await;
            client.cookie = response.cookie().map(str::to_owned);
            client.id = response.messages()[0]["clientId"]
                .as_str()
                .unwrap()
                .to_owned();
            let connect = client.message(json!({
                "channel": "/meta/connect", "connectionType": "long-polling",
            }));
            let connect = client.request(json!([connect]).to_string());
            assert_eq!(http.exchange(&connect).await.status, 200);
            polls.push(connect);
        }
        connections.push(http);
    }
    // What is freed goes back a little later.
    let counted = |figures: &Figures| figures.of("mirant_http2_streams");
    let before = server
        .until_or_late(|figures| counted(figures) == 0.0)
        .await;
    let mut held = Vec::new();
    for (at, poll) in polls.iter().enumerate() {
        held.push(connections[at / TABS].send(poll).await);
    }
    let all = (CONNECTIONS * TABS) as f64;
    let each = |after: &Figures| (after.resident - before.resident) / all;
    let is_so = |after: &Figures| counted(after) == all && each(after) <= 4096.0;
    let after = server.until_or_late(is_so).await;
    assert_eq!(counted(&after), all);
    let bytes = each(&after);
    eprintln!("a poll by HTTP/2 takes {bytes:.0} bytes");
    assert!((256.0..=4096.0).contains(&bytes), "{bytes}");
}

/// Lets something grow, and compares what is counted of that with what the process has more.
async fn grows<F: Future>(kind: &str, settings: &[&str], grow: impl FnOnce(SocketAddr) -> F) {
    let server = Server::start(&[&LASTING, settings].concat());
    // Threads and tables have what they need anyway.
    sessions_of(server.address, 200, |_| json!("/warm")).await;
    let before = server.figures().await;
    let kept = grow(server.address).await;
    // Pages that were freed meanwhile stay resident for some seconds.
    let is_near = |after: &Figures| {
        let resident = after.resident - before.resident;
        let counted = after.all_counted() - before.all_counted();
        (0.7..1.3).contains(&(counted / resident))
    };
    let after = server.until_or_late(is_near).await;
    drop(kept);
    let resident = after.resident - before.resident;
    let counted = after.all_counted() - before.all_counted();
    let of_kind = after.counted(kind) - before.counted(kind);
    eprintln!(
        "{kind}: {:.1} MiB counted, {:.1} in all, {:.1} resident, {:.1} allocated: {:.2}",
        of_kind / MIB,
        counted / MIB,
        resident / MIB,
        (after.of("mirant_memory_allocated_bytes") - before.of("mirant_memory_allocated_bytes"))
            / MIB,
        counted / resident,
    );
    assert!(of_kind > 0.4 * counted, "{kind} is what has grown");
    assert!(resident > 8.0 * MIB, "{kind}: too little to tell");
    assert!((0.7..1.3).contains(&(counted / resident)), "{kind}");
}

/// Makes sessions on one connection, and subscribes each to something, if it is to be; returns their ids.
async fn sessions_of(
    address: SocketAddr,
    count: usize,
    subscription: impl Fn(usize) -> Value,
) -> Vec<String> {
    let mut ids = Vec::new();
    let mut http = Http::open(address).await;
    for number in 0..count {
        let handshake = r#"[{"channel":"/meta/handshake"}]"#;
        let reply = http.exchange(Request::post(handshake)).await.messages();
        let subscription = subscription(number);
        if !subscription.is_null() {
            let message = json!([{"channel": "/meta/subscribe",
                "clientId": reply[0]["clientId"], "subscription": subscription}]);
            let reply = http.exchange(Request::post(message.to_string())).await;
            assert_eq!(reply.messages()[0]["successful"], true, "{reply:?}");
        }
        ids.push(reply[0]["clientId"].as_str().unwrap().to_owned());
    }
    ids
}

#[tokio::test]
async fn sessions_are_counted() {
    grows("sessions", &[], |address| {
        sessions_of(address, 20_000, |_| Value::Null)
    })
    .await;
}

#[tokio::test]
async fn subscriptions_are_counted() {
    grows("subscriptions", &[], |address| async move {
        let channels = |session: usize| {
            let names = (0..1000).map(|channel| format!("/news/{session}/{channel}"));
            names.collect::<Vec<_>>().into()
        };
        sessions_of(address, 60, channels).await;
    })
    .await;
}

#[tokio::test]
async fn subscriptions_to_the_same_are_counted() {
    grows(
        "subscriptions",
        &["bayeux.max_message_size=1MiB"],
        |address| async move {
            let channels = |_| {
                let names = (0..1000).map(|channel| format!("/news/{channel}"));
                names.collect::<Vec<_>>().into()
            };
            sessions_of(address, 200, channels).await;
        },
    )
    .await;
}

/// Publishes batches without a session.
async fn publish(address: SocketAddr, batches: usize, messages: usize, message: &Value) {
    let mut http = Http::open(address).await;
    let batch = Value::from(vec![message.clone(); messages]).to_string();
    for _ in 0..batches {
        let replies = http.exchange(Request::post(batch.clone())).await.messages();
        assert_eq!(replies[0]["successful"], true, "{}", replies[0]);
    }
}

#[tokio::test]
async fn the_places_of_small_events_in_many_queues_are_counted() {
    grows("queues", &[], |address| async move {
        sessions_of(address, 400, |_| json!("/tick")).await;
        let message = json!({"channel": "/tick", "data": 1});
        publish(address, 70, 100, &message).await;
    })
    .await;
}

#[tokio::test]
async fn large_events_are_counted_once() {
    grows("events", &[], |address| async move {
        sessions_of(address, 20, |_| json!("/large")).await;
        let message = json!({"channel": "/large", "data": "x".repeat(30_000)});
        publish(address, 600, 2, &message).await;
    })
    .await;
}

#[tokio::test]
async fn events_that_came_deflated_are_counted() {
    grows("events", &[], |address| async move {
        sessions_of(address, 1, |_| json!("/bomb")).await;
        let offer = upgrade().header("Sec-WebSocket-Extensions", "permessage-deflate");
        let mut socket = WebSocket::open_with(address, offer).await;
        socket.handshake().await;
        let message = json!([{"channel": "/bomb", "clientId": socket.id,
            "data": "x".repeat(60_000)}]);
        for _ in 0..600 {
            socket.deflated(&message.to_string()).await;
            assert_eq!(socket.message().await["successful"], true);
        }
    })
    .await;
}

#[tokio::test]
async fn resources_are_counted() {
    let settings = ["channel=[{pattern=\"/kept/**\",resource=true}]"];
    grows("resources", &settings, |address| async move {
        let mut http = Http::open(address).await;
        for number in 0..9000 {
            let data = "x".repeat(4000);
            let request = Request::new("PUT", &format!("/resources/kept/{number}"));
            let request = request.body(format!("\"{data}\""));
            let response = http.exchange(request).await;
            assert_eq!(response.status, 201);
        }
    })
    .await;
}

#[tokio::test]
async fn partial_bodies_are_counted() {
    grows("requests", &[], |address| async move {
        let mut connections = Vec::new();
        for _ in 0..600 {
            let mut http = Http::open(address).await;
            let request = Request::post("x".repeat(60_000)).bytes();
            http.send(&request[..request.len() - 1]).await;
            connections.push(http);
        }
        settle().await;
        connections
    })
    .await;
}

#[tokio::test]
async fn partial_heads_are_counted() {
    grows("requests", &[], |address| async move {
        let mut connections = Vec::new();
        for _ in 0..2000 {
            let mut http = Http::open(address).await;
            http.send("POST /cometd HTTP/1.1\r\nHost: localhost\r\n")
                .await;
            connections.push(http);
        }
        settle().await;
        connections
    })
    .await;
}

#[tokio::test]
async fn partial_frames_are_counted() {
    grows("requests", &[], |address| async move {
        let mut sockets = Vec::new();
        for _ in 0..600 {
            let mut socket = WebSocket::open(address).await;
            // The first frame of a message.
            socket.frame(0x01, &[b' '; 60_000]).await;
            sockets.push(socket);
        }
        settle().await;
        sockets
    })
    .await;
}

#[tokio::test]
async fn connections_are_counted() {
    grows("connections", &[], |address| async move {
        let mut connections = Vec::new();
        for _ in 0..9000 {
            connections.push(Http::open(address).await);
        }
        settle().await;
        connections
    })
    .await;
}

#[tokio::test]
async fn clients_with_held_connects_are_counted() {
    grows("sessions", &[], |address| async move {
        let mut clients = Vec::new();
        for _ in 0..4500 {
            let mut client = Client::new(address).without_cookies();
            let handshake = client.message(json!({"channel": "/meta/handshake"}));
            let request = Request::post(json!([handshake]).to_string());
            let http = client.poll_connection().await;
            let reply = http.exchange(request).await.messages().remove(0);
            reply["clientId"]
                .as_str()
                .unwrap()
                .clone_into(&mut client.id);
            client.poll().await;
            client.polled().await;
            client.poll().await;
            clients.push(client);
        }
        settle().await;
        clients
    })
    .await;
}

#[tokio::test]
async fn responses_to_slow_readers_are_counted() {
    let settings = [
        "channel=[{pattern=\"/kept/**\",resource=true}]",
        "http.max_unsent=4KiB",
        "bayeux.max_message_size=1MiB",
    ];
    grows("responses", &settings, |address| async move {
        let request = Request::new("PUT", "/resources/kept/large");
        let request = request.body(format!("\"{}\"", "x".repeat(300_000)));
        Http::open(address).await.exchange(request).await;
        let mut connections = Vec::new();
        for _ in 0..100 {
            let mut http = Http::open_narrow(address).await;
            let request = Request::new("GET", "/resources/kept/large");
            http.send(request.bytes()).await;
            connections.push(http);
        }
        settle().await;
        connections
    })
    .await;
}

/// Lets the server take what was sent.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// What a server may take beside its budget: what it has when it does nothing, its stacks, and what the allocator keeps.
const BESIDE: f64 = 8.0 * MIB;

/// A client that publishes to itself, one message after the other, and must get them all.
struct Neighbour {
    stop: watch::Sender<bool>,
    task: JoinHandle<Served>,
}

/// How a client was served.
#[derive(Debug, Default)]
struct Served {
    received: u64,
    refused: u64,
}

impl Neighbour {
    async fn new(address: SocketAddr) -> Self {
        let mut socket = WebSocket::client(address).await;
        socket.subscribe("/neighbour").await;
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut served = Served::default();
            while !*stopped.borrow() {
                served.publish(&mut socket).await;
            }
            served
        });
        Self { stop, task }
    }

    async fn stop(self) -> Served {
        self.stop.send_replace(true);
        self.task.await.unwrap()
    }
}

impl Served {
    /// Publishes the next number until it is taken, and waits for it.
    async fn publish(&mut self, socket: &mut WebSocket) {
        loop {
            let message = json!({"channel": "/neighbour", "data": self.received});
            socket.send(message).await;
            let (mut is_taken, mut is_there) = (None, false);
            while is_taken.is_none() || is_taken == Some(true) && !is_there {
                for message in socket.messages().await {
                    if message["successful"].is_boolean() {
                        is_taken = Some(message["successful"] == true);
                        let error = &message["error"];
                        assert!(error.is_null() || error == "503::memory_short", "{error}");
                    } else {
                        assert_eq!(message["data"], self.received);
                        is_there = true;
                    }
                }
            }
            if is_taken == Some(true) {
                self.received += 1;
                return;
            }
            self.refused += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Floods a server with a small budget, and looks at what becomes of it and of another client.
async fn withstands<F: Future<Output = Vec<String>>>(
    budget: f64,
    settings: &[&str],
    flood: impl FnOnce(SocketAddr) -> F,
) {
    let budget_setting = format!("memory.budget={budget}");
    let server = Server::start(&[&LASTING[..], &[&*budget_setting], settings].concat());
    let neighbour = Neighbour::new(server.address).await;
    let mut largest: f64 = 0.0;
    let flooding = flood(server.address);
    tokio::pin!(flooding);
    let ids = loop {
        tokio::select! {
            ids = &mut flooding => break ids,
            figures = server.figures() => largest = largest.max(figures.resident),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let after = server.figures().await;
    let served = neighbour.stop().await;
    let ended = after.of("mirant_sessions_ended_total{reason=\"memory\"}");
    eprintln!(
        "{served:?}, {:.1} MiB at most, {:.1} at the end, {ended} ended, {} refused",
        largest / MIB,
        after.resident / MIB,
        after.of("mirant_memory_refused_total"),
    );
    assert!(largest.max(after.resident) < budget + BESIDE);
    assert!(after.of("mirant_limit_reached_total{limit=\"memory.budget\"}") > 0.0);
    assert!(served.received > 20, "{served:?}");
    if ended > 0.0 {
        told(server.address, &ids).await;
    }
    // There is room again, without anybody's help.
    let is_ample = |figures: &Figures| figures.all_counted() < budget * 12.0 / 16.0;
    assert!(is_ample(&server.until_or_late(is_ample).await));
    let mut late = Client::new(server.address);
    assert_eq!(late.handshake().await["successful"], true);
    late.subscribe("/late").await;
    let reply = late.publish("/late", 1).await;
    assert_eq!(reply.last().unwrap()["successful"], true, "{reply:?}");
}

/// Some of these sessions have ended, and their clients hear of it with the usual advice.
async fn told(address: SocketAddr, ids: &[String]) {
    let mut http = Http::open(address).await;
    let mut told = 0;
    for id in ids {
        let connect = json!([{"channel": "/meta/connect", "clientId": id,
            "connectionType": "long-polling", "advice": {"timeout": 0}}]);
        let replies = http.exchange(Request::post(connect.to_string())).await;
        let reply = replies.messages().pop().unwrap();
        if reply["successful"] == false {
            assert_eq!(reply["error"], "402::session_unknown");
            assert_eq!(reply["advice"]["reconnect"], "handshake");
            told += 1;
        }
    }
    assert!(told > 0);
}

#[tokio::test]
async fn deflated_frames_do_not_make_more_than_there_may_be() {
    withstands(
        64.0 * MIB,
        &["bayeux.max_queue_bytes=4MiB"],
        |address| async move {
            const SESSIONS: usize = 66;
            let ids = sessions_of(address, SESSIONS, |session| {
                json!(format!("/bomb/{session}"))
            })
            .await;
            let offer = upgrade().header("Sec-WebSocket-Extensions", "permessage-deflate");
            let mut socket = WebSocket::open_with(address, offer).await;
            socket.handshake().await;
            for session in 0..SESSIONS {
                let channel = format!("/bomb/{session}");
                let message = json!([{"channel": channel, "clientId": socket.id,
                "data": "x".repeat(60_000)}]);
                let message = message.to_string();
                for _ in 0..64 {
                    socket.deflated(&message).await;
                    socket.message().await;
                }
            }
            ids
        },
    )
    .await;
}

#[tokio::test]
async fn posts_to_thousands_of_sessions_do_not_make_more_than_there_may_be() {
    withstands(32.0 * MIB, &[], |address| async move {
        let ids = sessions_of(address, 1200, |_| json!("/tick")).await;
        let mut http = Http::open(address).await;
        let message = json!({"channel": "/tick", "data": 1});
        let batch = Value::from(vec![message; 50]).to_string();
        for _ in 0..60 {
            http.exchange(Request::post(batch.clone())).await;
        }
        ids[..100].to_vec()
    })
    .await;
}

#[tokio::test]
async fn partial_bodies_do_not_make_more_than_there_may_be() {
    withstands(64.0 * MIB, &[], |address| async move {
        let ids = sessions_of(address, 10, |_| json!("/x")).await;
        let mut connections = Vec::new();
        for _ in 0..2000 {
            let mut http = Http::open(address).await;
            let request = Request::post("x".repeat(60_000)).bytes();
            // It may be refused before it is sent.
            http.try_send(&request[..request.len() - 1]).await;
            connections.push(http);
        }
        settle().await;
        let mut refused = 0;
        for http in &mut connections {
            if let Some(response) = http.more().now_or_never().flatten() {
                assert!(response.starts_with(b"HTTP/1.1 503 "));
                refused += 1;
            }
        }
        assert!(refused > 0);
        ids
    })
    .await;
}

#[tokio::test]
async fn no_session_begins_while_memory_is_short_and_those_that_are_there_are_served() {
    let server = Server::start(&[&LASTING[..], &["memory.budget=16MiB"]].concat());
    let mut neighbour = WebSocket::client(server.address).await;
    neighbour.subscribe("/neighbour").await;
    let mut http = Http::open(server.address).await;
    let handshake = r#"[{"channel":"/meta/handshake"}]"#;
    let refused = loop {
        let reply = http.exchange(Request::post(handshake)).await.messages();
        if reply[0]["successful"] == false {
            break reply[0].clone();
        }
    };
    assert_eq!(refused["error"], "503::memory_short");
    assert_eq!(refused["advice"]["reconnect"], "retry");
    assert!(
        refused["advice"]["interval"].as_u64() >= Some(10_000),
        "{refused}"
    );
    let stream = http
        .exchange(Request::new("GET", "/events?channel=/a"))
        .await;
    assert_eq!(stream.status, 503);
    assert_eq!(stream.header("Retry-After"), Some("10"));
    let mut served = Served::default();
    served.publish(&mut neighbour).await;
    assert_eq!((served.received, served.refused), (1, 0));
    let figures = server.figures().await;
    assert!(figures.of("mirant_memory_refused_handshakes_total") >= 2.0);
}
