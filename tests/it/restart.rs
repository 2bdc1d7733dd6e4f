//! A graceful stop leaves the sessions to the next start: no client handshakes again, and it gets all that it would
//! have got, once.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::{Value, json};

use crate::authentication::{issuer, token, with_claims};
use crate::support::{
    Client, Embedded, Events, Http, Keeper, Request, Streamed, TestServer, WebSocket, only, until,
    upgrade,
};

/// So that sessions live long enough on a slow machine.
const PATIENT: &str = "bayeux.max_interval=5m";

fn start(keeper: &Arc<Keeper>, set: &[&str]) -> TestServer {
    TestServer::start_keeping(&[&[PATIENT], set].concat(), keeper.history())
}

/// Stops a server, and starts the next.
async fn restarted(mut server: TestServer, keeper: &Arc<Keeper>, set: &[&str]) -> TestServer {
    server.stop();
    server.stopped().await;
    start(keeper, set)
}

/// The data of the events among some messages.
fn data(messages: &[Value]) -> Vec<Value> {
    let events = messages
        .iter()
        .filter(|message| message["data"] != Value::Null);
    events.map(|event| event["data"].clone()).collect()
}

fn unknown(reply: &Value) {
    assert_eq!(reply["error"], "402::session_unknown", "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
}

/// Connects by a transport that answers a connect with a response of its own; its messages.
async fn connected_by(transport: &str, client: &Client) -> Vec<Value> {
    let connect = client.message(json!({
        "channel": "/meta/connect", "id": "c", "connectionType": transport,
        "advice": {"timeout": 0},
    }));
    let text = json!([connect]).to_string();
    let mut http = Http::open(client.address).await;
    match transport {
        "callback-polling" => {
            let request = client.with_cookie(Request::jsonp("cb", &text));
            http.exchange(request).await.messages_for("cb")
        }
        "message-http" => {
            let mut response = Embedded::over(http, client.request(text)).await;
            let mut messages = response.next().await.messages();
            while messages
                .last()
                .is_none_or(|last| last["channel"] != "/meta/connect")
            {
                messages.extend(response.next().await.messages());
            }
            messages
        }
        "xhr-streaming" => {
            let mut stream = Streamed::over(http, client.request(text)).await;
            let text = stream.rest().await;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            let arrays = lines.map(|line| serde_json::from_str::<Vec<Value>>(line).unwrap());
            arrays.flatten().collect()
        }
        _ => http.exchange(client.request(text)).await.messages(),
    }
}

#[tokio::test]
async fn what_is_queued_comes_once_by_every_transport_of_requests_and_subscriptions_go_on() {
    for transport in [
        "long-polling",
        "callback-polling",
        "xhr-streaming",
        "message-http",
    ] {
        let keeper = Keeper::new();
        let server = start(&keeper, &[]);
        let (mut client, mut publisher) = (server.client().await, server.client().await);
        client.subscribe(json!(["/a/**", "/b"])).await;
        for number in 0..3 {
            publisher.publish("/a/b/c", number).await;
        }
        let alias = server.alias(&client.id);
        let server = restarted(server, &keeper, &[]).await;
        client.go_to(&server);
        publisher.go_to(&server);
        let messages = connected_by(transport, &client).await;
        assert_eq!(data(&messages), [0, 1, 2], "{transport}");
        let reply = messages.last().unwrap();
        assert_eq!(reply["successful"], true, "{transport}");
        assert_eq!(reply["advice"]["reconnect"], "retry", "{transport}");
        assert_eq!(reply["advice"]["interval"], 0, "{transport}");
        assert_eq!(server.alias(&client.id), alias, "its name is the same");
        for channel in ["/a/x", "/b", "/c"] {
            let reply = only(publisher.publish(channel, channel).await);
            assert_eq!(reply["successful"], true, "{transport}");
        }
        let messages = connected_by(transport, &client).await;
        assert_eq!(data(&messages), ["/a/x", "/b"], "{transport}");
        let metrics = server.metrics();
        assert_eq!(metrics.restored_sessions.value(), 2);
        assert_eq!(
            (metrics.sessions.value(), metrics.handshakes.value()),
            (2, 0)
        );
        assert_eq!(keeper.len(), 0, "they are taken");
    }
}

#[tokio::test]
async fn a_held_connect_is_answered_and_the_client_comes_back_with_the_same_session() {
    let keeper = Keeper::new();
    let mut server = start(&keeper, &[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    server.stop();
    let reply = only(client.polled().await);
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["advice"]["reconnect"], "retry");
    server.stopped().await;
    let server = start(&keeper, &[]);
    client.go_to(&server);
    client.poll().await;
    server.holds(1).await;
    let mut publisher = server.client().await;
    publisher.publish("/a", "new").await;
    assert_eq!(data(&client.polled().await), ["new"]);
}

#[tokio::test]
async fn a_websocket_comes_back_with_its_session() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut socket = WebSocket::client(server.address).await;
    socket.subscribe("/a/*").await;
    let mut publisher = server.client().await;
    publisher.publish("/a/b", "by the first").await;
    assert_eq!(data(&socket.messages().await), ["by the first"]);
    let id = socket.id.clone();
    socket.reset();
    until(|| server.metrics().websockets.value() == 0).await;
    publisher.publish("/a/b", "between").await;
    let server = restarted(server, &keeper, &[]).await;
    let mut socket = WebSocket::open(server.address).await;
    socket.id = id;
    socket.hold("c").await;
    assert_eq!(data(&socket.messages().await), ["between"]);
    publisher.go_to(&server);
    publisher.publish("/a/b", "after").await;
    assert_eq!(data(&socket.messages().await), ["after"]);
}

#[tokio::test]
async fn an_event_stream_goes_on_after_the_last_event_that_its_client_has() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let target = "/events?channel=/a/**";
    let (mut events, _) = Events::open(server.address, target).await;
    let mut publisher = server.client().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        publisher.publish("/a/b", number).await;
        ids.push(events.next().await.id.unwrap());
    }
    events.reset();
    until(|| server.metrics().event_streams.value() == 0).await;
    publisher.publish("/a/c", 3).await;
    let server = restarted(server, &keeper, &[]).await;
    // It has read the first, and lost what came after.
    let (mut events, beginning) = Events::after(server.address, target, &ids[0]).await;
    assert_eq!(beginning.id.as_ref(), Some(&ids[0]));
    assert_eq!(beginning.event, None, "no gap");
    for (number, id) in [(1, Some(&ids[1])), (2, Some(&ids[2])), (3, None)] {
        let event = events.next().await;
        assert_eq!(event.json()["data"], number);
        assert!(id.is_none_or(|id| event.id.as_ref() == Some(id)));
    }
    publisher.go_to(&server);
    publisher.publish("/a/d", 4).await;
    assert_eq!(events.next().await.json()["data"], 4);
    assert_eq!(server.metrics().handshakes.value(), 0);
}

