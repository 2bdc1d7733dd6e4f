//! HTTP/1 itself: versions, persistence, pipelining, and requests that are none.

use serde_json::json;

use crate::support::{Http, Request, TestServer, only};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","id":"1"}]"#;

#[tokio::test]
async fn http_1_0_closes_unless_asked_to_keep_alive() {
    let server = TestServer::start(&[]);
    let request = Request::post(HANDSHAKE).version("HTTP/1.0");
    let mut http = server.open().await;
    let response = http.exchange(request.clone()).await;
    assert_eq!(
        (response.version.as_str(), response.status),
        ("HTTP/1.0", 200)
    );
    http.ended().await;

    let mut http = server.open().await;
    let request = request.header("Connection", "keep-alive");
    for _ in 0..3 {
        let response = http.exchange(request.clone()).await;
        assert_eq!(response.messages()[0]["successful"], true);
        assert_eq!(response.header("Connection"), Some("keep-alive"));
    }
}

#[tokio::test]
async fn http_1_1_stays_open_unless_asked_to_close() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    for _ in 0..3 {
        let response = http.exchange(Request::post(HANDSHAKE)).await;
        assert_eq!(response.header("Connection"), None);
    }
    let request = Request::post(HANDSHAKE).header("Connection", "close");
    let response = http.exchange(request).await;
    assert_eq!(response.header("Connection"), Some("close"));
    http.ended().await;
}

#[tokio::test]
async fn a_held_connect_keeps_its_version_and_persistence() {
    let server = TestServer::start(&["bayeux.timeout=50ms"]);
    let cases = [
        ("HTTP/1.0", "", true),
        ("HTTP/1.0", "keep-alive", false),
        ("HTTP/1.1", "", false),
        ("HTTP/1.1", "close", true),
    ];
    for (version, connection, ends) in cases {
        let client = server.cookieless().await;
        let connect = client.message(json!({"channel": "/meta/connect"}));
        let request = Request::post(connect.to_string())
            .version(version)
            .header("Connection", connection);
        let mut http = server.open().await;
        let response = http.exchange(request.clone()).await;
        assert_eq!((response.version.as_str(), response.status), (version, 200));
        if ends {
            assert_eq!(response.header("Connection"), Some("close"));
            http.ended().await;
        } else {
            assert_eq!(http.exchange(request).await.status, 200);
        }
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let requests: Vec<u8> = (0..20)
        .flat_map(|n| {
            let message = client.message(json!({"channel": "/a", "id": n, "data": 1}));
            Request::post(message.to_string()).bytes()
        })
        .collect();
    let mut http = server.open().await;
    http.send(requests).await;
    for n in 0..20 {
        assert_eq!(only(http.response().await.messages())["id"], n);
    }
}

#[tokio::test]
async fn more_pipelined_requests_than_any_buffer_holds_are_answered_in_order() {
    let server = TestServer::start(&["bayeux.timeout=20ms"]);
    let client = server.cookieless().await;
    let data = "x".repeat(1500);
    let requests: Vec<u8> = (0..100)
        .flat_map(|n| {
            let message = if n % 10 == 0 {
                json!({"channel": "/meta/connect", "id": n})
            } else {
                json!({"channel": "/a", "id": n, "data": data})
            };
            Request::post(client.message(message).to_string()).bytes()
        })
        .collect();
    let mut http = server.open().await;
    http.send(requests).await;
    for n in 0..100 {
        assert_eq!(only(http.response().await.messages())["id"], n);
    }
}

#[tokio::test]
async fn a_request_behind_a_held_connect_waits_for_it_and_is_served() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let connect = client.message(json!({"channel": "/meta/connect", "id": "c"}));
    let publish = client.message(json!({"channel": "/a", "id": "p", "data": "x".repeat(3000)}));
    let (connect, publish) = (
        Request::post(connect.to_string()).bytes(),
        Request::post(publish.to_string()).bytes(),
    );
    // At once, and in two pieces of which the second arrives while the connect is held.
    for split in [connect.len() + publish.len(), connect.len() + 10, 10] {
        let both = [connect.clone(), publish.clone()].concat();
        let mut http = server.open().await;
        http.send(&both[..split]).await;
        if split > connect.len() {
            server.holds(1).await;
        }
        http.send(&both[split..]).await;
        server.holds(1).await;
        assert!(http.is_silent().await);
        let displacing =
            client.message(json!({"channel": "/meta/connect", "advice": {"timeout": 0}}));
        server.post(displacing.to_string()).await;
        assert_eq!(http.response().await.status, 409);
        assert_eq!(only(http.response().await.messages())["id"], "p");
    }
}

