//! timesync, timestamp, activity, binary data, and messages with the handshake's reply.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, TestServer, WebSocket, only, until};

fn timesync(message: &Value) -> Value {
    message["ext"]["timesync"].clone()
}

fn asking() -> Value {
    json!({"timesync": {"tc": 1000, "l": 0, "o": 0}})
}

#[tokio::test]
async fn timesync_answers_every_meta_message() {
    let server = TestServer::start(&["bayeux.timeout=300ms"]);
    let mut client = Client::new(server.address);
    let mut replies = vec![client.handshake_with(json!({"ext": asking()})).await];
    let subscribe = json!({"channel": "/meta/subscribe", "subscription": "/a", "ext": asking()});
    replies.push(client.call(subscribe).await);
    replies.push(only(client.connect_with(json!({"ext": asking()})).await));
    for reply in replies {
        let told = timesync(&reply);
        assert_eq!(told["tc"], 1000);
        assert!(told["ts"].as_i64().unwrap() > 1_700_000_000_000);
        assert_eq!(
            told["a"].as_i64(),
            Some(1000 - told["ts"].as_i64().unwrap())
        );
        assert!(told["p"].as_u64().unwrap() < 200);
    }
    let held = only(client.connect_with(json!({"ext": asking()})).await);
    let held = timesync(&held)["p"].as_u64().unwrap();
    assert!(held >= 300, "p is how long the server had it: {held}");
}

#[tokio::test]
async fn timesync_and_ack_go_together_over_a_websocket() {
    let server = TestServer::start(&["bayeux.timeout=100ms"]);
    let mut socket = WebSocket::open(server.address).await;
    let ext = json!({"ack": true, "timesync": {"tc": 1}});
    let reply = socket
        .call(json!({"channel": "/meta/handshake", "version": "1.0", "ext": ext}))
        .await;
    reply["clientId"]
        .as_str()
        .unwrap()
        .clone_into(&mut socket.id);
    assert_eq!(reply["ext"]["ack"], true);
    assert_eq!(reply["ext"]["timesync"]["tc"], 1);
    for number in 1..4 {
        let ext = json!({"ack": number - 1, "timesync": {"tc": number}});
        let reply = socket
            .call(json!({"channel": "/meta/connect", "ext": ext}))
            .await;
        assert_eq!(reply["ext"]["ack"], number);
        assert_eq!(reply["ext"]["timesync"]["tc"], number);
    }
}

#[tokio::test]
async fn what_is_off_is_not_promised() {
    let server = TestServer::start(&["extensions.ack=false", "extensions.timesync=false"]);
    let ext = json!({"ack": true, "timesync": {"tc": 1}});
    let reply = Client::new(server.address)
        .handshake_with(json!({"ext": ext}))
        .await;
    assert_eq!(reply["successful"], true);
    assert_eq!(reply.get("ext"), None);
}

#[tokio::test]
async fn timestamps_stand_in_replies_and_events_and_replace_the_publisher_s() {
    for (form, pattern) in [
        ("cometd", &[" UTC 20"][..]),
        ("iso8601", &["T", ".", "Z"][..]),
    ] {
        let server = TestServer::start(&[&format!("extensions.timestamp={form}")]);
        let mut client = server.client().await;
        let reply = client.subscribe("/a").await;
        let mut times = vec![reply["timestamp"].clone()];
        let sent = json!({"channel": "/a", "data": 1, "timestamp": "then"});
        for message in client.send([sent]).await {
            times.push(message["timestamp"].clone());
        }
        client.poll().await;
        server.holds(1).await;
        client.disconnect().await;
        times.push(only(client.polled().await)["timestamp"].clone());
        assert_eq!(times.len(), 4);
        for time in times {
            let time = time.as_str().unwrap();
            assert!(pattern.iter().all(|part| time.contains(part)), "{time}");
        }
    }
}

#[tokio::test]
async fn a_client_that_only_connects_is_inactive() {
    let server = TestServer::start(&[
        "extensions.activity=client",
        "extensions.max_inactivity=200ms",
        "bayeux.timeout=50ms",
    ]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    let ended = loop {
        publisher.publish("/a", 1).await;
        let reply = client.connect().await.pop().unwrap();
        if reply["advice"]["reconnect"] == "none" {
            break reply;
        }
        assert_eq!(reply["successful"], true);
    };
    assert_eq!(ended["successful"], true);
    let gone = only(client.connect().await);
    assert_eq!(gone["error"], "402::session_unknown");
    assert_eq!(server.metrics().sessions.value(), 1, "the publisher's");
}

#[tokio::test]
async fn a_connect_is_one_by_whatever_form_of_its_channel() {
    let server = TestServer::start(&[
        "extensions.activity=client",
        "extensions.max_inactivity=100ms",
        "bayeux.timeout=50ms",
    ]);
    let mut client = server.client().await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        client
            .connect_with(json!({"channel": "/meta/connect/"}))
            .await;
    }
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn events_for_a_client_keep_it_active_if_they_count() {
    let server = TestServer::start(&[
        "extensions.activity=client_server",
        "extensions.max_inactivity=300ms",
        "bayeux.timeout=50ms",
    ]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(700) {
        publisher.publish("/a", 1).await;
        let reply = client.connect().await.pop().unwrap();
        assert_eq!(reply.get("advice"), None, "it is active");
    }
    until(|| begun.elapsed() > Duration::from_millis(1100)).await;
    let reply = client.connect().await.pop().unwrap();
    assert_eq!(reply["advice"]["reconnect"], "none");
}

#[tokio::test]
async fn binary_data_passes_untouched() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    // The second is no valid Z85: it is the receiver's to judge.
    for z85 in ["HelloWorld", "Hel", r##".-:+=^!/*?&<>()[]{}@%$#"##] {
        let message = json!({
            "channel": "/a", "ext": {"binary": {}},
            "data": {"data": z85, "last": true, "meta": {"name": "x"}},
        });
        let event = client.send([message.clone()]).await.remove(0);
        assert_eq!(event["data"], message["data"]);
        assert_eq!(event["ext"], message["ext"]);
    }
}

#[tokio::test]
async fn a_handshake_s_reply_says_how_many_messages_come_with_it() {
    let server = TestServer::start(&["bayeux.allow_message_delivery_during_handshake=true"]);
    let mut client = Client::new(server.address);
    let reply = client.handshake_with(json!({"ext": {"ack": true}})).await;
    assert_eq!(reply["x-messages"], 0);
    assert_eq!(reply["ext"]["ack"], json!({"enabled": true, "batch": 1}));
    let first = client.connect_with(json!({"ext": {"ack": 1}})).await;
    assert_eq!(only(first)["ext"]["ack"], 2);
}
