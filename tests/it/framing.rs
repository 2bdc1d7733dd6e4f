//! Requests of which two readers may think differently, where they end or for whom they are: each is
//! refused, and nothing behind it is served.

use crate::support::{Http, Request, TestServer};

/// What follows a request, and would be served if that were thought to end before it.
const BEHIND: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// Sends the pieces of a request; the status and the reason of the refusal, with which all ends.
async fn refusal(mut http: Http, pieces: &[&[u8]]) -> (u16, String) {
    for piece in pieces {
        http.send(piece).await;
        http.apart().await;
    }
    let response = http.response().await;
    assert_eq!(response.header("Connection"), Some("close"));
    let reason = response.reason();
    http.ended().await;
    (response.status, reason)
}

/// Sends a request whole, cut in its head, before and in its body, and behind others.
async fn is_refused(server: &TestServer, request: &str, status: u16, reason: &str) {
    let text = format!("{request}{BEHIND}");
    let bytes = text.as_bytes();
    let body = text.find("\r\n\r\n").map_or(0, |at| at + 4);
    for at in [0, 7, body - 2, body, body + 1, request.len()] {
        let (first, rest) = bytes.split_at(at.min(request.len()));
        let refused = refusal(server.open().await, &[first, rest]).await;
        assert_eq!(refused.0, status, "{request:?} cut at {at}: {refused:?}");
        assert!(refused.1.contains(reason), "{request:?}: {refused:?}");
    }
    let mut http = server.open().await;
    for _ in 0..3 {
        let response = http.exchange(Request::post("[{}]")).await;
        assert_eq!(response.status, 200);
    }
    let refused = refusal(http, &[bytes]).await;
    assert_eq!(refused.0, status, "{request:?} behind others: {refused:?}");
}

#[tokio::test]
async fn a_body_has_one_end() {
    let server = TestServer::start(&[]);
    let both = "not both";
    let only = "the only Transfer-Encoding is chunked";
    let length = "Content-Length";
    let large = "bayeux.max_message_size";
    let not_http = "not HTTP/1.1";
    let heads = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400, both),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", 400, both),
        ("Transfer-Encoding: gzip, chunked", 400, only),
        ("Transfer-Encoding: chunked, chunked", 400, only),
        ("Transfer-Encoding: chunked, identity", 400, only),
        ("Transfer-Encoding: identity", 400, only),
        ("Transfer-Encoding: xchunked", 400, only),
        ("Transfer-Encoding: \"chunked\"", 400, only),
        ("Transfer-Encoding:", 400, only),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            400,
            only,
        ),
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            400,
            only,
        ),
        (
            "Transfer-Encoding: chunked\r\ntransfer-encoding:",
            400,
            only,
        ),
        ("Content-Length: 5\r\nContent-Length: 6", 400, length),
        ("Content-Length: 5\r\nContent-Length: 05", 400, length),
        ("Content-Length: 5, 5", 400, length),
        ("Content-Length: +5", 400, length),
        ("Content-Length: -5", 400, length),
        ("Content-Length: 0x5", 400, length),
        ("Content-Length: 5 5", 400, length),
        ("Content-Length:", 400, length),
        ("Content-Length: 18446744073709551616", 400, length),
        ("Content-Length: 18446744073709551615", 413, large),
        ("Content-Length: 9223372036854775808", 413, large),
        ("Content-Length : 5", 400, not_http),
        ("Transfer-Encoding : chunked", 400, not_http),
        ("Transfer-Encoding:\r\n chunked", 400, not_http),
        ("X: a\r\n b\r\nContent-Length: 5", 400, not_http),
        ("X: a\rContent-Length: 5", 400, not_http),
        ("X: a\0b\r\nContent-Length: 5", 400, not_http),
        ("Content-Length: \u{b}5", 400, not_http),
        (" X: a\r\nContent-Length: 5", 400, not_http),
    ];
    for (head, status, reason) in heads {
        for content_type in ["application/json", "message/http"] {
            // There an announced length is not that of a batch.
            if status == 413 && content_type == "message/http" {
                continue;
            }
            let request = format!(
                "POST /cometd HTTP/1.1\r\nHost: h\r\nContent-Type: {content_type}\r\n\
                 {head}\r\n\r\n0\r\n\r\n"
            );
            is_refused(&server, &request, status, reason).await;
        }
    }
    let request = "POST /cometd HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    is_refused(&server, request, 400, "HTTP/1.1").await;
}

