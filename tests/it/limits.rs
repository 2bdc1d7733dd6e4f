//! Every bound by its option: what happens at it, and that it is counted.

use mirant::metrics::Limit;
use serde_json::{Value, json};

use crate::support::{Client, Request, TestServer};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","id":"1"}]"#;

fn counted(server: &TestServer, limit: Limit) -> u64 {
    server.metrics().limit_count(limit)
}

/// A publish whose body is exactly this long.
fn padded(client: &Client, size: usize) -> String {
    let message = |data: &str| {
        client
            .message(json!({"channel": "/a", "data": data}))
            .to_string()
    };
    let padding = "x".repeat(size - message("").len());
    message(&padding)
}

#[tokio::test]
async fn a_body_may_have_max_message_size_and_no_more() {
    let server = TestServer::start(&["bayeux.max_message_size=2KiB"]);
    let client = server.cookieless().await;
    let response = server.post(padded(&client, 2048)).await;
    assert_eq!(response.messages()[0]["successful"], true);
    let mut http = server.open().await;
    let response = http.exchange(Request::post(padded(&client, 2049))).await;
    assert_eq!(response.status, 413);
    assert!(response.reason().contains("bayeux.max_message_size"));
    http.ended().await;
    assert_eq!(counted(&server, Limit::MaxMessageSize), 1);
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    let server = TestServer::start(&["bayeux.max_message_size=2KiB"]);
    let mut http = server.open().await;
    let head = "POST /cometd HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    http.send(format!("{head}801\r\n{}\r\n0\r\n\r\n", "[".repeat(2049)))
        .await;
    assert_eq!(http.response().await.status, 413);
    assert_eq!(counted(&server, Limit::MaxMessageSize), 1);
}

#[tokio::test]
async fn a_client_that_announces_too_much_is_not_told_to_continue() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    let head = "POST /cometd HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n";
    http.send(format!("{head}Content-Length: 99999999999\r\n\r\n"))
        .await;
    assert_eq!(http.response().await.status, 413);
}

#[tokio::test]
async fn a_refused_body_that_is_still_being_sent_does_not_hide_the_refusal() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    let body = "x".repeat(500_000);
    assert_eq!(http.exchange(Request::post(body)).await.status, 413);
}

#[tokio::test]
async fn the_messages_of_a_query_are_bounded_like_a_body() {
    let server = TestServer::start(&["bayeux.max_message_size=2KiB"]);
    let client = server.cookieless().await;
    for (size, status) in [(2048, 200), (2049, 413)] {
        let request = Request::jsonp("cb", &padded(&client, size));
        assert_eq!(server.open().await.exchange(request).await.status, status);
    }
    assert_eq!(counted(&server, Limit::MaxMessageSize), 1);
}

#[tokio::test]
async fn a_batch_may_have_max_batch_messages() {
    let server = TestServer::start(&["bayeux.max_batch=3"]);
    for (count, status) in [(3, 200), (4, 400)] {
        let batch = vec![json!({"channel": "/a"}); count];
        let response = server.post(Value::from(batch).to_string()).await;
        assert_eq!(response.status, status);
        if status == 400 {
            assert!(response.reason().contains("bayeux.max_batch"));
        }
    }
    assert_eq!(counted(&server, Limit::MaxBatch), 1);
    let form = ["message=%7B%7D"; 4].join("&");
    assert_eq!(server.post(form).await.status, 400, "over all fields");
    assert_eq!(counted(&server, Limit::MaxBatch), 2);
}

#[tokio::test]
async fn a_message_id_may_have_max_message_id_length_bytes() {
    let server = TestServer::start(&["bayeux.max_message_id_length=10"]);
    let mut client = server.client().await;
    for (id, is_taken) in [
        (json!("12345678"), true),
        (json!("123456789"), false),
        (json!(1_234_567_890), true),
        (json!(12_345_678_901_u64), false),
    ] {
        for channel in ["/a", "/meta/connect", "/meta/handshake"] {
            let message = json!({
                "channel": channel, "id": id, "data": 1, "advice": {"timeout": 0}
            });
            let reply = client.call(message).await;
            assert_eq!(reply["successful"], is_taken, "{channel} {id}");
            assert_eq!(reply["id"], id);
            let error = (!is_taken).then(|| json!("405::message_id_invalid"));
            assert_eq!(reply.get("error"), error.as_ref());
        }
    }
    assert_eq!(counted(&server, Limit::MaxMessageIdLength), 6);
}

