//! WebSocket: one socket for everything, sessions that survive it, and frames that are wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use bytes::Bytes;
use mirant::metrics::Limit;
use mirant::web::websocket::{CloseCode, Incoming};
use serde_json::json;

use crate::support::{Client, Http, Request, TestServer, WebSocket, only, percent, until, upgrade};

#[tokio::test]
pub(crate) async fn one_socket_is_enough_for_everything() {
    let server = TestServer::start(&[]);
    let mut client = WebSocket::open(server.address).await;
    let reply = client.handshake().await;
    assert_eq!(reply["supportedConnectionTypes"][0], "websocket");
    let first = client
        .call(json!({"channel": "/meta/connect", "id": "2", "advice": {"timeout": 0}}))
        .await;
    assert_eq!(first["id"], "2");
    client.subscribe("/chat/*").await;
    client.hold("4").await;
    server.holds(1).await;

    // Its own event comes after the reply, in a frame of its own; the connect stays held.
    let reply = client
        .call(json!({"channel": "/chat/a", "id": "5", "data": "x"}))
        .await;
    assert_eq!(reply["successful"], true);
    let event = client.message().await;
    assert_eq!(event, json!({"channel": "/chat/a", "data": "x"}));
    assert_eq!(server.metrics().held_connects.value(), 1);

    let reply = client
        .call(json!({"channel": "/meta/unsubscribe", "subscription": "/chat/*"}))
        .await;
    assert_eq!(reply["successful"], true);
    client
        .send(json!({"channel": "/meta/disconnect", "id": "7"}))
        .await;
    assert_eq!(client.message().await["id"], "7");
    let connect = client.message().await;
    assert_eq!(connect["id"], "4");
    assert_eq!(connect["advice"]["reconnect"], "none");
    assert_eq!(client.closed().await, CloseCode::Normal);
    assert_eq!(server.metrics().sessions.value(), 0);
    until(|| server.metrics().websockets.value() == 0).await;
}

