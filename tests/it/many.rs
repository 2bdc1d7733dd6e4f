//! Many clients, and many messages: exactly once, and in order.

use serde_json::json;

use crate::support::{Client, Request, TestServer, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_held_clients_receive_a_broadcast_exactly_once() {
    const CLIENTS: usize = 2000;
    let server = TestServer::start(&["bayeux.timeout=10m", "bayeux.max_interval=10m"]);
    let mut clients = Vec::with_capacity(CLIENTS);
    for _ in 0..CLIENTS {
        clients.push(parked(&server).await);
    }
    until(|| server.metrics().held_connects.value() == i64::try_from(CLIENTS).unwrap()).await;
    let reply = server.cookieless().await.publish("/all/one", 7).await;
    assert_eq!(reply.len(), 1);
    for client in &mut clients {
        let messages = client.polled().await;
        assert_eq!(messages[0], json!({"channel": "/all/one", "data": 7}));
        assert_eq!(messages[1]["channel"], "/meta/connect");
        assert_eq!(messages.len(), 2);
    }
    let delivered = server.metrics().delivered.value();
    assert_eq!(delivered, u64::try_from(CLIENTS).unwrap());
    for client in clients.iter_mut().step_by(100) {
        assert!(client.queued().await.is_empty(), "nothing came twice");
    }
}

/// A client with one connection, subscribed twice over, whose connect is held.
async fn parked(server: &TestServer) -> Client {
    let mut client = Client::new(server.address).without_cookies();
    let http = client.poll_connection().await;
    let handshake = r#"[{"channel":"/meta/handshake"}]"#;
    let reply = http
        .exchange(Request::post(handshake))
        .await
        .messages()
        .remove(0);
    client.id = reply["clientId"].as_str().unwrap().to_owned();
    let batch = json!([
        client.message(json!({"channel": "/meta/subscribe", "subscription": ["/all/*", "/**"]})),
        client.message(json!({"channel": "/meta/connect"})),
    ]);
    let request = Request::post(batch.to_string());
    client.poll_connection().await.exchange(request).await;
    client.poll().await;
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_messages_of_one_publisher_arrive_in_order() {
    const MESSAGES: u64 = 5000;
    let server = TestServer::start(&[]);
    let mut subscriber = server.client().await;
    subscriber.subscribe("/a").await;
    let mut publisher = server.client().await;
    let publishing = tokio::spawn(async move {
        for n in 0..MESSAGES {
            let replies = publisher.publish("/a", n).await;
            assert_eq!(replies[0]["successful"], true);
        }
    });
    let mut next = 0;
    while next < MESSAGES {
        let mut messages = subscriber.connect().await;
        assert_eq!(messages.pop().unwrap()["channel"], "/meta/connect");
        for event in messages {
            assert_eq!(event["data"], next);
            next += 1;
        }
    }
    publishing.await.unwrap();
    assert!(subscriber.queued().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_messages_sent_while_nobody_polls_wait_in_order() {
    let server = TestServer::start(&[]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    for start in (0..5000).step_by(500) {
        let batch: Vec<_> = (start..start + 500)
            .map(|n| publisher.message(json!({"channel": "/a", "data": n})))
            .collect();
        let replies = publisher
            .post(serde_json::Value::from(batch).to_string())
            .await;
        assert_eq!(replies.messages().len(), 500);
    }
    let events = subscriber.queued().await;
    assert_eq!(events.len(), 5000);
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["data"], n);
    }
}