#[tokio::test]
async fn an_open_event_stream_ends_and_goes_on() {
    let keeper = Keeper::new();
    let mut server = start(&keeper, &[]);
    let (mut events, beginning) = Events::open(server.address, "/events?channel=/a").await;
    server.stop();
    events.ended().await;
    server.stopped().await;
    let server = start(&keeper, &[]);
    let id = beginning.id.unwrap();
    let (mut events, again) = Events::after(server.address, "/events?channel=/a", &id).await;
    assert_eq!(again.id, Some(id));
    let mut publisher = server.client().await;
    publisher.publish("/a", "new").await;
    assert_eq!(events.next().await.json()["data"], "new");
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_what_was_does_not() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut client = Client::new(server.address);
    client.handshake_with(json!({"ext": {"ack": true}})).await;
    client.subscribe("/a").await;
    client.connect_with(json!({"ext": {"ack": -1}})).await;
    let mut publisher = server.client().await;
    let ask = |ack| json!({"ext": {"ack": ack}, "advice": {"timeout": 0}});
    publisher.publish("/a", "acknowledged").await;
    assert_eq!(data(&client.connect_with(ask(1)).await), ["acknowledged"]);
    publisher.publish("/a", "sent").await;
    assert_eq!(data(&client.connect_with(ask(2)).await), ["sent"]);
    publisher.publish("/a", "queued").await;
    let server = restarted(server, &keeper, &[]).await;
    client.go_to(&server);
    let messages = client.connect_with(ask(2)).await;
    assert_eq!(data(&messages), ["sent", "queued"]);
    let ack = &messages.last().unwrap()["ext"]["ack"];
    assert_eq!(*ack, 4);
    assert_eq!(data(&client.connect_with(ask(4)).await), [""; 0]);
    assert_eq!(server.metrics().resent.value(), 1);
}

