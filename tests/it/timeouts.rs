//! Bounds on time and on connections: slow headers, bodies and readers, and too many of them.

use std::time::{Duration, Instant};

use mirant::metrics::Limit;
use serde_json::json;
use tokio::net::TcpSocket;

use crate::support::{Http, Request, TestServer, until, within};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","id":"1"}]"#;

async fn is_refused(http: &mut Http, option: &str) {
    let response = http.response().await;
    assert_eq!(response.status, 408);
    assert!(response.reason().contains(option), "{}", response.reason());
    http.ended().await;
}

#[tokio::test]
async fn slow_headers_get_408() {
    let server = TestServer::start(&["http.header_timeout=150ms"]);
    let mut http = server.open().await;
    http.send("POST /cometd HTTP/1.1\r\nHo").await;
    is_refused(&mut http, "http.header_timeout").await;
    assert_eq!(server.metrics().limit_count(Limit::HeaderTimeout), 1);
}

#[tokio::test]
async fn slow_headers_of_a_second_request_get_408_too() {
    let server = TestServer::start(&["http.header_timeout=150ms"]);
    let mut http = server.open().await;
    http.exchange(Request::post(HANDSHAKE)).await;
    http.send("P").await;
    is_refused(&mut http, "http.header_timeout").await;
}

#[tokio::test]
pub(crate) async fn a_slow_body_gets_408() {
    let server = TestServer::start(&["http.body_timeout=150ms"]);
    let starts = [
        "POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[{",
        "POST /cometd HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n",
    ];
    for (index, start) in starts.into_iter().enumerate() {
        let mut http = server.open().await;
        http.send(start).await;
        is_refused(&mut http, "http.body_timeout").await;
        let count = server.metrics().limit_count(Limit::BodyTimeout);
        assert_eq!(count, index as u64 + 1);
    }
}

#[tokio::test]
pub(crate) async fn an_idle_connection_is_closed_without_a_word() {
    let server = TestServer::start(&["http.keep_alive_timeout=150ms"]);
    server.open().await.ended().await;
    let mut http = server.open().await;
    http.exchange(Request::post(HANDSHAKE)).await;
    http.ended().await;
}

#[tokio::test]
async fn a_connection_is_idle_since_its_last_request() {
    let server = TestServer::start(&["http.keep_alive_timeout=2s"]);
    let mut http = server.open().await;
    let begun = Instant::now();
    // Longer in all than it may idle, each time far shorter.
    while begun.elapsed() < Duration::from_millis(2500) {
        assert_eq!(http.exchange(Request::post(HANDSHAKE)).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    http.ended().await;
}

#[tokio::test]
async fn a_held_connect_is_not_idle() {
    let server = TestServer::start(&[
        "http.keep_alive_timeout=50ms",
        "http.header_timeout=50ms",
        "http.body_timeout=50ms",
        "bayeux.timeout=400ms",
    ]);
    let mut client = server.client().await;
    client.poll().await;
    assert!(client.poll_connection().await.is_silent().await);
    assert_eq!(client.polled().await[0]["successful"], true);
}

#[tokio::test]
async fn above_max_connections_a_client_is_refused_until_one_leaves() {
    let server = TestServer::start(&["http.max_connections=2"]);
    let (mut first, second) = (server.open().await, server.open().await);
    until(|| server.metrics().connections.value() == 2).await;
    let mut third = server.open().await;
    let response = third.response().await;
    assert_eq!(response.status, 503);
    assert!(!response.reason().is_empty());
    assert!(response.header("Retry-After").is_some());
    third.ended().await;
    assert_eq!(server.metrics().limit_count(Limit::MaxConnections), 1);
    assert_eq!(first.exchange(Request::post(HANDSHAKE)).await.status, 200);
    drop(second);
    until(|| server.metrics().connections.value() == 1).await;
    assert_eq!(server.post(HANDSHAKE).await.status, 200);
}

#[tokio::test]
pub(crate) async fn a_reader_that_is_too_slow_is_cut_off_and_its_events_are_kept() {
    let server = TestServer::start(&[
        "http.write_timeout=150ms",
        "bayeux.max_message_size=2MiB",
        "bayeux.max_queue_bytes=64MiB",
        "bayeux.max_response_size=64MiB",
    ]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    let data = "x".repeat(1 << 20);
    for _ in 0..16 {
        publisher.publish("/a", data.clone()).await;
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = Http::of(within(socket.connect(server.address)).await.unwrap()).await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    slow.send(client.request(connect.to_string()).bytes()).await;
    until(|| server.metrics().limit_count(Limit::WriteTimeout) == 1).await;
    until(|| server.metrics().restored.value() == 16).await;
    drop(slow);
    assert_eq!(client.queued().await.len(), 16);
}

#[tokio::test]
pub(crate) async fn requests_in_slow_pieces_are_whole_in_the_end() {
    let server = TestServer::start(&[]);
    let request = Request::post(HANDSHAKE).bytes();
    let mut http = server.open().await;
    for piece in request.chunks(7) {
        http.send(piece).await;
        tokio::task::yield_now().await;
    }
    let response = http.response().await;
    assert_eq!(response.messages()[0]["successful"], true);
}