#[tokio::test]
async fn chunks_are_what_everyone_takes_for_chunks() {
    let server = TestServer::start(&[]);
    let long = format!("2;{}\r\n[]\r\n0\r\n\r\n", "a".repeat(300));
    let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(1000));
    let cases = [
        ("0\r\nA: b\n\r\n", 400, "trailer"),
        ("0\r\nA: b\rc\r\n\r\n", 400, "trailer"),
        ("0\r\n\n", 400, "trailer"),
        ("2;a\nb\r\n[]\r\n0\r\n\r\n", 400, "chunk"),
        ("2\n[]\n0\n\n", 400, "chunk"),
        ("0x2\r\n[]\r\n0\r\n\r\n", 400, "chunk"),
        ("+2\r\n[]\r\n0\r\n\r\n", 400, "chunk"),
        ("2\r\n[]x\r\n0\r\n\r\n", 400, "chunk"),
        ("2\r\n[]\n0\r\n\r\n", 400, "chunk"),
        ("10000000000000002\r\n[]\r\n0\r\n\r\n", 400, "chunk"),
        (&long, 400, "chunk"),
        (&trailers, 400, "trailers"),
        (
            "ffffffffffffffff\r\n[]\r\n0\r\n\r\n",
            413,
            "bayeux.max_message_size",
        ),
        ("2\r\n[]\r\nfffffff\r\n", 413, "bayeux.max_message_size"),
    ];
    for (body, status, reason) in cases {
        let request =
            format!("POST /cometd HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n{body}");
        is_refused(&server, &request, status, reason).await;
    }
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    let server = TestServer::start(&["admin.listen=[\"127.0.0.1:0\"]"]);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let requests = [
        ("POST /cometd", "Content-Length: 4\r\n", "[{}]"),
        (
            "POST /cometd",
            "Transfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "POST /cometd",
            "Content-Type: message/http\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        ("GET /cometd", upgrade, ""),
        (
            "GET /events?channel=/a",
            "Accept: text/event-stream\r\n",
            "",
        ),
        ("GET http://h/cometd", "", ""),
        ("OPTIONS /cometd", "", ""),
        ("GET /metrics", "", ""),
        ("GET /nothing", "", ""),
    ];
    let hosts = [
        ("", 400, "needs a Host"),
        ("Host: h\r\nHost: h\r\n", 400, "more than one Host"),
        (
            "Host: h\r\nX: y\r\nhost: evil\r\n",
            400,
            "more than one Host",
        ),
        ("Host:\r\n", 400, "Host is malformed"),
        ("Host: a b\r\n", 400, "Host is malformed"),
        ("Host: a, b\r\n", 400, "Host is malformed"),
        ("Host: user@h\r\n", 400, "Host is malformed"),
        ("Host: http://h\r\n", 400, "Host is malformed"),
        ("Host: h/\r\n", 400, "Host is malformed"),
        ("Host: h:x\r\n", 400, "Host is malformed"),
        ("Host: h:99999\r\n", 400, "Host is malformed"),
        ("Host: [::1\r\n", 400, "Host is malformed"),
        ("Host: \u{e9}\r\n", 400, "Host is malformed"),
    ];
    for (line, fields, body) in requests {
        for (host, status, reason) in hosts {
            let request = format!("{line} HTTP/1.1\r\n{host}{fields}\r\n{body}");
            is_refused(&server, &request, status, reason).await;
            if host.len() > 8 {
                let request = format!("{line} HTTP/1.0\r\n{host}{fields}\r\n{body}");
                let refused = refusal(server.open().await, &[request.as_bytes()]).await;
                assert_eq!(refused.0, status, "{request:?}");
            }
        }
    }
    let mut admin = Http::open(server.admin.unwrap()).await;
    admin.send("GET /healthz HTTP/1.1\r\n\r\n").await;
    assert_eq!(admin.response().await.status, 400);
    admin.ended().await;
}

#[tokio::test]
async fn hosts_are_named_in_many_ways_and_http_1_0_names_none() {
    let server = TestServer::start(&[]);
    for host in [
        "h",
        "h.",
        "h:1",
        "h:",
        "H:80",
        "my_service:8080",
        "127.0.0.1",
        "[::1]:8080",
        "[::1]",
        "xn--a",
    ] {
        for host in [host.to_owned(), format!(" \t{host}  ")] {
            let head =
                format!("POST /cometd HTTP/1.1\r\nHost:{host}\r\nContent-Length: 4\r\n\r\n[{{}}]");
            let mut http = server.open().await;
            http.send(head).await;
            assert_eq!(http.response().await.status, 200, "{host}");
        }
    }
    let mut http = server.open().await;
    http.send("POST /cometd HTTP/1.0\r\nContent-Length: 4\r\n\r\n[{}]")
        .await;
    assert_eq!(http.response().await.status, 200);
}