#[tokio::test]
async fn events_that_a_slow_client_did_not_read_are_not_lost_with_its_connection() {
    const COUNT: usize = 200;
    let keeper = Keeper::new();
    let set = [
        "http.shutdown_timeout=200ms",
        "bayeux.max_queue_bytes=64MiB",
    ];
    let server = start(&keeper, &set);
    let mut slow = WebSocket::narrow_client(server.address).await;
    slow.subscribe("/a").await;
    let mut publisher = server.client().await;
    let filler = "x".repeat(30_000);
    for number in 0..COUNT {
        let data = json!({"number": number, "filler": filler});
        publisher.publish("/a", data).await;
    }
    let mut server = server;
    server.stop();
    server.stopped().await;
    let id = slow.id.clone();
    let mut numbers = Vec::new();
    while let Some(frame) = slow.next().await {
        let mirant::web::websocket::Incoming::Text(text) = frame else {
            continue;
        };
        let messages: Vec<Value> = serde_json::from_slice(&text).unwrap();
        numbers.extend(
            messages
                .iter()
                .map(|event| event["data"]["number"].as_u64()),
        );
    }
    assert!(numbers.len() < COUNT, "not all were read");
    let server = start(&keeper, &set);
    let mut socket = WebSocket::open(server.address).await;
    socket.id = id;
    socket.hold("c").await;
    while numbers.len() < COUNT {
        let messages = socket.messages().await;
        numbers.extend(
            messages
                .iter()
                .map(|event| event["data"]["number"].as_u64()),
        );
    }
    let expected = (0..COUNT as u64).map(Some);
    assert!(numbers.into_iter().eq(expected), "each once, in order");
}

#[tokio::test]
async fn who_somebody_is_goes_on_and_rules_of_now_decide() {
    const ALL: &str = "access=[{ allow = ['handshake', 'subscribe', 'publish'], channels = ['/**'], \
        who = { role = 'editor' } }]";
    const ROOMS: &str = "access=[{ allow = ['handshake'], who = 'anyone' }, { allow = ['subscribe', 'publish'], \
        channels = ['/room/**'], who = { user = 'u1' } }]";
    let (keeper, issuer) = (Keeper::new(), issuer());
    let server = start(&keeper, &[&issuer, ALL]);
    let mut client = Client::new(server.address);
    let ext = json!({"authentication": {"token": token("u1", 600)}});
    client.handshake_with(json!({ "ext": ext })).await;
    client.connect().await;
    client.subscribe(json!(["/room/a", "/other"])).await;
    client.publish("/other", "before").await;
    let server = restarted(server, &keeper, &[&issuer, ROOMS]).await;
    client.go_to(&server);
    let reply = client.publish("/other", "after").await;
    let refused = reply
        .iter()
        .any(|reply| reply["error"] == "403:/other:publish_denied");
    assert!(refused, "{reply:?}");
    let mut messages = reply;
    messages.extend(client.publish("/room/a", "as u1").await);
    messages.extend(client.queued().await);
    let lost = messages
        .iter()
        .find(|message| message["channel"] == "/meta/subscribe");
    assert_eq!(lost.unwrap()["subscription"], "/other");
    assert_eq!(lost.unwrap()["error"], "403:/other:subscribe_denied");
    assert_eq!(server.metrics().lost_subscriptions.value(), 1);
}

