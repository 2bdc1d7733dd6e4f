//! Draining: a server that is told to stop sends its clients away one after the other.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use mirant::web::websocket::CloseCode;
use serde_json::{Value, json};

use crate::support::program::Serving;
use crate::support::{Client, Events, Http, Request, TestCluster, WebSocket, only, within};

const CLIENTS: usize = 12;

/// Starts a server that drains for so long, and returns where its operator finds it.
fn start(drain_time: &str) -> (Serving, SocketAddr, SocketAddr) {
    let drain_time = format!("http.drain_time={drain_time}");
    let arguments = [
        "--set",
        &drain_time,
        "--set",
        "admin.listen=[\"127.0.0.1:0\"]",
        "--set",
        "bayeux.max_interval=10m",
    ];
    let mut serving = Serving::start(&arguments);
    let address = serving.address();
    serving.line();
    let line = serving.line();
    let admin = line.strip_prefix("admin on http://").unwrap();
    let admin = admin.strip_suffix("/metrics\n").unwrap().parse().unwrap();
    (serving, address, admin)
}

/// Waits for the program's end.
async fn ended(mut serving: Serving) -> ExitStatus {
    let waited = tokio::task::spawn_blocking(move || serving.child.wait().unwrap());
    within(waited).await.unwrap()
}

/// Waits until the server is not ready any more, and returns why.
async fn unready(admin: SocketAddr) -> String {
    loop {
        let mut http = Http::open(admin).await;
        let response = http.exchange(Request::new("GET", "/readyz")).await;
        if response.status == 503 {
            return response.text().to_owned();
        }
    }
}

async fn holding(address: SocketAddr) -> Client {
    let mut client = Client::new(address);
    client.handshake().await;
    client.connect().await;
    client.poll().await;
    client
}

#[tokio::test]
async fn held_connects_are_answered_one_after_the_other_and_told_to_come_back_at_other_moments() {
    let (serving, address, admin) = start("5s");
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(holding(address).await);
    }
    // The connections of handshakes are open as well.
    let mut operator = Http::open(admin).await;
    let readyz = Request::new("GET", "/readyz");
    assert_eq!(operator.exchange(readyz).await.status, 200);
    let begun = Instant::now();
    serving.signal("TERM");
    let answered = clients.into_iter().map(|mut client| async move {
        let reply = only(client.polled().await);
        (begun.elapsed(), reply)
    });
    let answers = futures_util::future::join_all(answered);
    let unready = async { (unready(admin).await, begun.elapsed()) };
    let (answers, (why, unready)) = within(async { tokio::join!(answers, unready) }).await;
    assert!(why.contains("stopping"), "{why}");
    let first = answers.iter().map(|(after, _)| *after).min().unwrap();
    let last = answers.iter().map(|(after, _)| *after).max().unwrap();
    // Each client has two connections, of fifty slices.
    assert!(
        last - first >= Duration::from_millis(500),
        "{first:?} to {last:?}"
    );
    assert!(unready < last, "{unready:?} {last:?}");
    let mut back = BTreeSet::new();
    for (after, reply) in &answers {
        assert_eq!(reply["successful"], true, "{reply}");
        assert_eq!(reply["advice"]["reconnect"], "retry", "{reply}");
        let interval = Duration::from_millis(reply["advice"]["interval"].as_u64().unwrap());
        // The server is there for five seconds at most.
        assert!(
            *after + interval >= Duration::from_millis(4500),
            "{after:?} {reply}"
        );
        back.insert(interval);
    }
    assert!(back.len() > CLIENTS / 2, "{back:?}");
    drop(operator);
    assert!(ended(serving).await.success());
}

