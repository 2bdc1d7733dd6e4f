//! The HTTP API: where it is, who may use it, and how it says what is wrong.

mod clients;
mod deliver;
mod description;
mod idempotency;
mod publish;
mod sessions;
mod watching;

use serde_json::{Value, json};

use crate::support::{Http, Request, Response, TestServer};

/// A key, what `printf %s KEY | sha256sum` prints for it, and another.
pub(crate) const KEY: &str = "mirant_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
pub(crate) const HASH: &str =
    "sha256:a85ffefcbd8759ae6ce337e1d392ab2d461ff5e5fc3d1e4c7184a5044f2425e5";
pub(crate) const OTHER: &str = "mirant_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";
pub(crate) const OTHER_HASH: &str =
    "sha256:0bae8b30eeaeb35645d965cba0249fb2d6efb91c7aea92a297ad7029f92fb3a7";

const LISTEN: &str = "api.listen=[\"127.0.0.1:0\"]";
const ROLE: &str = "backends.role=backend";

/// A setting with a key that allows this, on all channels.
pub(crate) fn key(allow: &str) -> String {
    format!("api.key=[{{ name = 'app', hash = '{HASH}', allow = ['{allow}'] }}]")
}

/// A server with the API on its own listener, and a key that allows all.
fn server() -> TestServer {
    server_with(&[])
}

fn server_with(set: &[&str]) -> TestServer {
    let key = key("admin");
    let set: Vec<&str> = [LISTEN, &key]
        .into_iter()
        .chain(set.iter().copied())
        .collect();
    TestServer::start(&set)
}

/// Sends a request to the API's own listener.
async fn ask(server: &TestServer, request: Request) -> Response {
    Http::open(server.api.unwrap())
        .await
        .exchange(request)
        .await
}

/// A request that shows the key.
pub(crate) fn request(method: &str, path: &str) -> Request {
    Request::new(method, path).header("Authorization", &format!("Bearer {KEY}"))
}

pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Request {
    request("POST", path).body(body)
}

fn json_of(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    assert_eq!(response.header("Cache-Control"), Some("no-store"));
    serde_json::from_slice(&response.body).unwrap()
}

/// Reads a problem, and checks that it is one.
fn problem(response: &Response) -> (u16, String) {
    let content_type = response.header("Content-Type");
    let text = response.text();
    assert_eq!(content_type, Some("application/problem+json"), "{text}");
    let json: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(json["status"], response.status, "{json}");
    (response.status, kind(&json))
}

/// Returns the kind of a problem, in which nothing is missing.
fn kind(problem: &Value) -> String {
    assert!(!problem["detail"].as_str().unwrap().is_empty(), "{problem}");
    assert!(!problem["title"].as_str().unwrap().is_empty(), "{problem}");
    let kind = problem["type"].as_str().unwrap();
    kind.strip_prefix("urn:mirant:").unwrap().to_owned()
}

#[tokio::test]
async fn it_has_a_listener_of_its_own_that_serves_nothing_else() {
    let server = server();
    let nothing = ask(&server, request("GET", "/api/v1/nothing")).await;
    assert_eq!(problem(&nothing), (404, "nothing_here".to_owned()));
    let method = ask(&server, request("PUT", "/api/v1/publish")).await;
    assert_eq!(problem(&method), (405, "method".to_owned()));
    assert_eq!(method.header("Allow"), Some("POST"));
    for path in ["/", "/cometd", "/metrics", "/api/v1x"] {
        let other = ask(&server, request("GET", path)).await;
        assert_eq!(other.status, 404, "{path}");
    }
    let of_another_host = request("GET", "/api/v1/openapi.json").header("Host", "evil.example");
    assert_eq!(ask(&server, of_another_host).await.status, 421);
}

#[tokio::test]
async fn clients_reach_it_only_if_that_is_asked_for() {
    let of = |is_public: &'static str| async move {
        let server = TestServer::start(&[is_public, &key("publish")]);
        assert!(server.api.is_none());
        let request = post("/api/v1/publish/a", "1");
        server.open().await.exchange(request).await.status
    };
    assert_eq!(of("api.public=false").await, 404);
    assert_eq!(of("api.public=true").await, 200);
}

