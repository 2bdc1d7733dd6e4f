//! Lazy channels: events that wait for company.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, TestServer};

const LAZY: &str = r#"channel=[{pattern="/lazy/**", lazy=true}, {pattern="/lazy/not", lazy=false}, {pattern="/lazy/soon", lazy_timeout="200ms"}]"#;

/// A subscriber whose connect is held, and a publisher.
async fn held(server: &TestServer) -> (Client, Client) {
    let (mut subscriber, publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/**").await;
    subscriber.poll().await;
    server.holds(1).await;
    (subscriber, publisher)
}

fn channels(messages: &[Value]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message["channel"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_lazy_event_does_not_resume_the_held_connect() {
    let server = TestServer::start(&[LAZY]);
    let (mut subscriber, mut publisher) = held(&server).await;
    publisher.publish("/lazy/a", 1).await;
    assert!(subscriber.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn lazy_events_go_with_the_first_that_is_not_and_order_stays() {
    let server = TestServer::start(&[LAZY]);
    let (mut subscriber, mut publisher) = held(&server).await;
    publisher.publish("/lazy/a", 1).await;
    publisher.publish("/lazy/b/c", 2).await;
    publisher.publish("/lazy/not", 3).await;
    let messages = subscriber.polled().await;
    let expected = ["/lazy/a", "/lazy/b/c", "/lazy/not", "/meta/connect"];
    assert_eq!(channels(&messages), expected);
}

#[tokio::test]
async fn a_lazy_event_is_delivered_after_max_lazy_timeout() {
    let server = TestServer::start(&[LAZY, "bayeux.max_lazy_timeout=200ms"]);
    let (mut subscriber, mut publisher) = held(&server).await;
    let start = Instant::now();
    publisher.publish("/lazy/a", 1).await;
    assert_eq!(channels(&subscriber.polled().await)[0], "/lazy/a");
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_channel_s_own_lazy_timeout_counts_and_takes_the_others_along() {
    let server = TestServer::start(&[LAZY, "bayeux.max_lazy_timeout=10m"]);
    let (mut subscriber, mut publisher) = held(&server).await;
    publisher.publish("/lazy/a", 1).await;
    publisher.publish("/lazy/soon", 2).await;
    let messages = subscriber.polled().await;
    assert_eq!(
        channels(&messages),
        ["/lazy/a", "/lazy/soon", "/meta/connect"]
    );
}

#[tokio::test]
async fn the_connect_s_timeout_takes_lazy_events_along() {
    let server = TestServer::start(&[LAZY, "bayeux.timeout=200ms", "bayeux.max_lazy_timeout=10m"]);
    let (mut subscriber, mut publisher) = held(&server).await;
    publisher.publish("/lazy/a", 1).await;
    assert_eq!(
        channels(&subscriber.polled().await),
        ["/lazy/a", "/meta/connect"]
    );
}

#[tokio::test]
async fn a_connect_with_only_lazy_events_queued_is_held() {
    let server = TestServer::start(&[LAZY]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/lazy/a").await;
    publisher.publish("/lazy/a", 1).await;
    subscriber.poll().await;
    server.holds(1).await;
    assert!(subscriber.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn lazy_events_that_are_overdue_answer_the_next_connect_at_once() {
    let server =
        TestServer::start(&[r#"channel=[{pattern="/lazy", lazy=true, lazy_timeout="0s"}]"#]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/lazy").await;
    publisher.publish("/lazy", 1).await;
    assert_eq!(
        channels(&subscriber.connect().await),
        ["/lazy", "/meta/connect"]
    );
}

#[tokio::test]
async fn a_publish_reply_takes_lazy_events_along() {
    let server = TestServer::start(&[LAZY]);
    let (mut subscriber, mut publisher) = held(&server).await;
    publisher.publish("/lazy/a", 1).await;
    let messages = subscriber.publish("/service/x", 1).await;
    assert_eq!(channels(&messages), ["/lazy/a", "/service/x"]);
}

#[tokio::test]
async fn with_deliver_only_lazy_events_wait_for_the_connect() {
    let server = TestServer::start(&[LAZY, "bayeux.meta_connect_deliver_only=true"]);
    let (mut subscriber, mut publisher) = held(&server).await;
    publisher.publish("/lazy/a", 1).await;
    let reply = subscriber
        .call(json!({"channel": "/lazy/b", "data": 2}))
        .await;
    assert_eq!(reply["successful"], true);
    assert!(subscriber.poll_connection().await.is_silent().await);
    publisher.publish("/x", 3).await;
    let messages = subscriber.polled().await;
    assert_eq!(
        channels(&messages),
        ["/lazy/a", "/lazy/b", "/x", "/meta/connect"]
    );
}
