//! Channels as resources: their last message is read, waited for, and changed without a session.

use std::time::Duration;

use mirant::metrics::Limit;
use serde_json::json;

use crate::support::{Http, Request, Response, TestServer, until};

const ON: &str =
    "channel=[{ pattern = '/r/**', resource = true }, { pattern = '/r/not', resource = false }]";
const AT: &str = "/resources/r/a";
const EPOCH: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

fn server() -> TestServer {
    TestServer::start(&[ON])
}

async fn send(server: &TestServer, request: Request) -> Response {
    server.open().await.exchange(request).await
}

async fn get(server: &TestServer) -> Response {
    send(server, Request::new("GET", AT)).await
}

async fn put(server: &TestServer, body: &str) -> Response {
    let response = send(server, Request::new("PUT", AT).body(body)).await;
    assert!(matches!(response.status, 200 | 201), "{response:?}");
    response
}

async fn delete(server: &TestServer) -> Response {
    send(server, Request::new("DELETE", AT)).await
}

fn patch(range: &str, part: &str) -> Request {
    Request::new("PATCH", AT)
        .header("Content-Range", range)
        .body(part)
}

fn waiting(date: &str) -> Request {
    Request::new("GET", AT).header("When-Modified-After", date)
}

/// Sends a request that has to wait.
async fn held(server: &TestServer, request: &Request) -> Http {
    let mut http = server.open().await;
    let before = server.metrics().watched_resources.value();
    http.send(request.bytes()).await;
    until(|| server.metrics().watched_resources.value() == before + 1).await;
    assert!(http.is_silent().await);
    http
}

fn etag(response: &Response) -> &str {
    response.header("ETag").unwrap()
}

fn modified(response: &Response) -> &str {
    response.header("Last-Modified").unwrap()
}

#[tokio::test]
async fn the_last_message_of_a_channel_is_its_representation_byte_for_byte() {
    let server = server();
    let mut client = server.client().await;
    let data = r#"{"b" : 1.10,"a":1e400, "c":"\u2028"}"#;
    let message = format!(
        r#"{{"channel":"/r/a","clientId":"{}","ext":{{}},"data": {data} }}"#,
        client.id
    );
    client.publish("/r/a", 1).await;
    assert_eq!(client.post(message).await.messages()[0]["successful"], true);
    let response = get(&server).await;
    assert_eq!((response.status, response.text()), (200, data));
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    assert_eq!(response.header("Cache-Control"), Some("no-cache"));
    assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
    assert_eq!(response.header("Vary"), Some("Origin"));
    assert!(etag(&response).starts_with('"'), "it is a strong one");
    assert!(modified(&response).ends_with(" GMT"));
    let mut http = server.open().await;
    let request = Request::new("HEAD", AT).header("Connection", "close");
    http.send(request.bytes()).await;
    let head = String::from_utf8(http.rest().await).unwrap();
    let length = format!("Content-Length: {}\r\n", data.len());
    assert!(head.contains(&length), "{head}");
    assert!(head.contains(etag(&response)) && head.ends_with("\r\n\r\n"));
}

#[tokio::test]
async fn paths_are_channels_and_only_those_that_are_resources() {
    let server = server();
    let mut client = server.client().await;
    for channel in ["/r/not", "/other", "/r/x y{}"] {
        client.publish(channel, channel).await;
    }
    let cases = [
        ("/resources/r/x%20y%7B%7D", 200),
        ("/resources/r/x%20y%7b%7d/", 200),
        ("/resources/r/not", 404),
        ("/resources/other", 404),
        ("/resources/r/nothing", 404),
        ("/resources", 404),
        ("/resources/", 404),
        ("/resources/r/*", 404),
        ("/resources/r//a", 404),
        ("/resources/r/%ff", 404),
        ("/resources/meta/connect", 404),
        ("/resourcesful", 404),
    ];
    for (path, status) in cases {
        let response = send(&server, Request::new("GET", path)).await;
        assert_eq!(response.status, status, "{path}");
        if status == 404 {
            assert!(!response.reason().is_empty());
        }
    }
    let response = send(&server, Request::new("PUT", "/resources/other").body("1")).await;
    assert_eq!(response.status, 404);
    assert_eq!(server.metrics().resources.value(), 1);
}