#[tokio::test]
async fn who_may_not_handshake_any_more_is_not_taken_up() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut client = server.client().await;
    let nobody = "access=[{ deny = ['handshake'], who = 'anyone' }]";
    let server = restarted(server, &keeper, &[nobody]).await;
    client.go_to(&server);
    unknown(&only(client.connect().await));
    assert_eq!(server.metrics().not_restored_sessions.value(), 1);
    let ended = "mirant_sessions_ended_total{reason=\"not_restored\"} 1";
    assert!(server.metrics().render().contains(ended));
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn who_has_to_show_again_who_it_is_is_told_so() {
    let (keeper, issuer) = (Keeper::new(), issuer());
    let server = start(&keeper, &[&issuer]);
    let mut client = Client::new(server.address);
    let ext = json!({"authentication": {"token": token("u1", 600)}});
    client.handshake_with(json!({ "ext": ext })).await;
    client.connect().await;
    let mut server = server;
    server.stop();
    server.stopped().await;
    keeper.edit(|record| {
        let (before, rest) = record
            .split_once("\"expires\":{\"secs_since_epoch\":")
            .unwrap();
        let (_, after) = rest.split_once(',').unwrap();
        format!("{before}\"expires\":{{\"secs_since_epoch\":1000000000,{after}")
    });
    let server = start(&keeper, &[&issuer]);
    until(|| server.metrics().restored_sessions.value() == 1).await;
    until(|| server.metrics().sessions.value() == 0).await;
    client.go_to(&server);
    let reply = only(client.connect().await);
    assert_eq!(reply["error"], "401::token_expired");
}

#[tokio::test]
async fn a_session_is_of_its_browser_still() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut client = server.client().await;
    let server = restarted(server, &keeper, &[]).await;
    client.go_to(&server);
    let cookie = client.cookie.take();
    unknown(&only(client.connect().await));
    client.cookie = cookie;
    assert_eq!(
        only(client.connect_with(json!({"advice": {"timeout": 0}})).await)["successful"],
        true
    );
}

#[tokio::test]
async fn bounds_of_now_hold() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = server.client().await;
        client.subscribe(json!(["/a", "/b"])).await;
        clients.push(client);
    }
    let set = [
        "bayeux.max_sessions_per_address=2",
        "bayeux.max_subscriptions=1",
    ];
    let server = restarted(server, &keeper, &set).await;
    let (mut restored, mut lost) = (0, 0);
    for client in &mut clients {
        client.go_to(&server);
        let messages = client.connect_with(json!({"advice": {"timeout": 0}})).await;
        let reply = messages.last().unwrap();
        if reply["successful"] == true {
            restored += 1;
            lost += messages
                .iter()
                .filter(|message| message["channel"] == "/meta/subscribe")
                .count();
        } else {
            unknown(reply);
        }
    }
    assert_eq!((restored, lost), (2, 2));
    assert_eq!(server.metrics().not_restored_sessions.value(), 1);
    // They count: there is no room for another.
    let reply = Client::new(server.address).handshake().await;
    assert_eq!(reply["successful"], false);
    clients[0].disconnect().await;
    clients[1].disconnect().await;
    clients[2].disconnect().await;
    assert_eq!(server.metrics().sessions.value(), 0);
    let reply = Client::new(server.address).handshake().await;
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn what_cannot_be_read_is_passed_over() {
    let edits: [fn(&str) -> String; 3] = [
        |record| record.replace("\"version\":1", "\"version\":99"),
        |record| record[..record.len() / 2].to_owned(),
        |_| String::new(),
    ];
    for edit in edits {
        let keeper = Keeper::new();
        let mut server = start(&keeper, &[]);
        let mut client = server.client().await;
        server.stop();
        server.stopped().await;
        assert_eq!(keeper.len(), 1);
        keeper.edit(edit);
        let server = start(&keeper, &[]);
        client.go_to(&server);
        unknown(&only(client.connect().await));
        assert_eq!(server.metrics().not_restored_sessions.value(), 1);
        assert_eq!(
            server.client().await.publish("/a", 1).await[0]["successful"],
            true
        );
    }
}

