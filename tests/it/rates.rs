//! How fast clients may be, whatever way they come in; and that nobody suffers by another's haste.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use mirant::metrics::Limit;
use serde_json::{Value, json};

use crate::one_door::{Attempt, Kind, Ready, WAYS, Way};
use crate::support::{Client, Http, Request, TestServer, WebSocket, only, until};

const RESOURCES: &str = "channel=[{ pattern = '/**', resource = true }]";
const DIRECT: &str = "bayeux.publish_without_session=true";
/// So many attempts are refused at last, however slow they are.
const ATTEMPTS: usize = 40;

fn counted(server: &TestServer, limit: Limit) -> u64 {
    server.metrics().limit_count(limit)
}

/// How many milliseconds an error says are to be waited.
fn wait_of(error: &str, name: &str) -> Option<u64> {
    let wait = error.strip_prefix("429:")?;
    let wait = wait.strip_suffix(name)?.strip_suffix(':')?;
    wait.parse().ok()
}

/// Tells whether a client is told that it is too fast.
fn is_too_fast(attempt: &Attempt, name: &str) -> bool {
    let Err(reason) = attempt else { return false };
    let of_http = [&*format!("429 {name}"), "429 not_here"].contains(&&**reason);
    of_http || wait_of(reason, name).is_some_and(|wait| (1..=1000).contains(&wait))
}

/// Says what is wrong with a way in, if something is: that it is never refused, or that what is refused does
/// something.
async fn wrong(server: &TestServer, way: Way, kind: Kind) -> Option<String> {
    let name = match kind {
        Kind::Handshake => "too_many_handshakes",
        _ => "too_many_messages",
    };
    let mut ready = match kind {
        Kind::Handshake => Ready::without_session(server, way).await,
        _ => Ready::to(server, way).await,
    };
    let metrics = server.metrics();
    let state = || (metrics.published.value(), metrics.handshakes.value());
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let before = state();
        let attempt = ready.attempt(server, way, kind).await;
        if is_too_fast(&attempt, name) {
            let is_same = state() == before;
            return (!is_same).then(|| "it is refused, but does something".to_owned());
        }
        last = Some(attempt);
    }
    Some(format!("it is never refused, but {last:?}"))
}