#[tokio::test]
async fn without_a_channel_that_is_one_there_are_no_resources() {
    let server = TestServer::start(&[]);
    let response = get(&server).await;
    assert_eq!(response.status, 404);
    assert_eq!(response.reason(), "there is nothing at this path");
    server.client().await.publish("/r/a", 1).await;
    assert_eq!(server.metrics().resources.value(), 0);
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let server = server();
    put(&server, "1").await;
    let first = get(&server).await;
    for (name, value) in [
        ("If-None-Match", etag(&first)),
        ("If-None-Match", &format!("\"x\", W/{}", etag(&first))),
        ("If-None-Match", "*"),
        ("If-Modified-Since", modified(&first)),
    ] {
        let response = send(&server, Request::new("GET", AT).header(name, value)).await;
        assert_eq!(response.status, 304, "{name}: {value}");
        assert_eq!(etag(&response), etag(&first));
        assert_eq!(response.header("Content-Length"), None);
    }
    for (name, value) in [
        ("If-None-Match", "\"x\""),
        ("If-Modified-Since", EPOCH),
        ("If-Modified-Since", "yesterday"),
        ("If-Match", etag(&first)),
    ] {
        let response = send(&server, Request::new("GET", AT).header(name, value)).await;
        assert_eq!(response.status, 200, "{name}: {value}");
    }
    // The tag is more exact than the date.
    let request = Request::new("GET", AT)
        .header("If-None-Match", "\"x\"")
        .header("If-Modified-Since", modified(&first));
    assert_eq!(send(&server, request).await.status, 200);
    let request = Request::new("GET", AT).header("If-Match", "\"x\"");
    assert_eq!(send(&server, request).await.status, 412);
}

#[tokio::test]
async fn changes_of_the_same_second_are_told_apart() {
    let server = server();
    let mut of_one_second = None;
    for _ in 0..10 {
        let (first, second) = (put(&server, "1").await, put(&server, "2").await);
        assert_ne!(etag(&first), etag(&second));
        if modified(&first) == modified(&second) {
            of_one_second = Some(first);
            break;
        }
    }
    let first = of_one_second.expect("two changes within a second");
    let request = Request::new("GET", AT).header("If-Modified-Since", modified(&first));
    assert_eq!(send(&server, request).await.text(), "2");
    let request = waiting(modified(&first)).header("If-None-Match", etag(&first));
    assert_eq!(send(&server, request).await.text(), "2");
}

#[tokio::test]
async fn a_request_waits_until_the_resource_is_newer() {
    let server = server();
    // The epoch: now, if there is anything.
    let mut http = held(&server, &waiting(EPOCH)).await;
    put(&server, "1").await;
    let first = http.response().await;
    assert_eq!((first.status, first.text()), (200, "1"));
    for date in [EPOCH, "Wed, 1 Jan 1970 00:00:00 GMT"] {
        let again = http.exchange(waiting(date)).await;
        assert_eq!((again.status, again.text()), (200, "1"));
        assert_eq!(etag(&again), etag(&first));
    }
    // Its own date: not 304, but the next change, be it of the same second.
    let mut by_date = held(&server, &waiting(modified(&first))).await;
    let request = waiting(EPOCH).header("If-None-Match", etag(&first));
    let mut by_tag = held(&server, &request).await;
    server.client().await.publish("/r/a", "2").await;
    for http in [&mut by_date, &mut by_tag] {
        let response = http.response().await;
        assert_eq!((response.status, response.text()), (200, "\"2\""));
        assert_ne!(etag(&response), etag(&first));
    }
    assert_eq!(server.metrics().watched_resources.value(), 0);
    let response = send(&server, waiting("tomorrow")).await;
    assert_eq!(response.status, 400);
    assert!(response.reason().contains("When-Modified-After"));
}

#[tokio::test]
async fn a_wait_without_a_change_ends_without_content() {
    let server = TestServer::start(&[ON, "resources.timeout=50ms"]);
    let mut http = server.open().await;
    for request in [waiting(EPOCH), waiting(EPOCH)] {
        let response = http.exchange(request).await;
        assert_eq!((response.status, response.text()), (204, ""));
        assert_eq!(response.header("Cache-Control"), Some("no-cache"));
    }
    assert_eq!(server.metrics().watched_resources.value(), 0);
}