#[tokio::test]
async fn no_page_of_another_origin_reads_what_it_says() {
    let server = TestServer::start(&["api.public=true", "http.allowed_origins=*"]);
    let path = "/api/v1/openapi.json";
    let get = Request::new("GET", path).header("Origin", "https://evil.example");
    let response = server.open().await.exchange(get).await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("Access-Control-Allow-Origin"), None);
    let preflight = Request::new("OPTIONS", path)
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "POST");
    let response = server.open().await.exchange(preflight).await;
    assert_eq!(problem(&response), (405, "method".to_owned()));
}

#[tokio::test]
async fn a_request_needs_a_valid_key() {
    let entries = format!(
        "api.key=[{{ name = 'app', hash = '{HASH}', allow = ['publish'] }}, \
         {{ name = 'old', hash = '{OTHER_HASH}', allow = ['publish'], expires = '2020-01-01T00:00:00Z' }}]"
    );
    let server = TestServer::start(&[LISTEN, &entries]);
    let bearer = "Bearer error=\"invalid_token\"";
    let cases = [
        ("", "key_missing", "Bearer"),
        ("Basic YTpi", "key_missing", "Bearer"),
        (KEY, "key_missing", "Bearer"),
        ("Bearer x", "key_unknown", bearer),
        (&format!("Bearer {}", &KEY[..49]), "key_unknown", bearer),
        (&format!("Bearer {OTHER}"), "key_expired", bearer),
    ];
    let shown = |value: &str| post("/api/v1/publish/a", "1").header("Authorization", value);
    for (value, expected, challenge) in cases {
        let response = ask(&server, shown(value)).await;
        assert_eq!(problem(&response), (401, expected.to_owned()), "{value}");
        assert_eq!(
            response.header("WWW-Authenticate"),
            Some(challenge),
            "{value}"
        );
    }
    assert_eq!(server.metrics().refused_keys.value(), 6);
    assert_eq!(server.metrics().published.value(), 0);
    for value in [format!("Bearer {KEY}"), format!("bearer  {KEY}")] {
        assert_eq!(ask(&server, shown(&value)).await.status, 200, "{value}");
    }
}

#[tokio::test]
async fn a_key_is_for_what_it_allows_and_for_its_channels() {
    let publish = json!({"channel": "/chat/1", "data": 1}).to_string();
    let deliver = json!({"user": "u", "channel": "/chat/1", "data": 1}).to_string();
    // (what is allowed, the status of a publish and of a delivery)
    let cases = [
        ("'publish'", 200),
        ("'read', 'publish'", 200),
        ("'admin'", 200),
        ("'read', 'sessions', 'calls'", 403),
    ];
    for (allow, expected) in cases {
        let key = format!(
            "api.key=[{{ name = 'app', hash = '{HASH}', allow = [{allow}], channels = ['/chat/*'] }}]"
        );
        let server = TestServer::start(&[LISTEN, ROLE, &key]);
        for (path, body) in [
            ("/api/v1/publish", &*publish),
            ("/api/v1/publish/chat/1", "1"),
            ("/api/v1/deliver", &*deliver),
        ] {
            let response = ask(&server, post(path, body)).await;
            assert_eq!(response.status, expected, "{allow} {path}");
            if expected == 403 {
                assert_eq!(problem(&response).1, "not_allowed");
                continue;
            }
            let elsewhere = body.replace("/chat/1", "/chat/1/2");
            let path = path.replace("/chat/1", "/chat/1/2");
            let response = ask(&server, post(&path, elsewhere)).await;
            assert_eq!(
                problem(&response),
                (403, "channel_not_allowed".to_owned()),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused_by_the_listener() {
    let server = server_with(&["bayeux.max_message_size=1KiB"]);
    let body = format!("\"{}\"", "a".repeat(1024));
    let response = ask(&server, post("/api/v1/publish/a", body)).await;
    assert_eq!(response.status, 413);
    assert!(response.reason().contains("bayeux.max_message_size"));
}