#[tokio::test]
async fn requests_sent_before_a_half_close_are_all_answered() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let connect = client.message(json!({"channel": "/meta/connect", "id": "c"}));
    let publish = client.message(json!({"channel": "/a", "id": "p", "data": 1}));
    let bytes = [connect, publish].map(|message| Request::post(message.to_string()).bytes());
    for order in [[1, 1], [1, 0], [0, 1]] {
        let mut http = server.open().await;
        http.send(order.map(|index| bytes[index].clone()).concat())
            .await;
        http.half_close().await;
        for index in order {
            let reply = only(http.response().await.messages());
            assert_eq!(reply["id"], ["c", "p"][index], "{order:?}");
            assert_eq!(reply["successful"], true);
        }
        http.ended().await;
    }
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it() {
    let server = TestServer::start(&[]);
    let request = Request::post(HANDSHAKE)
        .header("Expect", "100-continue")
        .bytes();
    let (head, body) = request.split_at(request.len() - HANDSHAKE.len());
    let mut http = server.open().await;
    http.send(head).await;
    assert_eq!(http.response().await.status, 100);
    http.send(body).await;
    assert_eq!(http.response().await.messages()[0]["successful"], true);
}

#[tokio::test]
async fn chunked_bodies_are_read() {
    let server = TestServer::start(&[]);
    let head = "POST /cometd HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (first, second) = HANDSHAKE.split_at(7);
    let body = format!(
        "{:x}\r\n{first}\r\n{:X};ext=1\r\n{second}\r\n0\r\nTrailer: x\r\n\r\n",
        first.len(),
        second.len()
    );
    let mut http = server.open().await;
    for _ in 0..2 {
        http.send(format!("{head}{body}")).await;
        assert_eq!(http.response().await.messages()[0]["successful"], true);
    }
    http.send(format!("{head}nonsense\r\n\r\n")).await;
    let response = http.response().await;
    assert_eq!(response.status, 400);
    assert!(!response.reason().is_empty());
    http.ended().await;
}

#[tokio::test]
async fn other_methods_are_refused_with_405_and_the_ones_that_are_not() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "FOO"] {
        let response = http.exchange(Request::new(method, "/cometd")).await;
        assert_eq!(response.status, 405, "{method}");
        assert_eq!(response.header("Allow"), Some("GET, POST, OPTIONS"));
        assert!(!response.reason().is_empty());
    }
}

#[tokio::test]
async fn the_response_to_head_has_no_body() {
    let server = TestServer::start(&[]);
    for (target, status) in [("/cometd", 405), ("/nothing", 404)] {
        let mut http = server.open().await;
        let request = Request::new("HEAD", target).header("Connection", "close");
        http.send(request.bytes()).await;
        let bytes = http.rest().await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "a body: {text}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    for (method, path) in [
        ("GET", "/"),
        ("POST", "/x"),
        ("OPTIONS", "/x"),
        ("GET", "/metrics"),
    ] {
        let response = http.exchange(Request::new(method, path)).await;
        assert_eq!(response.status, 404, "{method} {path}");
        assert!(!response.reason().is_empty());
    }
}

/// Sends bytes on a new connection; the status of the refusal, after which the connection ends.
async fn refusal(server: &TestServer, bytes: &[u8]) -> u16 {
    let mut http: Http = server.open().await;
    http.send(bytes).await;
    let response = http.response().await;
    assert!(!response.reason().is_empty());
    assert_eq!(response.header("Connection"), Some("close"));
    http.ended().await;
    response.status
}

#[tokio::test]
async fn what_is_no_http_is_refused_with_400() {
    let server = TestServer::start(&[]);
    let cases: [&[u8]; 6] = [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /cometd HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"GET /cometd HTTP/1.1\r\nbad header\r\n\r\n",
    ];
    for bytes in cases {
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(refusal(&server, bytes).await, 400, "{shown}");
    }
}

#[tokio::test]
async fn a_client_may_close_a_connection_without_a_word() {
    let server = TestServer::start(&[]);
    for bytes in [
        "",
        "POST /com",
        "POST /cometd HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n[",
    ] {
        let mut http = server.open().await;
        http.send(bytes).await;
        drop(http);
    }
    server.open().await.reset();
    crate::support::until(|| server.metrics().connections.value() == 0).await;
    assert_eq!(server.post(HANDSHAKE).await.status, 200);
}

#[tokio::test]
async fn an_empty_cookie_header_and_a_body_of_a_get_are_no_trouble() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    http.send(format!(
        "POST /cometd HTTP/1.1\r\nHost: x\r\nCookie:\r\nContent-Length: {}\r\n\r\n{HANDSHAKE}",
        HANDSHAKE.len()
    ))
    .await;
    assert_eq!(http.response().await.status, 200);
    http.send("GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
        .await;
    assert_eq!(http.response().await.status, 404);
    assert_eq!(http.exchange(Request::post(HANDSHAKE)).await.status, 200);
}

#[tokio::test]
async fn a_target_may_be_a_whole_url() {
    let server = TestServer::start(&[]);
    let request = Request::post(HANDSHAKE).to("http://proxy.example/cometd/x");
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.messages()[0]["successful"], true);
}

#[tokio::test]
async fn a_new_connection_may_stay_silent_for_a_while() {
    // Browsers open connections before they have a use for them.
    let server = TestServer::start(&["http.header_timeout=50ms"]);
    let mut http = server.open().await;
    assert!(http.is_silent().await, "no 408");
    assert_eq!(http.exchange(Request::post(HANDSHAKE)).await.status, 200);
}