#[tokio::test]
async fn a_wait_ends_with_its_client_and_with_the_server() {
    let mut server = server();
    let gone = held(&server, &waiting(EPOCH)).await;
    gone.reset();
    until(|| server.metrics().watched_resources.value() == 0).await;
    let mut half_closed = held(&server, &waiting(EPOCH)).await;
    half_closed.half_close().await;
    assert_eq!(half_closed.response().await.status, 204);
    let mut http = held(&server, &waiting(EPOCH)).await;
    server.stop();
    let response = http.response().await;
    assert_eq!(response.status, 204);
    assert_eq!(response.header("Connection"), Some("close"));
    http.ended().await;
    server.stopped().await;
}

#[tokio::test]
async fn what_is_put_is_published() {
    let server = server();
    let mut client = server.client().await;
    client.subscribe("/r/**").await;
    client.poll().await;
    server.holds(1).await;
    let body = "{ \"b\": 1.10 }";
    let response = put(&server, body).await;
    assert_eq!((response.status, response.text()), (201, ""));
    let tag = etag(&response).to_owned();
    let event = &client.polled().await[0];
    assert_eq!(event, &json!({"channel": "/r/a", "data": {"b": 1.10}}));
    let current = get(&server).await;
    assert_eq!((current.text(), etag(&current)), (body, tag.as_str()));
    let post = Request::new("POST", AT).body(" 2\n");
    let response = send(&server, post).await;
    assert_eq!(response.status, 200);
    assert_ne!(etag(&response), tag);
    assert_eq!(get(&server).await.text(), " 2\n");
    let events = client.queued().await;
    assert_eq!(events, [json!({"channel": "/r/a", "data": 2})]);
}

#[tokio::test]
async fn what_is_no_json_within_the_bounds_is_refused() {
    let server = TestServer::start(&[ON, "bayeux.max_depth=5", "bayeux.max_message_size=2KiB"]);
    for body in ["", "{", "1 2", "\"\u{1}\"", "[[[[1]]]]"] {
        let response = send(&server, Request::new("PUT", AT).body(body)).await;
        assert_eq!(response.status, 400, "{body}");
        assert!(!response.reason().is_empty());
    }
    let large = format!("\"{}\"", "x".repeat(2047));
    let response = send(&server, Request::new("PUT", AT).body(large)).await;
    assert_eq!(response.status, 413);
    put(&server, "[[[1]]]").await;
    let partial = Request::new("PUT", AT)
        .header("Content-Range", "bytes 0-0/*")
        .body("1");
    assert_eq!(send(&server, partial).await.status, 400);
    assert_eq!(server.metrics().limit_count(Limit::MaxDepth), 1);
    assert_eq!(server.metrics().limit_count(Limit::MaxMessageSize), 1);
}

#[tokio::test]
async fn a_change_can_depend_on_what_is_there() {
    let server = server();
    let new = |body: &str| {
        Request::new("PUT", AT)
            .header("If-None-Match", "*")
            .body(body)
    };
    let first = send(&server, new("1")).await;
    assert_eq!(first.status, 201);
    let refused = send(&server, new("2")).await;
    assert_eq!((refused.status, etag(&refused)), (412, etag(&first)));
    assert!(refused.reason().contains("If-None-Match"));
    let mut tag = etag(&first).to_owned();
    for (method, body, range) in [("PUT", "2", ""), ("POST", "3", ""), ("PATCH", "4", "0-0")] {
        let range = if range.is_empty() {
            String::new()
        } else {
            format!("bytes {range}/*")
        };
        let request = Request::new(method, AT)
            .header("Content-Range", &range)
            .body(body);
        for bad in ["\"x\"", &format!("W/{tag}")] {
            let response = send(&server, request.clone().header("If-Match", bad)).await;
            assert_eq!(response.status, 412, "{method} {bad}");
        }
        let response = send(&server, request.header("If-Match", &tag)).await;
        assert_eq!(response.status, 200, "{method}");
        etag(&response).clone_into(&mut tag);
    }
    let request = Request::new("DELETE", AT).header("If-Match", "\"x\"");
    assert_eq!(send(&server, request).await.status, 412);
    assert_eq!(get(&server).await.text(), "4");
}

