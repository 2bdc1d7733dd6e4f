//! For which hosts the listeners answer, and what every response says whoever it is for.

use serde_json::json;

use crate::support::{Http, Request, Response, TestServer, percent, two_way, upgrade};

const ADMIN: &str = "admin.listen=[\"127.0.0.1:0\"]";

/// A request of each kind, for all of which one host is named.
fn requests(host: &str) -> Vec<Request> {
    let message = json!([{"channel": "/meta/connect", "clientId": "x"}]).to_string();
    let inner = "GET /nothing HTTP/1.1\r\n\r\n";
    let requests = [
        Request::post("[{}]"),
        Request::new(
            "GET",
            &format!("/cometd?jsonp=f&message={}", percent(&message)),
        ),
        Request::new("OPTIONS", "/cometd"),
        Request::new("GET", "/events?channel=/a").header("Accept", "text/event-stream"),
        Request::new("GET", "/resources/r/a"),
        Request::new("GET", "/mirant/eventsource.js"),
        Request::new("GET", "/"),
        upgrade(),
        two_way().header("Connection", "close").body(inner),
    ];
    requests
        .map(|request| request.header("Host", host))
        .into_iter()
        .collect()
}

const RESOURCE: &str = "channel=[{pattern=\"/r/*\",resource=true}]";

async fn first(server: &TestServer, request: Request) -> Response {
    server.open().await.exchange(request).await
}

#[tokio::test]
async fn any_host_is_served_unless_some_are_named() {
    let names = "http.hosts=[\"push.example\",\"*.wild.example\",\"127.0.0.1\",\"[::1]\"]";
    let some = TestServer::start(&[RESOURCE, names]);
    let any = TestServer::start(&[RESOURCE]);
    let cases = [
        ("push.example", true),
        ("PUSH.Example.:8080", true),
        ("a.wild.example", true),
        ("a.b.wild.example:1", true),
        ("127.0.0.1:5", true),
        ("[0:0::1]:80", true),
        ("wild.example", false),
        ("a-wild.example", false),
        ("evil.example", false),
        ("push.example.evil.example", false),
        ("x.push.example", false),
        ("127.0.0.2", false),
        ("localhost", false),
    ];
    let mut refused = 0;
    for (host, is_served) in cases {
        for request in requests(host) {
            assert_ne!(first(&any, request.clone()).await.status, 421, "{host}");
            let response = first(&some, request).await;
            assert_eq!(response.status != 421, is_served, "{host}: {response:?}");
            if !is_served {
                refused += 1;
                if !response.body.is_empty() {
                    assert!(response.reason().contains("http.hosts"), "{response:?}");
                }
            }
        }
    }
    assert_eq!(some.metrics().refused_hosts.value(), refused);
    // One that names none is of no page.
    let mut http = some.open().await;
    http.send("POST /cometd HTTP/1.0\r\nContent-Length: 4\r\n\r\n[{}]")
        .await;
    assert_eq!(http.response().await.status, 200);
    // The target counts as the header does.
    for (target, host, status) in [
        ("http://push.example/cometd", "push.example", 200),
        ("http://evil.example/cometd", "push.example", 421),
        ("http://push.example/cometd", "evil.example", 421),
    ] {
        let request = Request::post("[{}]").to(target).header("Host", host);
        assert_eq!(
            first(&some, request).await.status,
            status,
            "{target} {host}"
        );
    }
}

#[tokio::test]
async fn a_refused_host_is_refused_each_time_it_comes_again() {
    let server = TestServer::start(&["http.hosts=[\"a.example\"]"]);
    let mut http = server.open().await;
    for _ in 0..4 {
        for (host, status) in [("a.example", 200), ("b.example", 421)] {
            for _ in 0..4 {
                let request = Request::post("[{}]").header("Host", host);
                assert_eq!(http.exchange(request).await.status, status);
            }
        }
    }
}

#[tokio::test]
async fn the_operator_s_listener_is_not_there_for_names_that_anyone_can_give_it() {
    let some = TestServer::start(&[ADMIN, "admin.hosts=[\"mirant.internal\",\"*.svc\"]"]);
    let any = TestServer::start(&[ADMIN, "admin.hosts=[\"*\"]"]);
    let none = TestServer::start(&[ADMIN]);
    let cases = [
        ("localhost", true, true),
        ("LOCALHOST.:9090", true, true),
        ("a.localhost", true, true),
        ("127.0.0.1:9090", true, true),
        ("10.1.2.3:9090", true, true),
        ("[::1]", true, true),
        ("mirant.internal:9090", false, true),
        ("mirant.default.svc", false, true),
        ("evil.example", false, false),
        ("localhost.evil.example", false, false),
        ("127.0.0.1.evil.example", false, false),
    ];
    for (host, without, with) in cases {
        for (server, is_served) in [(&none, without), (&some, with), (&any, true)] {
            let request = Request::new("GET", "/metrics").header("Host", host);
            let response = Http::open(server.admin.unwrap())
                .await
                .exchange(request)
                .await;
            let expected = if is_served { 200 } else { 421 };
            assert_eq!(response.status, expected, "{host}");
            if !is_served {
                assert!(response.reason().contains("admin.hosts"), "{response:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_response_is_taken_for_what_it_is_not() {
    let server = TestServer::start(&[RESOURCE, ADMIN]);
    let nosniff = |response: &Response, what: &str| {
        let value = response.header("X-Content-Type-Options");
        assert_eq!(value, Some("nosniff"), "{what}: {response:?}");
    };
    for request in requests("h") {
        nosniff(&first(&server, request).await, "a kind");
    }
    let client = server.client().await;
    for kind in ["long-polling", "xhr-streaming", "message-http"] {
        let message = json!({"channel": "/meta/connect", "connectionType": kind,
            "advice": {"timeout": 0}});
        let request = client.request(client.message(message).to_string());
        nosniff(&first(&server, request).await, kind);
    }
    for text in ["nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        let mut http = server.open().await;
        http.send(text).await;
        nosniff(&http.response().await, text);
    }
    for path in ["/metrics", "/healthz", "/"] {
        let request = Request::new("GET", path);
        let mut http = Http::open(server.admin.unwrap()).await;
        nosniff(&http.exchange(request).await, path);
    }
    let server = TestServer::start(&["http.max_connections=1"]);
    let _only = server.open().await;
    let mut refused = server.open().await;
    let response = refused.response().await;
    assert_eq!(response.status, 503);
    nosniff(&response, "no room");
}