#[tokio::test]
async fn the_connect_is_answered_at_its_timeout_while_events_flow() {
    let server = TestServer::start(&["bayeux.timeout=300ms"]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/a").await;
    client.hold("held").await;
    server.holds(1).await;
    let mut publisher = server.client().await;
    for number in 0..3 {
        publisher.publish("/a", number).await;
        assert_eq!(client.message().await["data"], number);
    }
    let reply = client.message().await;
    assert_eq!(reply["id"], "held");
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn a_second_connect_displaces_the_first_which_is_answered() {
    let server = TestServer::start(&["bayeux.timeout=500ms"]);
    let mut client = WebSocket::client(server.address).await;
    client.hold("one").await;
    server.holds(1).await;
    client.hold("two").await;
    let displaced = client.message().await;
    assert_eq!(displaced["id"], "one");
    assert_eq!(displaced["error"], "409::connect_displaced");
    let reply = client.message().await;
    assert_eq!(
        (&reply["id"], &reply["successful"]),
        (&json!("two"), &json!(true))
    );
    assert_eq!(server.metrics().displaced_connects.value(), 1);
}

#[tokio::test]
async fn a_frame_holds_one_message_or_an_array_in_any_fragments() {
    let server = TestServer::start(&[]);
    let mut client = WebSocket::client(server.address).await;
    let id = client.id.clone();
    client
        .text(&json!({"channel": "/a", "clientId": id, "id": "1", "data": 1}).to_string())
        .await;
    assert_eq!(client.message().await["id"], "1");
    let two = json!([
        {"channel": "/a", "clientId": id, "id": "2", "data": "\u{2604}"},
        {"channel": "/meta/nothing", "clientId": id, "id": "3"},
    ])
    .to_string();
    let (start, rest) = two.as_bytes().split_at(70);
    let (middle, end) = rest.split_at(1);
    client.frame(0x01, start).await;
    client.frame(0x89, b"still there?").await;
    client.frame(0x00, middle).await;
    client.frame(0x80, end).await;
    let pong = client.next().await;
    assert_eq!(pong, Some(Incoming::Pong));
    let replies = client.messages().await;
    assert_eq!(replies.len(), 2);
    assert_eq!(replies[0]["successful"], true);
    assert_eq!(replies[1]["id"], "3");
    assert_eq!(replies[1]["successful"], false);
}

#[tokio::test]
async fn an_empty_batch_is_echoed() {
    let server = TestServer::start(&[]);
    let mut socket = WebSocket::open(server.address).await;
    socket.text("[]").await;
    assert_eq!(socket.next_text().await, Bytes::from_static(b"[]"));
}

#[tokio::test]
pub(crate) async fn what_is_wrong_closes_with_the_code_that_says_what() {
    let server = TestServer::start(&[
        "bayeux.max_message_size=1KiB",
        "bayeux.max_batch=3",
        "bayeux.max_depth=5",
    ]);
    let deep = "[".repeat(9) + &"]".repeat(9);
    let cases: [(u8, &[u8], CloseCode); 11] = [
        (0x81, b"{", CloseCode::Policy),
        (0x81, b"", CloseCode::Policy),
        (0x81, b"null", CloseCode::Policy),
        (0x81, b"[1]", CloseCode::Policy),
        (0x81, b"[{},{},{},{}]", CloseCode::Policy),
        (0x81, deep.as_bytes(), CloseCode::Policy),
        (0x81, b"\"\xff\"", CloseCode::Invalid),
        (0x82, b"[]", CloseCode::Unsupported),
        (0x83, b"", CloseCode::Protocol),
        (0x88, &[0x03, 0xe9], CloseCode::Away),
        (0x81, &[b' '; 1025], CloseCode::Size),
    ];
    for (first, payload, code) in cases {
        let mut socket = WebSocket::open(server.address).await;
        socket.frame(first, payload).await;
        let shown = String::from_utf8_lossy(payload);
        assert_eq!(socket.closed().await, code, "{first:#x} {shown}");
    }
    let limits = [Limit::MaxMessageSize, Limit::MaxBatch, Limit::MaxDepth];
    for limit in limits {
        assert_eq!(server.metrics().limit_count(limit), 1, "{limit:?}");
    }
    // A length alone is enough, and what comes behind it is not waited for.
    let mut socket = WebSocket::open(server.address).await;
    socket
        .bytes(&[0x81, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4])
        .await;
    assert_eq!(socket.closed().await, CloseCode::Size);
}

#[tokio::test]
async fn an_unknown_session_is_told_so_and_the_socket_stays() {
    let server = TestServer::start(&[]);
    let mut socket = WebSocket::open(server.address).await;
    let reply = socket
        .call(json!({"channel": "/meta/connect", "id": "1", "clientId": "x"}))
        .await;
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(
        reply["advice"],
        json!({"reconnect": "handshake", "interval": 0, "timeout": 30000})
    );
    socket.handshake().await;
    let reply = socket.call(json!({"channel": "/meta/connect"})).await;
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn a_message_gets_there_byte_for_byte() {
    let server = TestServer::start(&[]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/a").await;
    let id = client.id.clone();
    let data = "{ \"n\":1.10,\r\n\"big\":123456789012345678901234567890, \"e\":1e400 }";
    client
        .text(&format!(
            r#"[{{"channel":"/a","clientId":"{id}","data":{data}}}]"#
        ))
        .await;
    assert_eq!(client.message().await["successful"], true);
    let expected = format!(r#"[{{"channel":"/a","data":{data}}}]"#);
    assert_eq!(client.next_text().await, expected);
}

#[tokio::test]
async fn messages_queue_while_the_socket_is_gone_and_come_once() {
    let server = TestServer::start(&[]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/a").await;
    client.hold("1").await;
    server.holds(1).await;
    let id = client.id.clone();
    client.reset();
    server.holds(0).await;
    let mut publisher = server.client().await;
    for number in 0..3 {
        publisher.publish("/a", number).await;
    }
    let mut again = WebSocket::open(server.address).await;
    again.id = id;
    again.hold("2").await;
    for number in 0..3 {
        assert_eq!(again.message().await["data"], number);
    }
    server.holds(1).await;
    assert!(again.is_silent().await);
}

#[tokio::test]
async fn a_new_socket_takes_the_session_over_and_the_old_one_is_closed() {
    let server = TestServer::start(&[]);
    let mut old = WebSocket::client(server.address).await;
    old.subscribe("/a").await;
    old.hold("old").await;
    server.holds(1).await;
    let mut new = WebSocket::open(server.address).await;
    new.id = old.id.clone();
    new.hold("new").await;
    let displaced = old.message().await;
    assert_eq!(displaced["error"], "409::connect_displaced");
    assert_eq!(old.closed().await, CloseCode::Normal);
    server.client().await.publish("/a", 1).await;
    assert_eq!(new.message().await["data"], 1);
}

#[tokio::test]
async fn a_session_moves_between_websocket_and_long_polling() {
    let server = TestServer::start(&[]);
    let mut polling = server.client().await;
    polling.subscribe("/a").await;
    let mut publisher = server.client().await;

    let cookie = format!("BAYEUX_BROWSER={}", polling.cookie.as_ref().unwrap());
    let request = upgrade().header("Cookie", &cookie);
    let mut socket = WebSocket::open_with(server.address, request).await;
    socket.id.clone_from(&polling.id);
    publisher.publish("/a", 1).await;
    socket.hold("1").await;
    assert_eq!(socket.message().await["data"], 1);

    polling.poll().await;
    assert_eq!(socket.message().await["error"], "409::connect_displaced");
    assert_eq!(socket.closed().await, CloseCode::Normal);
    server.holds(1).await;
    publisher.publish("/a", 2).await;
    assert_eq!(polling.polled().await[0]["data"], 2);

    // And the other way: the poll is answered as one that was displaced.
    polling.poll().await;
    server.holds(1).await;
    let request = upgrade().header("Cookie", &cookie);
    let mut socket = WebSocket::open_with(server.address, request).await;
    socket.id.clone_from(&polling.id);
    socket.hold("2").await;
    assert_eq!(polling.poll_connection().await.response().await.status, 409);
    publisher.publish("/a", 3).await;
    assert_eq!(socket.message().await["data"], 3);
}

#[tokio::test]
async fn a_publish_by_post_does_not_take_the_session_over() {
    let server = TestServer::start(&[]);
    let mut socket = WebSocket::client(server.address).await;
    socket.subscribe("/a").await;
    let mut client = Client::new(server.address);
    client.id.clone_from(&socket.id);
    let replies = client.publish("/a", 1).await;
    assert_eq!(replies.len(), 1, "events leave by the socket: {replies:?}");
    assert_eq!(socket.message().await["data"], 1);
}

#[tokio::test]
async fn the_cookie_of_the_upgrade_binds_the_session() {
    let server = TestServer::start(&[]);
    let client = server.client().await;
    let own = client.cookie.clone().unwrap();
    let other = "x".repeat(22);
    for (cookie, expected) in [("", false), (&other, false), (&own, true)] {
        let request = upgrade().header("Cookie", &format!("BAYEUX_BROWSER={cookie}"));
        let mut stranger = WebSocket::open_with(server.address, request).await;
        // It has a session of its own, so this is not its first.
        stranger.handshake().await;
        stranger.id.clone_from(&client.id);
        let reply = stranger
            .call(json!({"channel": "/meta/connect", "advice": {"timeout": 0}}))
            .await;
        assert_eq!(reply["successful"], expected);
    }
}

#[tokio::test]
async fn a_socket_that_is_older_than_the_session_needs_no_cookie_of_it() {
    let server = TestServer::start(&[]);
    let mut faye = WebSocket::open(server.address).await;
    // The session is made by POST meanwhile, and bound to its cookie.
    let mut client = server.client().await;
    client.subscribe("/a").await;
    faye.id.clone_from(&client.id);
    faye.hold("1").await;
    server.holds(1).await;
    server.client().await.publish("/a", 1).await;
    assert_eq!(faye.message().await["data"], 1);

    // But that is not a way into other sessions.
    let other = server.client().await;
    faye.id.clone_from(&other.id);
    let reply = faye.call(json!({"channel": "/meta/connect"})).await;
    assert_eq!(reply["error"], "402::session_unknown");
}

#[tokio::test]
async fn a_session_may_be_required_to_begin_on_its_socket() {
    let server = TestServer::start(&["websocket.require_handshake_per_connection=true"]);
    let first = WebSocket::client(server.address).await;
    let mut second = WebSocket::open(server.address).await;
    second.id = first.id.clone();
    let reply = second.call(json!({"channel": "/meta/connect"})).await;
    assert_eq!(reply["error"], "402::session_unknown");
    second.handshake().await;
    let reply = second.call(json!({"channel": "/meta/connect"})).await;
    assert_eq!(reply["successful"], true);
}

/// More than all buffers between two sockets hold.
const FLOOD: u64 = 400;
/// So that a queue may hold the flood.
const ROOM: &str = "bayeux.max_queue_bytes=100MiB";
/// So that a session without a connect outlives a flood on a busy machine.
const LONG: &str = "bayeux.max_interval=5m";

/// Publishes the numbers of a flood.
async fn flood(server: &TestServer) {
    let mut publisher = server.client().await;
    let filler = "x".repeat(50_000);
    for number in 0..FLOOD {
        publisher
            .publish("/flood", json!({"number": number, "filler": filler}))
            .await;
    }
}

fn number(message: &serde_json::Value) -> u64 {
    message["data"]["number"].as_u64().unwrap()
}

#[tokio::test]
async fn replies_come_before_a_flood_of_events() {
    let server = TestServer::start(&[ROOM, LONG]);
    let mut client = WebSocket::narrow_client(server.address).await;
    client.subscribe("/flood").await;
    flood(&server).await;
    client
        .send(json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/other"}))
        .await;
    let mut before = 0;
    while client.message().await["id"] != "s" {
        before += 1;
    }
    assert!(before < FLOOD, "{before}");
    for expected in before..FLOOD {
        assert_eq!(number(&client.message().await), expected);
    }
}

#[tokio::test]
pub(crate) async fn a_slow_reader_loses_nothing_when_another_socket_takes_over() {
    let server = TestServer::start(&[ROOM, LONG]);
    let mut slow = WebSocket::narrow_client(server.address).await;
    slow.subscribe("/flood").await;
    flood(&server).await;
    let mut numbers = vec![number(&slow.message().await)];
    let mut fast = WebSocket::open(server.address).await;
    fast.id.clone_from(&slow.id);
    fast.hold("1").await;
    // What the old socket had taken comes there, whole messages only; the rest comes here.
    while let Some(Incoming::Text(text)) = slow.next().await {
        let messages: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
        numbers.push(number(&messages[0]));
    }
    let at_first = numbers.len() as u64;
    assert!(at_first < FLOOD, "{at_first}");
    for _ in at_first..FLOOD {
        numbers.push(number(&fast.message().await));
    }
    assert!(numbers.iter().copied().eq(0..FLOOD), "{numbers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_moves_between_sockets_and_polls_under_a_flood_loses_nothing() {
    const EVENTS: u64 = 5000;
    let server = TestServer::start(&[]);
    let mut socket = WebSocket::client(server.address).await;
    socket.subscribe("/flood").await;
    let publisher = server.cookieless().await;
    let address = server.address;
    let publishing = tokio::spawn(async move {
        let mut http = Http::open(address).await;
        for start in (0..EVENTS).step_by(50) {
            let batch = (start..start + 50).map(|number| {
                json!({"channel": "/flood", "clientId": publisher.id, "data": {"number": number}})
            });
            let batch = serde_json::Value::from_iter(batch).to_string();
            http.exchange(Request::post(batch)).await;
        }
    });
    let mut polling = Client::new(server.address);
    polling.id.clone_from(&socket.id);
    let note = |messages: Vec<serde_json::Value>, numbers: &mut Vec<u64>| {
        let events = messages.iter();
        numbers.extend(events.filter_map(|event| event["data"]["number"].as_u64()));
    };
    let mut numbers = Vec::new();
    while (numbers.len() as u64) < EVENTS {
        note(socket.messages().await, &mut numbers);
        if numbers.len() % 10 == 0 {
            let mut next = WebSocket::open(server.address).await;
            next.id.clone_from(&socket.id);
            // Nothing else may be on its way when a poll takes the session over.
            let by_poll = numbers.len() % 20 == 0;
            let polled = if by_poll {
                polling.queued().await
            } else {
                next.hold("1").await;
                Vec::new()
            };
            while let Some(Incoming::Text(text)) = socket.next().await {
                note(serde_json::from_slice(&text).unwrap(), &mut numbers);
            }
            note(polled, &mut numbers);
            if by_poll {
                next.hold("1").await;
            }
            socket = next;
        }
    }
    publishing.await.unwrap();
    assert!(numbers.iter().copied().eq(0..EVENTS), "{numbers:?}");
}

#[tokio::test]
async fn events_on_connects_only_come_with_connects() {
    let server = TestServer::start(&["bayeux.meta_connect_deliver_only=true"]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    publisher.publish("/a", 1).await;
    assert!(client.is_silent().await);
    client.hold("1").await;
    let with_reply = client.messages().await;
    assert_eq!(with_reply[0]["data"], 1);
    assert_eq!(with_reply[1]["id"], "1");
    client.hold("2").await;
    server.holds(1).await;
    publisher.publish("/a", 2).await;
    let with_reply = client.messages().await;
    assert_eq!(with_reply[0]["data"], 2);
    assert_eq!(with_reply[1]["id"], "2");
}

#[tokio::test]
async fn lazy_events_wait_for_company() {
    let server =
        TestServer::start(&[r#"channel=[{pattern="/lazy", lazy=true, lazy_timeout="300ms"}]"#]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/lazy").await;
    let mut publisher = server.client().await;
    publisher.publish("/lazy", 1).await;
    assert!(client.is_silent().await);
    assert_eq!(client.message().await["data"], 1);
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_gone_if_it_does_not_answer() {
    let server = TestServer::start(&["websocket.ping_interval=100ms"]);
    let mut client = WebSocket::client(server.address).await;
    for _ in 0..2 {
        let ping = client.next().await;
        assert_eq!(ping, Some(Incoming::Ping(Bytes::new())));
        client.frame(0x8a, b"").await;
    }
    assert_eq!(client.next().await, Some(Incoming::Ping(Bytes::new())));
    assert_eq!(client.next().await, None);
    assert_eq!(server.metrics().dead_peers.value(), 1);
}

#[tokio::test]
async fn an_event_of_the_moment_in_which_a_client_is_given_up_is_not_lost() {
    let server = TestServer::start(&["websocket.ping_interval=300ms"]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/a").await;
    let publisher = server.cookieless().await;
    let message = json!([{"channel": "/a", "clientId": publisher.id, "data": 1}]).to_string();
    let mut http = server.open().await;
    assert_eq!(client.next().await, Some(Incoming::Ping(Bytes::new())));
    http.send(Request::post(message).bytes()).await;
    // The server runs on this thread: the event and the end of its patience come at once.
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(client.next().await, None);
    assert_eq!(server.metrics().dead_peers.value(), 1);
    let mut again = WebSocket::open(server.address).await;
    again.id.clone_from(&client.id);
    again.hold("1").await;
    assert_eq!(again.message().await["data"], 1);
}

#[tokio::test]
async fn a_message_that_stays_incomplete_and_a_socket_without_a_session_are_closed() {
    let server = TestServer::start(&["http.body_timeout=100ms", "http.keep_alive_timeout=300ms"]);
    let mut client = WebSocket::client(server.address).await;
    client.frame(0x01, b"[").await;
    assert_eq!(client.closed().await, CloseCode::Policy);
    let mut client = WebSocket::client(server.address).await;
    client.bytes(&[0x81]).await;
    assert_eq!(client.closed().await, CloseCode::Policy);
    assert_eq!(server.metrics().limit_count(Limit::BodyTimeout), 2);
    let mut nobody = WebSocket::open(server.address).await;
    assert_eq!(nobody.closed().await, CloseCode::Normal);
}

#[tokio::test]
pub(crate) async fn a_client_that_does_not_read_is_given_up() {
    let server = TestServer::start(&["http.write_timeout=200ms", ROOM]);
    let mut client = WebSocket::narrow_client(server.address).await;
    client.subscribe("/flood").await;
    flood(&server).await;
    until(|| server.metrics().websockets.value() == 0).await;
    assert_eq!(server.metrics().limit_count(Limit::WriteTimeout), 1);
}

#[tokio::test]
async fn a_stopping_server_says_so_and_delivers_what_is_queued() {
    let mut server =
        TestServer::start(&[r#"channel=[{pattern="/lazy", lazy=true, lazy_timeout="10m"}]"#]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/lazy").await;
    client.hold("held").await;
    server.holds(1).await;
    server.client().await.publish("/lazy", 1).await;
    let mut nobody = WebSocket::open(server.address).await;
    server.stop();
    let reply = client.message().await;
    assert_eq!(
        (&reply["id"], &reply["successful"]),
        (&json!("held"), &json!(true))
    );
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert_eq!(client.message().await["data"], 1);
    assert_eq!(client.closed().await, CloseCode::Away);
    assert_eq!(nobody.closed().await, CloseCode::Away);
    drop((client, nobody));
    server.stopped().await;
}

#[tokio::test]
async fn a_full_queue_ends_the_session_and_its_client_hears_of_it() {
    let server = TestServer::start(&[
        "bayeux.max_queue=3",
        r#"channel=[{pattern="/lazy", lazy=true, lazy_timeout="10m"}]"#,
    ]);
    let mut client = WebSocket::client(server.address).await;
    client.subscribe("/lazy").await;
    client.hold("held").await;
    server.holds(1).await;
    let mut publisher = server.client().await;
    for number in 0..4 {
        publisher.publish("/lazy", number).await;
    }
    let reply = client.message().await;
    assert_eq!(reply["id"], "held");
    assert_eq!(reply["error"], "402::session_unknown");
    client.handshake().await;
}

#[tokio::test]
async fn a_foreign_page_is_refused_before_the_upgrade() {
    let server = TestServer::start(&[r#"http.allowed_origins=["https://friend.example"]"#]);
    let cases = [
        ("https://foe.example", 403),
        ("null", 403),
        ("https://friend.example", 101),
        ("http://localhost", 101),
        ("", 101),
    ];
    for (origin, status) in cases {
        let request = upgrade().header("Origin", origin);
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, status, "{origin}");
    }
    assert_eq!(server.metrics().refused_origins.value(), 2);
}

#[tokio::test]
async fn the_upgrade_is_taken_below_the_endpoint_too_and_a_protocol_is_echoed() {
    let server = TestServer::start(&[]);
    let request = upgrade()
        .to("/cometd/anything")
        .header("Sec-WebSocket-Protocol", "cometd, other");
    let socket = WebSocket::open_with(server.address, request).await;
    let response = &socket.response;
    assert_eq!(response.header("Sec-WebSocket-Protocol"), Some("cometd"));
    assert_eq!(response.header("Content-Length"), None);
    assert_eq!(
        response.header("Sec-WebSocket-Accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}

#[tokio::test]
async fn a_bad_upgrade_is_bad_http() {
    let server = TestServer::start(&[]);
    let cases = [
        (upgrade().header("Sec-WebSocket-Version", "8"), 426),
        (upgrade().header("Sec-WebSocket-Key", ""), 400),
        (upgrade().version("HTTP/1.0"), 400),
        (upgrade().to("/elsewhere"), 404),
    ];
    for (request, status) in cases {
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, status, "{response:?}");
        assert!(!response.reason().is_empty());
    }
}

#[tokio::test]
pub(crate) async fn what_is_sent_right_behind_the_upgrade_is_read() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    let mut bytes = upgrade().bytes();
    bytes.extend_from_slice(&[0x81, 0x82, 0, 0, 0, 0, b'[', b']']);
    http.send(bytes).await;
    assert_eq!(http.response().await.status, 101);
    let mut rest = Vec::new();
    while rest.len() < 4 {
        rest.extend(http.some().await);
    }
    assert_eq!(rest, [0x81, 2, b'[', b']']);
}

#[tokio::test]
async fn long_messages_are_deflated_both_ways_and_short_ones_are_not() {
    let server = TestServer::start(&["websocket.deflate_threshold=200B"]);
    let offer = upgrade().header(
        "Sec-WebSocket-Extensions",
        "permessage-deflate; client_max_window_bits",
    );
    let mut deflating = WebSocket::open_with(server.address, offer).await;
    deflating.handshake().await;
    deflating.subscribe("/a").await;
    let mut plain = WebSocket::client(server.address).await;
    plain.subscribe("/a").await;
    let id = deflating.id.clone();
    for size in [10, 10_000] {
        let data = "x".repeat(size);
        deflating
            .deflated(&json!([{"channel": "/a", "clientId": id, "data": data}]).to_string())
            .await;
        assert_eq!(deflating.message().await["successful"], true);
        assert_eq!(deflating.message().await["data"], data);
        assert_eq!(plain.message().await["data"], data);
    }
    // Off, nothing is negotiated.
    let server = TestServer::start(&["websocket.permessage_deflate=false"]);
    let offer = upgrade().header("Sec-WebSocket-Extensions", "permessage-deflate");
    let socket = WebSocket::open_with(server.address, offer).await;
    assert_eq!(socket.response.header("Sec-WebSocket-Extensions"), None);
}

#[tokio::test]
async fn a_client_that_sends_much_in_few_bytes_leaves_others_their_turn() {
    let server = TestServer::start(&[]);
    let offer = upgrade().header("Sec-WebSocket-Extensions", "permessage-deflate");
    let mut client = WebSocket::open_with(server.address, offer).await;
    let text = format!("[{}]", " ".repeat(65_000));
    for _ in 0..100 {
        client.deflated(&text).await;
    }
    let turns = Arc::new(AtomicU32::new(0));
    let others = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            others.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..100 {
        assert_eq!(client.next_text().await, Bytes::from_static(b"[]"));
    }
    other.abort();
    // At most two of them fit into a turn.
    assert!(turns.load(Relaxed) >= 50, "{turns:?}");
}

#[tokio::test]
async fn many_frames_at_once_are_answered_in_order() {
    let server = TestServer::start(&[]);
    let mut client = WebSocket::client(server.address).await;
    let id = client.id.clone();
    for number in 0..500 {
        client
            .text(&json!([{"channel": "/a", "clientId": id, "id": number, "data": 0}]).to_string())
            .await;
    }
    for number in 0..500 {
        assert_eq!(client.message().await["id"], number);
    }
}

#[tokio::test]
async fn jsonp_is_not_confused_with_it() {
    let server = TestServer::start(&[]);
    let message = json!([{"channel": "/meta/handshake", "version": "1.0"}]).to_string();
    let target = format!("/cometd?jsonp=f&message={}", percent(&message));
    let response = server
        .open()
        .await
        .exchange(
            Request::new("GET", &target)
                .header("Upgrade", "websocket")
                .header("Referer", "http://localhost/page"),
        )
        .await;
    assert_eq!(only(response.messages_for("f"))["successful"], true);
}