#[tokio::test]
async fn a_deleted_resource_is_gone_until_the_next_change() {
    let server = server();
    assert_eq!(delete(&server).await.status, 404);
    let first = put(&server, "1").await;
    let mut subscriber = server.client().await;
    subscriber.subscribe("/r/a").await;
    let mut http = held(&server, &waiting(modified(&first))).await;
    assert_eq!(delete(&server).await.status, 204);
    let told = http.response().await;
    assert_eq!(told.status, 410);
    assert_eq!(told.reason(), "the resource was deleted");
    let gone = get(&server).await;
    assert_eq!((gone.status, etag(&gone)), (410, etag(&told)));
    assert_eq!(delete(&server).await.status, 410);
    let response = send(&server, patch("bytes 0-0/*", "2")).await;
    assert_eq!(response.status, 410);
    assert_eq!(http.exchange(waiting(EPOCH)).await.status, 410);
    // Who knows that it is gone waits for it to come back.
    let request = waiting(EPOCH).header("If-None-Match", etag(&gone));
    let mut http = held(&server, &request).await;
    assert_eq!(put(&server, "3").await.status, 201);
    assert_eq!(http.response().await.text(), "3");
    let events = subscriber.queued().await;
    assert_eq!(events, [json!({"channel": "/r/a", "data": 3})]);
}

#[tokio::test]
async fn a_part_is_replaced_or_appended() {
    let server = server();
    assert_eq!(send(&server, patch("bytes 0-0/*", "1")).await.status, 404);
    let mut subscriber = server.client().await;
    subscriber.subscribe("/r/a").await;
    put(&server, "[1,2]").await;
    let cases = [
        ("bytes 1-1/*", "9", "[9,2]"),
        ("bytes 4-6/*", ",3]", "[9,2,3]"),
        ("bytes 7-8/9", "\r\n", "[9,2,3]\r\n"),
        ("bytes 0-8/9", "[9,2,3,4]", "[9,2,3,4]"),
    ];
    for (range, part, whole) in cases {
        let response = send(&server, patch(range, part)).await;
        assert_eq!(response.status, 200, "{range}");
        let current = get(&server).await;
        assert_eq!(current.text(), whole, "{range}");
        assert_eq!(etag(&current), etag(&response));
    }
    let data: Vec<_> = subscriber.queued().await;
    let data: Vec<_> = data.iter().map(|event| event["data"].to_string()).collect();
    let expected = ["[1,2]", "[9,2]", "[9,2,3]", "[9,2,3]", "[9,2,3,4]"];
    assert_eq!(data, expected);
}

#[tokio::test]
async fn a_part_that_does_not_fit_is_refused() {
    let server = TestServer::start(&[ON, "bayeux.max_message_size=1KiB"]);
    put(&server, "[1,2]").await;
    let long = format!("{}]", " ".repeat(1019));
    let cases = [
        ("bytes 6-6/*", "1", 416),
        ("bytes 0-0/9", "[", 416),
        ("bytes 0-1/*", "[", 400),
        ("bytes 1-0/*", "", 400),
        ("bytes */5", "[", 400),
        ("", "[", 400),
        ("bytes 0-0/*", "{", 422),
        ("bytes 5-5/*", ",", 422),
        ("bytes 5-1024/*", &long, 413),
    ];
    for (range, part, status) in cases {
        let response = send(&server, patch(range, part)).await;
        assert_eq!(response.status, status, "{range}");
        assert!(!response.reason().is_empty());
        let expected = (status == 416).then_some("bytes */5");
        assert_eq!(response.header("Content-Range"), expected);
    }
    assert_eq!(get(&server).await.text(), "[1,2]");
}

#[tokio::test]
async fn who_has_the_version_before_gets_only_the_part() {
    let server = server();
    let first = put(&server, "[1,2]").await;
    let exactly = waiting(EPOCH).header("If-None-Match", etag(&first));
    let mut exact = held(&server, &exactly).await;
    let mut by_date = held(&server, &waiting(modified(&first))).await;
    send(&server, patch("bytes 4-6/*", ",3]")).await;
    let part = exact.response().await;
    assert_eq!((part.status, part.text()), (206, ",3]"));
    assert_eq!(part.header("Content-Range"), Some("bytes 4-6/7"));
    assert_eq!(etag(&part), etag(&get(&server).await));
    let whole = by_date.response().await;
    assert_eq!((whole.status, whole.text()), (200, "[1,2,3]"));
    // Also who asks only now; but not who missed more.
    assert_eq!(send(&server, exactly.clone()).await.status, 206);
    send(&server, patch("bytes 1-1/*", "7")).await;
    let whole = send(&server, exactly).await;
    assert_eq!((whole.status, whole.text()), (200, "[7,2,3]"));
}