#[tokio::test]
async fn a_store_that_fails_or_hangs_loses_sessions_and_delays_nothing() {
    for hangs in [false, true] {
        let keeper = Keeper::new();
        let server = start(&keeper, &[]);
        let mut client = server.client().await;
        keeper.is_broken.store(!hangs, SeqCst);
        keeper.hangs.store(hangs, SeqCst);
        let server = restarted(server, &keeper, &[]).await;
        assert_eq!(keeper.len(), 0);
        client.go_to(&server);
        unknown(&only(client.connect().await));
        assert_eq!(server.metrics().restored_sessions.value(), 0);
    }
}

#[tokio::test]
async fn after_a_crash_old_sessions_do_not_come_back() {
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut client = server.client().await;
    let server = restarted(server, &keeper, &[]).await;
    client.go_to(&server);
    client.subscribe("/a").await;
    drop(server);
    let server = start(&keeper, &[]);
    client.go_to(&server);
    unknown(&only(client.connect().await));
}

#[tokio::test]
async fn many_sessions_are_written_and_read_in_batches() {
    const COUNT: usize = 1100;
    let keeper = Keeper::new();
    let server = start(&keeper, &[]);
    let mut http = server.open().await;
    for _ in 0..COUNT {
        let handshake = r#"[{"channel":"/meta/handshake","version":"1.0"}]"#;
        http.exchange(Request::post(handshake)).await;
    }
    drop(http);
    let server = restarted(server, &keeper, &[]).await;
    until(|| server.metrics().restored_sessions.value() == COUNT as u64).await;
}

#[tokio::test]
async fn an_application_server_takes_calls_again() {
    let (keeper, issuer) = (Keeper::new(), issuer());
    let set = [
        &*issuer,
        "backends.role=backend",
        "backends.max_interval=5m",
    ];
    let server = start(&keeper, &set);
    let token = with_claims("app", 600, &json!({"roles": ["backend"]}));
    let request = upgrade().header("Authorization", &format!("Bearer {token}"));
    let mut backend = WebSocket::open_with(server.address, request).await;
    backend.handshake().await;
    backend.subscribe("/service/echo").await;
    let mut client = server.client().await;
    let id = backend.id.clone();
    let server = restarted(server, &keeper, &set).await;
    let mut backend = WebSocket::open(server.address).await;
    backend.id = id;
    backend.hold("c").await;
    client.go_to(&server);
    let call = json!({"channel": "/service/echo", "id": "1", "data": "question"});
    let reply = client.call(call).await;
    assert_eq!(reply["successful"], true);
    let messages = loop {
        let messages = backend.messages().await;
        if !data(&messages).is_empty() {
            break messages;
        }
    };
    assert_eq!(data(&messages), ["question"]);
    assert!(messages[0]["ext"]["call"]["id"].is_string());
}

#[tokio::test]
async fn what_comes_too_late_is_not_taken() {
    let keeper = Keeper::new();
    let mut server = start(&keeper, &["http.shutdown_timeout=100ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    // It keeps its connection by a request that has begun.
    let mut http = server.open().await;
    let publish = client.message(json!({"channel": "/a", "data": "late"}));
    let bytes = client.request(publish.to_string()).bytes();
    let (begin, end) = bytes.split_at(bytes.len() - 5);
    http.send(begin).await;
    until(|| server.metrics().connections.value() == 3).await;
    server.stop();
    until(|| server.is_cut()).await;
    http.send(end).await;
    let response = http.response().await;
    assert_eq!(response.status, 503);
    assert!(response.text().contains("the server has stopped"));
    server.stopped().await;
    let server = start(&keeper, &[]);
    client.go_to(&server);
    assert_eq!(client.queued().await, [""; 0]);
}
