//! The operator's listener: figures and health.

use crate::support::{Http, Request, TestServer};

const ADMIN: &str = "admin.listen=[\"127.0.0.1:0\"]";

async fn get(server: &TestServer, path: &str) -> crate::support::Response {
    let mut http = Http::open(server.admin.unwrap()).await;
    http.exchange(Request::new("GET", path)).await
}

#[tokio::test]
async fn metrics_are_prometheus_text_and_follow_what_happens() {
    let server = TestServer::start(&[ADMIN]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.publish("/a", 1).await;
    client.poll().await;
    server.holds(1).await;
    let response = get(&server, "/metrics").await;
    assert_eq!(response.status, 200);
    let content_type = response.header("Content-Type").unwrap();
    assert!(content_type.starts_with("text/plain; version=0.0.4"));
    for line in [
        "mirant_sessions 1",
        "mirant_held_connects 1",
        "mirant_handshakes_total 1",
        "mirant_published_total 1",
        "mirant_delivered_total 1",
        "mirant_limit_reached_total{limit=\"bayeux.max_queue\"} 0",
        "mirant_sessions_ended_total{reason=\"expired\"} 0",
    ] {
        let text = response.text();
        assert!(text.lines().any(|have| have == line), "{line}\n{text}");
    }
    for line in response.text().lines() {
        let is_comment = line.starts_with("# HELP mirant_") || line.starts_with("# TYPE mirant_");
        let is_sample = line.starts_with("mirant_")
            && line
                .rsplit(' ')
                .next()
                .is_some_and(|value| value.parse::<i64>().is_ok());
        assert!(is_comment || is_sample, "{line}");
    }
}

#[tokio::test]
async fn health_is_ok_while_it_serves() {
    let server = TestServer::start(&[ADMIN]);
    let response = get(&server, "/healthz").await;
    assert_eq!((response.status, response.text()), (200, "ok\n"));
}

#[tokio::test]
async fn the_operator_s_listener_serves_no_bayeux_and_nothing_else() {
    let server = TestServer::start(&[ADMIN]);
    let admin = server.admin.unwrap();
    let cases = [
        ("GET", "/", 404),
        ("GET", "/cometd", 404),
        ("POST", "/metrics", 405),
        ("POST", "/cometd", 405),
    ];
    for (method, path, status) in cases {
        let response = Http::open(admin)
            .await
            .exchange(Request::new(method, path))
            .await;
        assert_eq!(response.status, status, "{method} {path}");
        assert!(!response.reason().is_empty());
    }
}

#[tokio::test]
async fn without_an_address_it_is_not_there() {
    let server = TestServer::start(&[]);
    assert!(server.admin.is_none());
    let response = server
        .open()
        .await
        .exchange(Request::new("GET", "/metrics"))
        .await;
    assert_eq!(response.status, 404);
}
