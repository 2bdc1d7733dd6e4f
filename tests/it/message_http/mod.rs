//! Responses in a response of type `message/http`.

pub(crate) mod bounds;
mod gzip;
mod resources;
pub(crate) mod two_way;

use serde_json::{Value, json};

use crate::support::{Client, Embedded, Request, TestServer, until};

/// The connect of a client.
fn connect(client: &Client, transport: &str) -> Request {
    let message = client.message(json!({
        "channel": "/meta/connect", "id": "c", "connectionType": transport,
    }));
    client.request(json!([message]).to_string())
}

fn reply() -> Value {
    json!({"channel": "/meta/connect", "id": "c", "successful": true})
}

#[tokio::test]
async fn each_batch_of_events_is_a_response_and_the_reply_is_the_last() {
    let server = TestServer::start(&["streaming.lifetime=1500ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let request = connect(&client, "message-http").to("/cometd/x?y=1");
    let mut stream = Embedded::open(server.address, request).await;
    let headers = [
        ("X-Accel-Buffering", Some("no")),
        ("Transfer-Encoding", Some("chunked")),
        ("Connection", Some("close")),
        ("Content-Encoding", None),
    ];
    for (name, value) in headers {
        assert_eq!(stream.outer.response.header(name), value);
    }
    let mut publisher = server.client().await;
    for number in 0..3 {
        publisher.publish("/a", number).await;
        let response = stream.next().await;
        assert_eq!(response.version, "HTTP/1.1");
        assert_eq!(response.header("Content-Location"), Some("/cometd/x?y=1"));
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        let modified = response.header("Last-Modified").unwrap();
        assert!(httpdate::parse_http_date(modified).is_ok(), "{modified}");
        let expected = [json!({"channel": "/a", "data": number})];
        assert_eq!(response.messages(), expected);
    }
    assert_eq!(server.metrics().message_streams.value(), 1);
    assert_eq!(stream.next().await.messages(), [reply()]);
    stream.ended().await;
    until(|| server.metrics().message_streams.value() == 0).await;
    assert_eq!(server.metrics().lost_connects.value(), 0);
}

#[tokio::test]
async fn a_client_may_ask_by_what_it_accepts() {
    let server = TestServer::start(&["streaming.lifetime=50ms"]);
    let client = server.client().await;
    let asked = ["message/http", "Message/HTTP; q=1, application/json"];
    for accept in asked {
        let request = connect(&client, "long-polling").header("Accept", accept);
        let mut stream = Embedded::open(server.address, request).await;
        assert_eq!(stream.next().await.messages(), [reply()]);
        stream.ended().await;
    }
    let request = connect(&client, "long-polling")
        .header("Accept", "application/json, message/http")
        .body(
            json!([client.message(json!({
                "channel": "/meta/connect", "id": "c", "connectionType": "long-polling",
                "advice": {"timeout": 0},
            }))])
            .to_string(),
        );
    let response = server.open().await.exchange(request).await;
    let content_type = response.header("Content-Type");
    assert_eq!(content_type, Some("application/json; charset=utf-8"));
}

#[tokio::test]
async fn a_connect_that_is_not_held_has_one_response_and_its_length() {
    let server = TestServer::start(&[]);
    let client = server.handshaken().await;
    let mut stream = Embedded::open(server.address, connect(&client, "message-http")).await;
    assert!(stream.outer.has_ended);
    assert_eq!(stream.next().await.messages()[0]["successful"], true);
    stream.ended().await;
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_the_bytes_and_the_end() {
    let server = TestServer::start(&["streaming.lifetime=1500ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let request = connect(&client, "message-http").version("HTTP/1.0");
    let mut stream = Embedded::open(server.address, request).await;
    assert_eq!(stream.outer.response.header("Transfer-Encoding"), None);
    server.client().await.publish("/a", 1).await;
    assert_eq!(stream.next().await.messages()[0]["data"], 1);
    assert_eq!(stream.next().await.messages(), [reply()]);
    stream.ended().await;
}

#[tokio::test]
async fn a_silent_stream_carries_responses_that_are_passed_over() {
    let server = TestServer::start(&["streaming.heartbeat_interval=20ms"]);
    let client = server.client().await;
    let mut stream = Embedded::open(server.address, connect(&client, "message-http")).await;
    for _ in 0..3 {
        let beat = stream.any().await;
        assert_eq!((beat.status, beat.headers.len()), (102, 0));
    }
}

#[tokio::test]
async fn nothing_is_lost_or_repeated_from_one_response_to_the_next() {
    let server = TestServer::start(&["streaming.lifetime=20ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    let publishing = tokio::spawn(async move {
        for number in 0..500 {
            publisher.publish("/a", number).await;
            tokio::task::yield_now().await;
        }
    });
    let mut received = Vec::new();
    while received.len() < 500 {
        let mut stream = Embedded::open(server.address, connect(&client, "message-http")).await;
        loop {
            let messages = stream.next().await.messages();
            received.extend(
                messages
                    .iter()
                    .filter_map(|message| message["data"].as_u64()),
            );
            if messages.iter().any(|message| message["successful"] == true) {
                break;
            }
        }
        stream.ended().await;
    }
    publishing.await.unwrap();
    assert!(received.into_iter().eq(0..500));
}

#[tokio::test]
async fn a_transport_that_is_off_is_not_used() {
    let server = TestServer::start(&[r#"bayeux.transports=["long-polling"]"#]);
    let client = server.handshaken().await;
    let response = server
        .open()
        .await
        .exchange(connect(&client, "message-http"))
        .await;
    assert_eq!(response.messages()[0]["successful"], true);
}