async fn try_all(set: &[&str], limit: Limit, is_limited: impl Fn(Way, Kind) -> bool) {
    let mut problems = Vec::new();
    let mut tried = 0;
    for (way, kinds) in WAYS {
        for kind in kinds.iter().copied().filter(|kind| is_limited(way, *kind)) {
            let server = TestServer::start(&[&[RESOURCES, DIRECT], set].concat());
            let problem = wrong(&server, way, kind).await;
            let counted = counted(&server, limit);
            problems.extend(problem.map(|problem| format!("{way:?}, {kind:?}: {problem}")));
            assert!(counted > 0, "{way:?}, {kind:?} {problems:?}");
            tried += 1;
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(tried >= 7, "{tried}");
}

#[tokio::test]
async fn messages_of_an_address_are_limited_whatever_way_they_come_in() {
    let set = [
        "rates.messages_per_address=1",
        "rates.messages_per_address_burst=12",
    ];
    try_all(&set, Limit::MessagesPerAddress, |way, kind| {
        // What opens an event stream counts as a handshake.
        matches!(kind, Kind::Subscribe | Kind::Publish) && way != Way::EventStream
    })
    .await;
}

#[tokio::test]
async fn messages_of_a_session_are_limited_whatever_way_they_come_in() {
    let set = [
        "rates.messages_per_session=1",
        "rates.messages_per_session_burst=3",
    ];
    try_all(&set, Limit::MessagesPerSession, |way, kind| {
        let has_session = matches!(
            way,
            Way::LongPolling
                | Way::RepeatedHead
                | Way::CallbackPolling
                | Way::Form
                | Way::WebSocket
                | Way::Embedded
                | Way::ResumedStream
        );
        has_session && matches!(kind, Kind::Subscribe | Kind::Publish)
    })
    .await;
}

#[tokio::test]
async fn handshakes_of_an_address_are_limited_whatever_way_they_come_in() {
    let set = [
        "rates.handshakes_per_address=1",
        "rates.handshakes_per_address_burst=3",
    ];
    try_all(&set, Limit::HandshakesPerAddress, |_, kind| {
        kind == Kind::Handshake
    })
    .await;
}

#[tokio::test]
async fn of_a_batch_only_what_comes_too_soon_fails() {
    let server = TestServer::start(&[
        "rates.messages_per_session=1",
        "rates.messages_per_session_burst=4",
    ]);
    let mut subscriber = server.client().await;
    subscriber.subscribe("/a").await;
    let mut client = server.client().await;
    let publish = |data: u32| json!({"channel": "/a", "id": data.to_string(), "data": data});
    let invalid = json!({"channel": "a", "id": "x"});
    let batch = [
        publish(1),
        invalid,
        publish(2),
        publish(3),
        publish(4),
        publish(5),
    ];
    let replies = client.send(batch).await;
    let ids: Vec<_> = replies
        .iter()
        .map(|reply| reply["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["1", "x", "2", "3", "4", "5"]);
    let errors: Vec<_> = replies
        .iter()
        .map(|reply| reply["error"].as_str())
        .collect();
    assert_eq!(
        errors[..4],
        [None, Some("405::channel_invalid"), None, None]
    );
    for (reply, error) in replies[4..].iter().zip(&errors[4..]) {
        let wait = wait_of(error.unwrap(), "too_many_messages").unwrap();
        assert!((1..=1000).contains(&wait), "{wait}");
        assert_eq!(reply.get("advice"), None, "it would slow down connects");
    }
    let got = subscriber.queued().await;
    let got: Vec<_> = got
        .iter()
        .map(|event| event["data"].as_u64().unwrap())
        .collect();
    assert_eq!(got, [1, 2, 3]);
    assert_eq!(counted(&server, Limit::MessagesPerSession), 2);
    assert_eq!(
        client.disconnect().await["successful"],
        true,
        "who leaves may"
    );
}

#[tokio::test]
async fn who_waits_as_told_is_served_again() {
    let server = TestServer::start(&[
        "rates.messages_per_session=20",
        "rates.messages_per_session_burst=1",
    ]);
    let mut client = server.client().await;
    let mut refused = 0;
    for number in 0..10 {
        loop {
            let reply = only(client.publish("/a", number).await);
            let Some(error) = reply["error"].as_str() else {
                break;
            };
            refused += 1;
            let wait = wait_of(error, "too_many_messages").unwrap();
            assert!((1..=50).contains(&wait), "{wait}");
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
    }
    assert!(refused > 0);
    assert_eq!(server.metrics().published.value(), 10);
}

#[tokio::test]
async fn a_handshake_too_soon_is_told_when_to_try_again() {
    let server = TestServer::start(&[
        "rates.handshakes_per_address=1",
        "rates.handshakes_per_address_burst=1",
    ]);
    let mut client = Client::new(server.address);
    let mut reply = client.handshake().await;
    while reply["successful"] == true {
        reply = client.handshake().await;
    }
    let wait = wait_of(reply["error"].as_str().unwrap(), "too_many_handshakes").unwrap();
    assert_eq!(wait, 1000);
    let advice = json!({"reconnect": "retry", "interval": 1000, "timeout": 30_000});
    assert_eq!(reply["advice"], advice);
    let stream = Request::new("GET", "/events?channel=/a");
    let response = server.open().await.exchange(stream).await;
    if response.status != 200 {
        assert_eq!(
            (response.status, &*response.reason()),
            (429, "too_many_handshakes")
        );
        assert_eq!(response.header("Retry-After"), Some("1"));
    }
    // The stream may have had the first that came free.
    for _ in 0..2 {
        if reply["successful"] != true {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            reply = client.handshake().await;
        }
    }
    assert_eq!(reply["successful"], true, "{reply}");
}

#[tokio::test]
async fn calls_of_services_are_limited_before_their_handlers_see_them() {
    let server = TestServer::start(&[
        "services.echo=/service/echo",
        "rates.messages_per_session=1",
        "rates.messages_per_session_burst=3",
    ]);
    let mut client = server.client().await;
    let call = json!({"channel": "/service/echo", "data": 1});
    let messages = client.send([(); 10].map(|()| call.clone())).await;
    let (echoes, replies): (Vec<_>, Vec<_>) = messages
        .iter()
        .partition(|message| message.get("data").is_some());
    let fine = replies.iter().filter(|reply| reply["successful"] == true);
    assert_eq!(fine.count(), 3);
    let echoes = echoes.len() + client.queued().await.len();
    assert_eq!(echoes, 3);
}

/// Sends connects that need not be held, one after the other, until one is advised to wait; returns for how long.
async fn loop_of(mut connect: impl AsyncFnMut() -> Value) -> u64 {
    for _ in 0..ATTEMPTS {
        let reply = connect().await;
        assert_eq!(reply["successful"], true, "{reply}");
        assert_eq!(reply["advice"]["reconnect"], "retry");
        match reply["advice"]["interval"].as_u64().unwrap() {
            0 => {}
            interval => return interval,
        }
    }
    panic!("no connect is advised to wait");
}

#[tokio::test]
async fn a_connect_too_soon_is_not_refused_but_advised_to_wait() {
    let server = TestServer::start(&[
        "rates.messages_per_session=5",
        "rates.messages_per_session_burst=3",
    ]);
    let soon = json!({"advice": {"timeout": 0}});
    let mut client = server.client().await;
    let wait = loop_of(async || only(client.connect_with(soon.clone()).await)).await;
    assert!((1..=200).contains(&wait), "{wait}");
    assert!(counted(&server, Limit::MessagesPerSession) > 0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
    let reply = only(client.connect_with(soon.clone()).await);
    assert_eq!(reply["advice"]["interval"], 0, "it need not wait any more");

    let mut socket = WebSocket::client(server.address).await;
    let connect = json!({
        "channel": "/meta/connect", "connectionType": "websocket", "advice": {"timeout": 0},
    });
    loop_of(async || socket.call(connect.clone()).await).await;
}

#[tokio::test]
async fn a_connect_that_brings_events_is_never_too_soon() {
    let server = TestServer::start(&[
        "rates.messages_per_session=1",
        "rates.messages_per_session_burst=2",
    ]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut publishers = Vec::new();
    for number in 0..20 {
        let mut publisher = server.client().await;
        publisher.publish("/a", number).await;
        publishers.push(publisher);
        let messages = client.connect_with(json!({"advice": {"timeout": 0}})).await;
        assert_eq!(messages[0]["data"], number);
        assert_eq!(messages[1]["advice"]["interval"], 0);
    }
}

#[tokio::test]
async fn a_connect_too_soon_leaves_the_held_one_held() {
    let server = TestServer::start(&[
        "rates.messages_per_session=1",
        "rates.messages_per_session_burst=1",
    ]);
    let mut client = server.client().await;
    let other = |client: &Client| {
        let message = json!({"channel": "/meta/connect", "connectionType": "long-polling"});
        client.request(json!([client.message(message)]).to_string())
    };
    client.poll().await;
    server.holds(1).await;
    let mut held = client.take_poll();
    let request = other(&client);
    // The first takes its place, the next comes too soon.
    let mut second = server.open().await;
    second.send(request.bytes()).await;
    assert_eq!(held.response().await.status, 409);
    server.holds(1).await;
    let reply = only(server.open().await.exchange(request).await.messages());
    assert_eq!(reply["successful"], true);
    assert!(reply["advice"]["interval"].as_u64().unwrap() > 0, "{reply}");
    assert_eq!(server.metrics().held_connects.value(), 1);
    client.disconnect().await;
    assert_eq!(
        only(second.response().await.messages())["advice"]["reconnect"],
        "none"
    );
}

/// A client that keeps its own address.
async fn client_from(server: &TestServer, from: Ipv4Addr) -> Client {
    let messages = Http::open_from(server.address, from).await;
    let poll = Http::open_from(server.address, from).await;
    let mut client = Client::over(server.address, messages, poll);
    assert_eq!(client.handshake().await["successful"], true);
    client.connect().await;
    client
}

/// Does all that is limited, as fast as it can; returns how many messages were taken.
async fn flood(server: Arc<TestServer>, from: Ipv4Addr, is_over: Arc<AtomicBool>) -> u64 {
    let mut client = client_from(&server, from).await;
    let own = client.message(json!({"channel": "/flood", "data": 1}));
    let foreign = json!({"channel": "/flood", "data": 1});
    let mut http = Http::open_from(server.address, from).await;
    let mut taken = 0;
    while !is_over.load(SeqCst) {
        for message in [&own, &foreign] {
            let batch = Value::from(vec![message.clone(); 50]).to_string();
            let replies = client.post(batch).await.messages();
            let fine = replies.iter().filter(|reply| reply["successful"] == true);
            taken += fine.count() as u64;
        }
        let handshake = r#"{"channel":"/meta/handshake","version":"1.0"}"#;
        http.exchange(Request::post(handshake)).await;
        let put = Request::new("PUT", "/resources/flood").body("1");
        let response = http.exchange(put).await;
        taken += u64::from(response.status < 300);
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_address_is_nothing_to_clients_of_another() {
    const RATE: u64 = 100;
    let begun = Instant::now();
    let server = Arc::new(TestServer::start(&[
        RESOURCES,
        DIRECT,
        "bayeux.max_sessions_per_address=20",
        "rates.messages_per_address=100",
        "rates.messages_per_address_burst=300",
        "rates.handshakes_per_address=5",
        "rates.handshakes_per_address_burst=10",
    ]));
    let (bad, good) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3));
    let is_over = Arc::new(AtomicBool::new(false));
    let floods: Vec<_> = (0..3)
        .map(|_| tokio::spawn(flood(Arc::clone(&server), bad, Arc::clone(&is_over))))
        .collect();
    until(|| counted(&server, Limit::MessagesPerAddress) > 1000).await;
    until(|| counted(&server, Limit::HandshakesPerAddress) > 0).await;

    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = client_from(&server, good).await;
        assert_eq!(client.subscribe("/talk/*").await["successful"], true);
        clients.push(client);
    }
    let mut said = Vec::new();
    let mut heard = [const { Vec::new() }; 3];
    for number in 0..40 {
        for (index, client) in clients.iter_mut().enumerate() {
            let data = json!(format!("{index}-{number}"));
            let mut messages = client
                .publish(&format!("/talk/{index}"), data.clone())
                .await;
            let reply = messages.pop().unwrap();
            assert_eq!(reply["successful"], true, "{reply}");
            // What comes with the reply is among what it hears.
            heard[index].extend(messages);
            said.push(data.to_string());
        }
    }
    said.sort();
    for (client, mut heard) in clients.iter_mut().zip(heard) {
        while heard.len() < said.len() {
            heard.extend(client.queued().await);
        }
        let mut heard: Vec<_> = heard
            .iter()
            .map(|event| event["data"].to_string())
            .collect();
        heard.sort();
        assert_eq!(heard, said, "each once");
    }
    is_over.store(true, SeqCst);
    let mut taken = 0;
    for flood in floods {
        taken += flood.await.unwrap();
    }
    let most = 300 + RATE * (begun.elapsed().as_secs() + 1);
    assert!(taken <= most, "{taken} of at most {most}");
}