#[tokio::test]
async fn above_a_bound_the_least_recently_changed_is_forgotten() {
    let server = TestServer::start(&[ON, "resources.max_resources=2"]);
    let mut client = server.client().await;
    for (n, channel) in ["/r/a", "/r/b", "/r/a", "/r/c"].into_iter().enumerate() {
        client.publish(channel, n as u64).await;
    }
    for (path, status) in [("a", 200), ("b", 404), ("c", 200)] {
        let path = format!("/resources/r/{path}");
        let response = send(&server, Request::new("GET", &path)).await;
        assert_eq!(response.status, status, "{path}");
    }
    assert_eq!(server.metrics().limit_count(Limit::MaxResources), 1);
    let text = server.metrics().render();
    for line in [
        "mirant_resources 2",
        "mirant_resource_bytes 10",
        "mirant_watched_resources 0",
        "mirant_limit_reached_total{limit=\"resources.max_resources\"} 1",
        "mirant_limit_reached_total{limit=\"resources.max_bytes\"} 0",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_need_to_be_allowed() {
    const GOOD: &str = "https://good.example";
    let allow = "http.allowed_origins=[\"https://good.example\"]";
    let server = TestServer::start(&[ON, allow]);
    for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"] {
        let request = Request::new(method, AT).header("Origin", "https://evil.example");
        let response = send(&server, request.body("1")).await;
        assert_eq!(response.status, 403, "{method}");
    }
    assert_eq!(get(&server).await.status, 404);
    let preflight = Request::new("OPTIONS", AT)
        .header("Origin", GOOD)
        .header("Access-Control-Request-Method", "PATCH")
        .header(
            "Access-Control-Request-Headers",
            "when-modified-after,content-range",
        );
    let response = send(&server, preflight).await;
    assert_eq!(response.status, 204);
    let methods = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS";
    assert_eq!(
        response.header("Access-Control-Allow-Methods"),
        Some(methods)
    );
    assert_eq!(
        response.header("Access-Control-Allow-Headers"),
        Some("when-modified-after,content-range")
    );
    let of_good = |request: Request| request.header("Origin", GOOD);
    let mut http = held(&server, &of_good(waiting(EPOCH))).await;
    let put = send(&server, of_good(Request::new("PUT", AT).body("1"))).await;
    let refused = send(&server, of_good(Request::new("PUT", AT).body("?"))).await;
    for response in [http.response().await, put, refused] {
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some(GOOD));
        let exposed = response.header("Access-Control-Expose-Headers");
        assert_eq!(exposed, Some("ETag, Content-Range"));
        assert_eq!(response.header("Vary"), Some("Origin"));
    }
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let server = server();
    let methods = "GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS";
    let response = send(&server, Request::new("TRACE", AT)).await;
    assert_eq!(response.status, 405);
    assert_eq!(response.header("Allow"), Some(methods));
    let response = send(&server, Request::new("OPTIONS", AT)).await;
    assert_eq!(response.header("Allow"), Some(methods));
}

#[tokio::test]
async fn every_waiter_hears_of_a_change_and_none_is_left() {
    let server = server();
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut http = server.open().await;
        http.send(waiting(EPOCH).bytes()).await;
        clients.push(http);
    }
    until(|| server.metrics().watched_resources.value() == 50).await;
    put(&server, "1").await;
    for http in &mut clients {
        assert_eq!(http.response().await.text(), "1");
    }
    until(|| server.metrics().watched_resources.value() == 0).await;
}

#[tokio::test]
async fn a_client_that_asks_again_and_again_misses_no_change_but_those_in_between() {
    let server = server();
    let mut last = put(&server, "0").await;
    let mut http = server.open().await;
    let writer = async {
        let mut http = server.open().await;
        for n in 1..=200 {
            let request = Request::new("PUT", AT).body(n.to_string());
            assert_eq!(http.exchange(request).await.status, 200);
        }
    };
    let reader = async {
        let mut seen = 0;
        while seen < 200 {
            let request = waiting(modified(&last)).header("If-None-Match", etag(&last));
            last = http.exchange(request).await;
            let next: u32 = last.text().parse().unwrap();
            assert!(next > seen, "{next} after {seen}");
            seen = next;
        }
    };
    let both = async { tokio::join!(writer, reader) };
    tokio::time::timeout(Duration::from_secs(20), both)
        .await
        .expect("the last change is not missed");
}
