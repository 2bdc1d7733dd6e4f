//! The transports for the CometD client that the server has for web pages.

use crate::support::{Request, Response, TestServer};

const SPLITTER: &str = "/mirant/splitter.js";

async fn get(server: &TestServer, request: Request) -> Response {
    server.open().await.exchange(request).await
}

#[tokio::test]
async fn modules_are_served_to_pages_of_any_site() {
    let server = TestServer::start(&[]);
    for name in [
        "eventsource",
        "iframe",
        "message-http",
        "multipart",
        "splitter",
        "xhr-streaming",
    ] {
        let path = format!("/mirant/{name}.js");
        let request = Request::new("GET", &path).header("Origin", "https://other.example");
        let response = get(&server, request).await;
        assert_eq!(response.status, 200);
        for (header, value) in [
            ("Content-Type", "text/javascript; charset=utf-8"),
            ("Access-Control-Allow-Origin", "*"),
            ("Cache-Control", "public, no-cache"),
            ("X-Content-Type-Options", "nosniff"),
        ] {
            assert_eq!(response.header(header), Some(value), "{header}");
        }
        assert!(response.text().contains("export "));
        let types = get(
            &server,
            Request::new("GET", &format!("/mirant/{name}.d.ts")),
        )
        .await;
        assert_eq!(types.status, 200);
        assert_eq!(
            types.header("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert!(types.text().contains("export declare "));
    }
}

#[tokio::test]
async fn a_module_is_not_sent_again_to_who_has_it() {
    let server = TestServer::start(&[]);
    let first = get(&server, Request::new("GET", SPLITTER)).await;
    let tag = first.header("ETag").unwrap().to_owned();
    let mut http = server.open().await;
    for (tags, status) in [
        (tag.clone(), 304),
        (format!("\"other\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let request = Request::new("GET", SPLITTER).header("If-None-Match", &tags);
        let response = http.exchange(request).await;
        assert_eq!(response.status, status, "{tags}");
        assert_eq!(response.header("ETag"), Some(&*tag));
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
    }
}

#[tokio::test]
async fn only_the_modules_are_there_and_only_to_be_read() {
    let server = TestServer::start(&[]);
    for (method, path, status) in [
        ("GET", "/mirant/", 404),
        ("GET", "/mirant/mod.rs", 404),
        ("GET", "/mirant/../splitter.js", 404),
        ("POST", SPLITTER, 405),
    ] {
        let response = get(&server, Request::new(method, path)).await;
        assert_eq!(response.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn an_endpoint_at_their_path_leaves_them_theirs() {
    let server = TestServer::start(&["bayeux.path=/mirant"]);
    assert_eq!(
        get(&server, Request::new("GET", SPLITTER)).await.status,
        200
    );
    let handshake = r#"{"channel":"/meta/handshake","version":"1.0"}"#;
    let request = Request::post(handshake).to("/mirant/handshake");
    assert_eq!(get(&server, request).await.status, 200);
}
