//! What one client may do by HTTP/2, and what it hears when it does more.

use h2::Reason;
use mirant::metrics::Limit;
use serde_json::json;

use super::{client, poll, server};
use crate::support::{Http2, Request, only, until};

#[tokio::test]
async fn a_connection_has_so_many_requests_at_once() {
    let server = server(&["http.http2_max_streams=2"]);
    let mut http = Http2::open(server.address).await;
    let clients = [
        client(&server, &mut http).await,
        client(&server, &mut http).await,
    ];
    let _first = poll(&clients[0], &mut http, "long-polling").await;
    let second = poll(&clients[1], &mut http, "long-polling").await;
    server.holds(2).await;
    // The client knows how many it may have, and waits: there is none before another has ended.
    let (head, _) = Request::new("GET", "/nothing").by_http2("http");
    let waiting = http.begin(head, true);
    tokio::pin!(waiting);
    let is_sent = tokio::time::timeout(crate::support::SILENCE, &mut waiting).await;
    drop(second);
    until(|| server.metrics().held_connects.value() == 1).await;
    let mut exchange = match is_sent {
        Ok(exchange) => exchange,
        Err(_) => waiting.await,
    };
    assert_eq!(exchange.head().await.status, 404);
}

#[tokio::test]
async fn streams_count_among_the_connections_of_an_address() {
    let server = server(&["http.max_connections_per_address=4"]);
    let mut http = Http2::open(server.address).await;
    let client = client(&server, &mut http).await;
    let mut events = Vec::new();
    // One for the connection, of which the first stream costs nothing.
    for _ in 0..4 {
        let request = Request::new("GET", "/events?channel=/a");
        let mut stream = http.send(&request).await;
        assert_eq!(stream.head().await.status, 200);
        events.push(stream);
    }
    let refused = http
        .exchange(&Request::new("GET", "/events?channel=/a"))
        .await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("Retry-After"), Some("5"));
    let limit = Limit::MaxConnectionsPerAddress;
    assert_eq!(server.metrics().limit_count(limit), 1);
    events.pop().unwrap().reset();
    until(|| server.metrics().http2_streams.value() == 3).await;
    let subscribe = json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/a"});
    let body = json!([client.message(subscribe)]).to_string();
    let response = http.exchange(&client.request(body)).await;
    assert_eq!(only(response.messages())["successful"], true);
}

#[tokio::test]
async fn heads_and_bodies_have_the_bounds_that_they_have_by_http_1_1() {
    let server = server(&[
        "http.max_headers=20",
        "http.max_header_size=8KiB",
        "bayeux.max_message_size=1KiB",
        "http.body_timeout=200ms",
    ]);
    let mut http = Http2::open(server.address).await;
    let many = (0..30).fold(Request::post("{}"), |request, n| {
        request.header(&format!("x-{n}"), "1")
    });
    let large = Request::post("{}").header("x-a", &"x".repeat(9000));
    let long = Request::post("x".repeat(2000));
    let cases = [(many, 431), (large, 431), (long.clone(), 413)];
    for (request, status) in cases {
        assert_eq!(http.exchange(&request).await.status, status);
    }
    // One that does not say how long it is.
    let (head, body) = long.by_http2("http");
    let (mut parts, ()) = head.into_parts();
    parts.headers.remove("content-length");
    let mut unsaid = http
        .begin(http::Request::from_parts(parts, ()), false)
        .await;
    unsaid.out.send_data(body.unwrap(), false).unwrap();
    assert_eq!(unsaid.head().await.status, 413);
    // And one that does not come.
    let (head, _) = Request::post("{}").by_http2("http");
    let mut late = http.begin(head, false).await;
    assert_eq!(late.head().await.status, 408);
    let metrics = server.metrics();
    assert_eq!(metrics.limit_count(Limit::MaxMessageSize), 2);
    assert_eq!(metrics.limit_count(Limit::BodyTimeout), 1);
    until(|| server.metrics().http2_streams.value() == 0).await;
}

#[tokio::test]
async fn a_client_that_resets_what_it_asks_for_is_given_up_and_others_notice_nothing() {
    let server = server(&[]);
    let mut bystander = Http2::open(server.address).await;
    let quiet = client(&server, &mut bystander).await;
    let held = poll(&quiet, &mut bystander, "long-polling").await;
    server.holds(1).await;
    let mut flood = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // GET http://localhost/cometd, by the static table and two literals.
    let block = b"\x82\x86\x04\x07/cometd\x01\x09localhost";
    for n in 0..5000u32 {
        let stream = (2 * n + 1).to_be_bytes();
        bytes.extend([0, 0, u8::try_from(block.len()).unwrap(), 1, 5]);
        bytes.extend(stream);
        bytes.extend(block);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(stream);
        bytes.extend([0, 0, 0, 8]);
    }
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    // It may be cut before all is sent.
    let _ = flood.write_all(&bytes).await;
    until(|| server.metrics().limit_count(Limit::Http2Flood) == 1).await;
    let _ = crate::support::within(flood.read_to_end(&mut Vec::new())).await;
    until(|| server.metrics().http2_streams.value() == 1).await;
    assert!(server.metrics().connections.value() <= 1);
    drop(held);
    assert_eq!(bystander.exchange(&Request::post("{}")).await.status, 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_nonsense_ends() {
    let server = server(&["http.header_timeout=300ms", "http.keep_alive_timeout=300ms"]);
    let mut silent = server.open().await;
    silent.ended().await;
    let mut nonsense = server.open().await;
    nonsense.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    nonsense.send([0xff; 64]).await;
    nonsense.rest().await;
    until(|| server.metrics().connections.value() == 0).await;
    let http = Http2::open(server.address).await;
    assert_eq!(
        http.ended().await.unwrap_or(Reason::NO_ERROR),
        Reason::NO_ERROR
    );
}
