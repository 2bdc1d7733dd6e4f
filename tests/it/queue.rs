//! A session's queue at its bound, by either policy.

use mirant::metrics::Limit;
use serde_json::{Value, json};

use crate::support::{Client, TestServer, only};

async fn flooded(server: &TestServer, events: i64) -> Client {
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    for n in 0..events {
        publisher.publish("/a", n).await;
    }
    subscriber
}

fn data(events: &[Value]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event["data"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn the_queue_holds_max_queue_events() {
    let server = TestServer::start(&["bayeux.max_queue=3"]);
    let mut client = flooded(&server, 3).await;
    assert_eq!(data(&client.queued().await), [0, 1, 2]);
    assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 0);
}

#[tokio::test]
async fn by_default_the_session_ends_at_the_bound_and_its_client_is_told() {
    let server = TestServer::start(&["bayeux.max_queue=3"]);
    let mut client = flooded(&server, 4).await;
    let reply = only(client.connect().await);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 1);
    let ended = r#"mirant_sessions_ended_total{reason="max_queue"} 1"#;
    assert!(server.metrics().render().contains(ended));
}

#[tokio::test]
async fn drop_oldest_makes_room() {
    let server = TestServer::start(&["bayeux.max_queue=3", "bayeux.max_queue_policy=drop_oldest"]);
    let mut client = flooded(&server, 8).await;
    assert_eq!(data(&client.queued().await), [5, 6, 7]);
    assert_eq!(server.metrics().dropped.value(), 5);
    assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 5);
}

#[tokio::test]
async fn the_bound_is_of_bytes_too() {
    let server = TestServer::start(&[
        "bayeux.max_queue_bytes=70",
        "bayeux.max_queue_policy=drop_oldest",
    ]);
    let event = json!({"channel": "/a", "data": 0}).to_string();
    assert_eq!(70 / event.len(), 2, "two fit");
    let mut client = flooded(&server, 3).await;
    let queued = data(&client.queued().await);
    assert_eq!(queued.last(), Some(&2));
    assert!(queued.len() < 3 && server.metrics().dropped.value() > 0);
}

#[tokio::test]
async fn a_publisher_whose_own_queue_is_full_is_ended_with_its_reply() {
    let server = TestServer::start(&["bayeux.max_queue=2"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let message = json!({"channel": "/a", "data": 1});
    let replies = client
        .send([message.clone(), message.clone(), message.clone(), message])
        .await;
    assert_eq!(
        replies.len(),
        4,
        "no event is left, every message has its reply"
    );
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn a_response_carries_max_response_size_and_the_next_the_rest() {
    let server = TestServer::start(&["bayeux.max_response_size=1KiB"]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    let text = "x".repeat(400);
    for n in 0..5 {
        publisher.publish("/a", json!([n, text])).await;
    }
    let mut sizes = Vec::new();
    let mut order = Vec::new();
    while order.len() < 5 {
        let events = client.queued().await;
        sizes.push(events.len());
        order.extend(
            events
                .iter()
                .map(|event| event["data"][0].as_i64().unwrap()),
        );
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_held_connect_whose_session_ends_at_the_bound_is_told_to_handshake() {
    let server = TestServer::start(&[
        "bayeux.max_queue=2",
        r#"channel=[{pattern="/a", lazy=true, lazy_timeout="10m"}]"#,
    ]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    subscriber.poll().await;
    server.holds(1).await;
    for n in 0..3 {
        publisher.publish("/a", n).await;
    }
    let reply = only(subscriber.polled().await);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(server.metrics().held_connects.value(), 0);
}
