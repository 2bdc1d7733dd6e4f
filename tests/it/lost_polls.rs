//! Held connects whose socket dies: nothing is lost, and expiry starts then.

use serde_json::{Value, json};

use crate::support::{Client, Http, TestServer, only, until};

/// How a client may lose its connection.
#[derive(Clone, Copy, Debug)]
enum Death {
    Fin,
    Rst,
}

async fn lose(server: &TestServer, client: &mut Client, death: Death) {
    client.poll().await;
    server.holds(1).await;
    let socket = client.take_poll();
    match death {
        Death::Fin => drop(socket),
        Death::Rst => socket.reset(),
    }
    server.holds(0).await;
    assert_eq!(server.metrics().lost_connects.value(), 1);
}

#[tokio::test]
pub(crate) async fn events_published_after_the_socket_died_are_not_lost() {
    for death in [Death::Fin, Death::Rst] {
        let server = TestServer::start(&[]);
        let (mut client, mut publisher) = (server.client().await, server.client().await);
        client.subscribe("/a").await;
        lose(&server, &mut client, death).await;
        for n in 0..3 {
            publisher.publish("/a", n).await;
        }
        let data: Vec<Value> = client
            .queued()
            .await
            .iter()
            .map(|event| event["data"].clone())
            .collect();
        assert_eq!(data, [0, 1, 2], "{death:?}");
    }
}

#[tokio::test]
pub(crate) async fn events_published_right_after_a_reset_are_not_lost() {
    // The server may see the reset before or after the event: both ways it is delivered once.
    let server = TestServer::start(&[]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    for n in 0..20 {
        client.poll().await;
        server.holds(1).await;
        client.take_poll().reset();
        publisher.publish("/a", n).await;
        server.holds(0).await;
        let events = client.queued().await;
        assert_eq!(events, [json!({"channel": "/a", "data": n})]);
    }
}

#[tokio::test]
pub(crate) async fn a_connect_whose_client_has_closed_already_takes_no_events() {
    let server = TestServer::start(&[]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    for n in 0..20 {
        publisher.publish("/a", n).await;
        client.poll().await;
        drop(client.take_poll());
        let events = client.queued().await;
        assert_eq!(events, [json!({"channel": "/a", "data": n})]);
    }
}

#[tokio::test]
async fn expiry_starts_when_the_socket_dies() {
    for death in [Death::Fin, Death::Rst] {
        // If expiry waited for the connect's timeout, this would take longer than tests wait.
        let server = TestServer::start(&["bayeux.timeout=10m", "bayeux.max_interval=100ms"]);
        let mut client = server.client().await;
        lose(&server, &mut client, death).await;
        until(|| server.metrics().sessions.value() == 0).await;
        let reply = only(client.connect().await);
        assert_eq!(reply["error"], "402::session_unknown", "{death:?}");
    }
}

#[tokio::test]
async fn the_session_lives_on_with_a_new_connection() {
    let server = TestServer::start(&["bayeux.max_interval=10m"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    lose(&server, &mut client, Death::Rst).await;
    client.poll().await;
    server.holds(1).await;
    server.client().await.publish("/a", 1).await;
    assert_eq!(client.polled().await[0]["data"], 1);
}

#[tokio::test]
pub(crate) async fn a_client_that_closed_only_its_side_is_answered_and_loses_nothing() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let mut socket = client.take_poll();
    socket.half_close().await;
    let response = socket.response().await;
    assert_eq!(response.header("Connection"), Some("close"));
    assert_eq!(only(response.messages())["successful"], true);
    socket.ended().await;
    server.client().await.publish("/a", 1).await;
    assert_eq!(client.queued().await.len(), 1);
}

#[tokio::test]
async fn a_jsonp_poll_that_dies_loses_nothing_either() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]).to_string();
    let cookie = format!("BAYEUX_BROWSER={}", client.cookie.clone().unwrap());
    let mut socket = server.open().await;
    let request = crate::support::Request::jsonp("cb", &connect).header("Cookie", &cookie);
    socket.send(request.bytes()).await;
    server.holds(1).await;
    socket.reset();
    server.holds(0).await;
    server.client().await.publish("/a", 1).await;
    assert_eq!(client.queued().await.len(), 1);
}

#[tokio::test]
async fn what_is_given_back_comes_before_what_a_newer_poll_gets() {
    let server = TestServer::start(&[
        "bayeux.max_message_size=2MiB",
        "bayeux.max_queue_bytes=64MiB",
        "bayeux.max_response_size=64MiB",
    ]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    let long = "x".repeat(1 << 20);
    for n in 0..16 {
        publisher.publish("/a", json!([n, long])).await;
    }
    let mut slow = Http::open_narrow(server.address).await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    slow.send(client.request(connect.to_string()).bytes()).await;
    // It is being written, and the client reads no more of it.
    slow.some().await;
    publisher.publish("/a", json!([16])).await;

    let mut events = client.queued().await;
    slow.reset();
    until(|| server.metrics().restored.value() == 16).await;
    events.extend(client.queued().await);
    let numbers: Vec<Value> = events
        .iter()
        .map(|event| event["data"][0].clone())
        .collect();
    assert_eq!(numbers, (0..17).collect::<Vec<_>>());
}
