//! The bounds of what comes embedded, and what is not HTTP at all.

use mirant::metrics::Limit;
use serde_json::json;

use super::resources::{AT, EPOCH, ON};
use crate::support::{Embedded, Http, Request, Response, Streamed, TestServer, two_way, until};

fn get(target: &str) -> Request {
    Request::new("GET", target)
}

async fn refused(stream: &mut Embedded, status: u16, reason: &str) -> Response {
    let response = stream.next().await;
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.reason().contains(reason), "{response:?}");
    response
}

#[tokio::test]
async fn heads_have_a_size_and_a_number_of_headers() {
    let server = TestServer::start(&["http.max_header_size=8KiB", "http.max_headers=5"]);
    let long = get("/cometd/x").header("Long", &"a".repeat(9000));
    let many = (0..9).fold(get("/cometd/x"), |request, number| {
        request.header(&format!("A-{number}"), "b")
    });
    for request in [long, many] {
        let mut stream = Embedded::two_way(server.address).await;
        stream.request(&request).await;
        let response = refused(&mut stream, 431, "http.max_header").await;
        // Which request it was is not known.
        assert_eq!(response.header("Content-Location"), Some("/cometd"));
        stream.ended().await;
    }
    assert_eq!(server.metrics().limit_count(Limit::MaxHeaderSize), 2);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_passed_over() {
    let server = TestServer::start(&["bayeux.max_message_size=1KiB", ON]);
    let mut stream = Embedded::two_way(server.address).await;
    stream
        .request(&Request::new("PUT", AT).body("x".repeat(3000)))
        .await;
    let response = refused(&mut stream, 413, "bayeux.max_message_size").await;
    assert_eq!(response.header("Content-Location"), Some(AT));
    assert_eq!(stream.exchange(get(AT)).await.status, 404);
    assert_eq!(server.metrics().limit_count(Limit::MaxMessageSize), 1);
}

#[tokio::test]
async fn a_request_that_does_not_arrive_is_given_up() {
    let server = TestServer::start(&["http.body_timeout=100ms", ON]);
    for part in ["GET / HT", "PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nab"] {
        let mut stream = Embedded::two_way(server.address).await;
        let wait = get(AT).header("When-Modified-After", EPOCH);
        stream.request(&wait).await;
        stream.send(part).await;
        refused(&mut stream, 408, "http.body_timeout").await;
        // What waits is answered, because the response ends.
        assert_eq!(stream.next().await.status, 204);
        stream.ended().await;
    }
    assert_eq!(server.metrics().limit_count(Limit::BodyTimeout), 2);
}

#[tokio::test]
async fn a_connection_on_which_nothing_happens_ends_properly() {
    let server = TestServer::start(&["http.keep_alive_timeout=100ms", ON]);
    let mut idle = Embedded::two_way(server.address).await;
    idle.ended().await;
    let mut stream = Embedded::two_way(server.address).await;
    let wait = get(AT).header("When-Modified-After", EPOCH);
    stream.request(&wait).await;
    until(|| server.metrics().watched_resources.value() == 1).await;
    // One that waits for something is not idle.
    assert!(stream.outer.is_silent().await);
    server.client().await.publish("/r/a", 1).await;
    assert_eq!(stream.next().await.text(), "1");
    stream.ended().await;
}

#[tokio::test]
async fn only_so_many_requests_wait_at_once() {
    let server = TestServer::start(&["streaming.max_embedded_requests=3", ON]);
    let mut stream = Embedded::two_way(server.address).await;
    for number in 0..4 {
        let wait = get(&format!("/resources/r/{number}")).header("When-Modified-After", EPOCH);
        stream.request(&wait).await;
    }
    let response = refused(&mut stream, 503, "streaming.max_embedded_requests").await;
    assert_eq!(response.header("Content-Location"), Some("/resources/r/3"));
    assert_eq!(server.metrics().limit_count(Limit::MaxEmbeddedRequests), 1);
    assert_eq!(server.metrics().watched_resources.value(), 3);
    // Others are served still, and one that is answered makes room.
    let put = Request::new("PUT", "/resources/r/1").body("1");
    stream.request(&put).await;
    let mut answered = [stream.next().await.status, stream.next().await.status];
    answered.sort_unstable();
    assert_eq!(answered, [200, 201]);
    let wait = get("/resources/r/3").header("When-Modified-After", EPOCH);
    stream.request(&wait).await;
    until(|| server.metrics().watched_resources.value() == 3).await;
}

#[tokio::test]
async fn a_connect_has_the_room_of_the_one_that_it_displaces() {
    let server = TestServer::start(&["streaming.max_embedded_requests=1"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut stream = Embedded::two_way(server.address).await;
    for (id, transport) in [
        (1, "message-http"),
        (2, "long-polling"),
        (3, "message-http"),
    ] {
        let connect = client.message(json!({
            "channel": "/meta/connect", "id": id, "connectionType": transport,
        }));
        let request = client.request(json!([connect]).to_string());
        stream.request(&request).await;
        match id {
            2 => assert_eq!(stream.next().await.messages()[0]["id"], 1),
            3 => assert_eq!(stream.next().await.status, 409),
            _ => {}
        }
        server.holds(1).await;
    }
    server.client().await.publish("/a", 1).await;
    assert_eq!(stream.next().await.messages()[0]["data"], 1);
    assert_eq!(server.metrics().limit_count(Limit::MaxEmbeddedRequests), 0);
}

#[tokio::test]
async fn what_is_no_request_ends_the_response_and_nothing_else() {
    let server = TestServer::start(&[ON]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let cases = [
        ("\0\u{1}\u{2}\n\n", 400),
        ("GET / HTTP/3\r\n\r\n", 400),
        (
            "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
        (
            "PUT /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
    ];
    for (text, status) in cases {
        let mut stream = Embedded::two_way(server.address).await;
        let connect = client.message(json!({
            "channel": "/meta/connect", "id": "c", "connectionType": "message-http",
        }));
        let cookie = format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap());
        let connect = Request::post(json!([connect]).to_string()).header("Cookie", &cookie);
        stream.request(&connect).await;
        server.holds(1).await;
        stream.send(text).await;
        assert_eq!(stream.next().await.status, status);
        assert_eq!(stream.next().await.messages()[0]["successful"], true);
        stream.ended().await;
    }
    assert_eq!(server.metrics().held_connects.value(), 0);
    server.client().await.publish("/a", 1).await;
    assert_eq!(client.queued().await.len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_chunks_is_not_guessed_at() {
    let server = TestServer::start(&[ON]);
    let smuggled = "PUT /resources/r/a HTTP/1.1\r\nContent-Length: 1\r\n\r\n1";
    for body in [
        format!("-5\r\n{smuggled}"),
        format!("1;a\nb\r\n{smuggled}"),
        format!("5\r\nGET /abcde\r\n{smuggled}"),
        format!("0\r\na: b\n\r\n{smuggled}"),
        format!("1\r\n\n\r\n0\r\n{}{smuggled}", "a: b\r\n".repeat(1000)),
    ] {
        let mut stream = Embedded::two_way(server.address).await;
        stream.outer.http.send(&body).await;
        refused(&mut stream, 400, "").await;
        stream.ended().await;
    }
    // What follows a body is not read.
    let mut stream = Embedded::two_way(server.address).await;
    stream.outer.http.send(format!("0\r\n\r\n{smuggled}")).await;
    stream.ended().await;
    assert_eq!(server.metrics().resources.value(), 0);
    for codings in [["gzip, chunked", ""], ["chunked", "5"], ["identity", ""]] {
        let request = two_way()
            .header("Transfer-Encoding", codings[0])
            .header("Content-Length", codings[1]);
        let mut http = server.open().await;
        assert_eq!(http.exchange(request).await.status, 400);
        http.ended().await;
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_may_send_a_length() {
    let server = TestServer::start(&[ON]);
    let request = two_way()
        .version("HTTP/1.0")
        .body([get(AT).bytes(), get("/x").bytes()].concat());
    let mut stream = Embedded::open(server.address, request).await;
    assert_eq!(stream.outer.response.header("Transfer-Encoding"), None);
    assert_eq!(stream.next().await.status, 404);
    assert_eq!(stream.next().await.status, 404);
    stream.ended().await;
}

#[tokio::test]
pub(crate) async fn a_client_that_does_not_read_is_not_read_and_then_given_up() {
    let server = TestServer::start(&["http.write_timeout=300ms", ON]);
    let big = "x".repeat(30_000);
    server.client().await.publish("/r/a", &*big).await;
    let mut http = Http::open_narrow(server.address).await;
    let head = two_way().header("Transfer-Encoding", "chunked");
    http.send(head.bytes()).await;
    let stream = Streamed::begun(http).await;
    let (mut socket, _) = stream.http.into_parts();
    // It sends requests for ever; at some time nobody takes them any more.
    let mut chunk = Vec::new();
    let request = get(AT).bytes();
    chunk.extend_from_slice(format!("{:x}\r\n", request.len()).as_bytes());
    chunk.extend_from_slice(&request);
    chunk.extend_from_slice(b"\r\n");
    let chunks = chunk.repeat(100);
    let sending = async {
        use tokio::io::AsyncWriteExt;
        let mut sent = 0usize;
        while socket.write_all(&chunks).await.is_ok() {
            sent += chunks.len();
        }
        sent
    };
    let sent = crate::support::within(sending).await;
    assert!(sent < 40 << 20, "{sent}");
    until(|| server.metrics().message_streams.value() == 0).await;
    assert_eq!(server.metrics().limit_count(Limit::WriteTimeout), 1);
}

#[tokio::test]
pub(crate) async fn events_that_a_slow_client_did_not_read_go_back() {
    let server = TestServer::start(&["http.write_timeout=200ms", "bayeux.max_queue_bytes=256MiB"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let http = Http::open_narrow(server.address).await;
    let request = super::connect(&client, "message-http");
    let mut stream = Embedded::over(http, request).await;
    let mut publisher = server.client().await;
    let data = "x".repeat(40_000);
    let mut published = 0;
    while server.metrics().message_streams.value() == 1 {
        publisher.publish("/a", json!([published, data])).await;
        published += 1;
        tokio::task::yield_now().await;
    }
    // What was written is read to the connection's end; the rest is queued.
    let mut received = Vec::new();
    stream
        .read_cut(|response| {
            let messages: Vec<serde_json::Value> = serde_json::from_slice(&response.body).unwrap();
            received.extend(
                messages
                    .iter()
                    .filter_map(|event| event["data"][0].as_u64()),
            );
        })
        .await;
    loop {
        let queued = client.queued().await;
        if queued.is_empty() {
            break;
        }
        received.extend(queued.iter().filter_map(|event| event["data"][0].as_u64()));
    }
    assert!(received.iter().copied().eq(0..published), "{received:?}");
}

#[tokio::test]
async fn silence_is_broken_also_while_a_request_arrives() {
    let server = TestServer::start(&["streaming.heartbeat_interval=20ms", ON]);
    let mut stream = Embedded::two_way(server.address).await;
    stream.send("GET /resources").await;
    for _ in 0..3 {
        assert_eq!(stream.any().await.status, 102);
    }
    stream.send("/r/a HTTP/1.1\r\n\r\n").await;
    assert_eq!(stream.next().await.status, 404);
}