#[tokio::test]
async fn json_may_nest_max_depth_levels() {
    let server = TestServer::start(&["bayeux.max_depth=5"]);
    for (levels, status) in [(3, 200), (4, 400)] {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let body = format!(r#"[{{"channel":"/a","data":{open}{close}}}]"#);
        let response = server.post(body).await;
        assert_eq!(response.status, status, "{levels}");
        if status == 400 {
            assert!(response.reason().contains("bayeux.max_depth"));
        }
    }
    assert_eq!(counted(&server, Limit::MaxDepth), 1);
}

#[tokio::test]
async fn brackets_in_strings_do_not_nest() {
    let server = TestServer::start(&["bayeux.max_depth=3"]);
    let body = r#"[{"channel":"/a","data":"[[[[{{{{\"[[[["}]"#;
    assert_eq!(server.post(body).await.status, 200);
}

#[tokio::test]
async fn at_max_sessions_a_handshake_is_refused_and_told_to_retry_later() {
    let server = TestServer::start(&["bayeux.max_sessions=1"]);
    let mut first = server.client().await;
    let mut second = Client::new(server.address);
    let reply = second.handshake().await;
    assert_eq!(reply["successful"], false);
    assert_eq!(reply["error"], "503::too_many_sessions");
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert!(reply["advice"]["interval"].as_u64().unwrap() >= 1000);
    assert!(reply.get("clientId").is_none());
    assert_eq!(counted(&server, Limit::MaxSessions), 1);
    let stream = Request::new("GET", "/events?channel=/a");
    let response = server.open().await.exchange(stream).await;
    assert_eq!(
        (response.status, &*response.reason()),
        (503, "too_many_sessions")
    );
    assert_eq!(response.header("Retry-After"), Some("10"));
    assert_eq!(counted(&server, Limit::MaxSessions), 2);
    first.disconnect().await;
    assert_eq!(second.handshake().await["successful"], true);
}

#[tokio::test]
async fn a_session_may_have_max_subscriptions() {
    let server = TestServer::start(&["bayeux.max_subscriptions=2"]);
    let mut client = server.client().await;
    assert_eq!(client.subscribe("/a").await["successful"], true);
    let reply = client.subscribe(json!(["/b", "/c"])).await;
    assert_eq!(reply["error"], "403::too_many_subscriptions");
    assert_eq!(counted(&server, Limit::MaxSubscriptions), 1);
    assert_eq!(client.publish("/b", 1).await.len(), 1, "none of them");
    assert_eq!(client.subscribe("/b").await["successful"], true);
    assert_eq!(
        client.subscribe("/a").await["successful"],
        true,
        "it has it"
    );
    client.unsubscribe("/a").await;
    assert_eq!(client.subscribe("/c").await["successful"], true);
}

#[tokio::test]
async fn repeated_elements_count_once_toward_max_subscriptions() {
    let server = TestServer::start(&["bayeux.max_subscriptions=1"]);
    let mut client = server.client().await;
    let reply = client.subscribe(json!(["/a", "/a", "/a/"])).await;
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn the_server_may_have_max_channels() {
    let server = TestServer::start(&["bayeux.max_channels=2"]);
    let (mut client, mut other) = (server.client().await, server.client().await);
    assert_eq!(
        client.subscribe(json!(["/a", "/b/**"])).await["successful"],
        true
    );
    let reply = other.subscribe("/c").await;
    assert_eq!(reply["error"], "403::too_many_subscriptions");
    assert_eq!(counted(&server, Limit::MaxChannels), 1);
    assert_eq!(other.subscribe("/a").await["successful"], true, "it exists");
    client.unsubscribe("/b/**").await;
    assert_eq!(other.subscribe("/c").await["successful"], true);
    for n in 0..20 {
        let reply = other.publish(&format!("/unheard/{n}"), 1).await;
        assert_eq!(reply[0]["successful"], true, "a publish makes no channel");
    }
}

#[tokio::test]
async fn channel_names_are_bounded_in_length_and_segments() {
    let server = TestServer::start(&[
        "bayeux.max_channel_length=20",
        "bayeux.max_channel_segments=3",
    ]);
    let mut client = server.client().await;
    let fitting = format!("/{}", "x".repeat(19));
    let long = format!("/{}", "x".repeat(20));
    for (channel, fits) in [
        (&*fitting, true),
        (&*long, false),
        ("/a/b/c", true),
        ("/a/b/c/d", false),
    ] {
        let reply = client.publish(channel, 1).await;
        assert_eq!(reply[0]["successful"], fits, "{channel}");
        assert_eq!(reply[0].get("error").is_some(), !fits, "{channel}");
        assert_eq!(client.subscribe(channel).await["successful"], fits);
    }
    let reply = client.publish(&long, 1).await;
    assert_eq!(reply[0]["error"], "405::channel_invalid");
}

#[tokio::test]
async fn request_lines_and_headers_are_bounded() {
    let server = TestServer::start(&["http.max_header_size=8KiB", "http.max_headers=20"]);
    let long = "x".repeat(10_000);
    let mut many = Request::post(HANDSHAKE);
    for n in 0..20 {
        many = many.header(&format!("X-{n}"), "1");
    }
    let requests = [
        (
            Request::post(HANDSHAKE).to(&format!("/cometd?{long}")),
            [414, 431],
        ),
        (Request::post(HANDSHAKE).header("X-Long", &long), [431, 431]),
        (many, [431, 431]),
    ];
    for (index, (request, statuses)) in requests.into_iter().enumerate() {
        let mut http = server.open().await;
        let response = http.exchange(request).await;
        assert!(statuses.contains(&response.status), "{response:?}");
        assert!(response.reason().contains("http.max_header"));
        http.ended().await;
        assert_eq!(counted(&server, Limit::MaxHeaderSize), index as u64 + 1);
    }
    assert_eq!(server.post(HANDSHAKE).await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_malformed_and_too_large_is_what_it_is_first() {
    let server = TestServer::start(&["http.max_header_size=8KiB"]);
    let long = format!("X: {}\r\n", "x".repeat(10_000));
    let cases = [
        (format!("GET / HTTP /1.1\r\nHost: h\r\n{long}\r\n"), 400),
        (
            format!("GET / HTTP/1.1\r\nHost: h\r\n{long}no colon\r\n\r\n"),
            431,
        ),
    ];
    for (request, status) in cases {
        for at in [0, 1, 20, 5000, 9000] {
            let (first, rest) = request.as_bytes().split_at(at);
            let mut http = server.open().await;
            http.send(first).await;
            http.apart().await;
            http.try_send(rest).await;
            assert_eq!(http.response().await.status, status, "cut at {at}");
        }
    }
}

#[tokio::test]
async fn a_target_of_more_than_64_kib_is_414() {
    let server = TestServer::start(&["http.max_header_size=256KiB"]);
    let target = format!("/cometd?{}", "x".repeat(70_000));
    let response = server
        .open()
        .await
        .exchange(Request::new("GET", &target))
        .await;
    assert_eq!(response.status, 414);
    assert!(!response.reason().is_empty());
}

#[tokio::test]
async fn forms_with_too_many_fields_are_refused() {
    let server = TestServer::start(&[]);
    let body = format!("{}message={{}}", "a=1&".repeat(2000));
    assert_eq!(server.post(body).await.status, 400);
}

#[tokio::test]
async fn max_depth_may_be_above_what_parsers_usually_allow() {
    let server = TestServer::start(&["bayeux.max_depth=5000"]);
    let mut client = server.cookieless().await;
    client.subscribe("/a").await;
    let (open, close) = ("[".repeat(4000), "]".repeat(4000));
    let body = format!(
        r#"[{{"channel":"/a","clientId":"{}","data":{open}{close}}}]"#,
        client.id
    );
    let response = client.post(body).await;
    assert_eq!(response.status, 200);
    assert!(response.text().contains(&format!("{open}{close}")));
}