#[tokio::test]
async fn streams_and_websockets_are_told_and_what_is_new_is_served_meanwhile() {
    let (serving, address, _) = start("3s");
    let (mut stream, _) = Events::open(address, "/events?channel=/a").await;
    let mut socket = WebSocket::client(address).await;
    socket.call(json!({"channel": "/meta/connect", "connectionType": "websocket", "advice": {"timeout": 0}})).await;
    socket.hold("9").await;
    // More connections, so that it takes its time.
    let mut others = Vec::new();
    for _ in 0..60 {
        others.push(Http::open(address).await);
        others
            .last_mut()
            .unwrap()
            .exchange(Request::post("[]"))
            .await;
    }
    serving.signal("TERM");
    let reply = socket.message().await;
    assert_eq!(
        (&reply["id"], &reply["successful"]),
        (&json!("9"), &json!(true))
    );
    assert!(
        reply["advice"]["interval"].as_u64().unwrap() >= 1000,
        "{reply}"
    );
    assert_eq!(socket.closed().await, CloseCode::Away);
    let told = stream.last().await.unwrap();
    assert!(told.retry.unwrap().parse::<u64>().unwrap() >= 1000);
    // Whoever comes all the same is served, and told as well.
    let mut late = Client::new(address);
    late.handshake().await;
    let reply = only(late.connect().await);
    assert!(
        reply["advice"]["interval"].as_u64().unwrap() >= 1000,
        "{reply}"
    );
    drop((others, late));
    assert!(ended(serving).await.success());
}

#[tokio::test]
async fn it_is_over_once_nobody_is_connected_and_a_second_signal_or_sigint_does_not_wait() {
    let (serving, address, _) = start("10m");
    let mut client = holding(address).await;
    serving.signal("TERM");
    // Its turn has come, or comes: it leaves.
    drop(client.take_poll());
    drop(client);
    assert!(ended(serving).await.success());

    let (serving, address, admin) = start("10m");
    let clients = [
        holding(address).await,
        holding(address).await,
        holding(address).await,
    ];
    serving.signal("TERM");
    unready(admin).await;
    serving.signal("TERM");
    assert_eq!(ended(serving).await.code(), Some(143));
    drop(clients);

    let (serving, address, _) = start("10m");
    let mut client = holding(address).await;
    serving.signal("INT");
    assert_eq!(only(client.polled().await)["successful"], true);
    assert!(ended(serving).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster_clients_come_back_soon_and_get_all_from_other_nodes() {
    let cluster = TestCluster::start(1, &[]).await;
    let other = &cluster.nodes[0];
    let serving = cluster.process(&["http.drain_time=4s"]);
    let mut publisher = other.client().await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::new(serving.address());
        client.handshake().await;
        client.connect().await;
        client.subscribe("/a").await;
        client.poll().await;
        clients.push(client);
    }
    serving.signal("TERM");
    let begun = Instant::now();
    for client in &mut clients {
        let reply = only(client.polled().await);
        assert_eq!(reply["advice"]["reconnect"], "retry", "{reply}");
        let interval = reply["advice"]["interval"].as_u64().unwrap();
        assert!((1000..=2000).contains(&interval), "{reply}");
        client.go_to(other);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "the node is there yet"
    );
    // It owns the sessions until it hands them over.
    publisher.publish("/a", 1).await;
    for client in &mut clients {
        let data = within(next_event(client)).await;
        assert_eq!(data, 1);
    }
    assert!(ended(serving).await.success());
    publisher.publish("/a", 2).await;
    for client in &mut clients {
        let data = within(next_event(client)).await;
        assert_eq!(data, 2);
    }
}

/// Polls as it is advised until there is an event, which it returns.
async fn next_event(client: &mut Client) -> Value {
    loop {
        let mut messages = client.connect().await;
        let reply = messages.pop().unwrap();
        assert_eq!(reply["successful"], true, "{reply}");
        if let [event] = &messages[..] {
            return event["data"].clone();
        }
        assert!(messages.is_empty(), "{messages:?}");
        let interval = reply["advice"]["interval"].as_u64().unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(interval)).await;
    }
}
