//! The operator's listener: figures and health.

use crate::support::program::run;
use crate::support::{Http, Request, TestServer, within};

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
                .is_some_and(|value| value.parse::<f64>().is_ok());
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
async fn it_is_ready_while_it_serves() {
    const READY: &str = r#"{"ready":true,"reasons":[]}"#;
    let server = TestServer::start(&[ADMIN]);
    let response = get(&server, "/readyz").await;
    assert_eq!((response.status, response.text()), (200, READY));
    let admin = server.admin.unwrap();
    let health = || async {
        let asking = move || run(&["health", &format!("http://{admin}")]);
        let output = within(tokio::task::spawn_blocking(asking)).await.unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code(), text.trim_end().to_owned())
    };
    assert_eq!(health().await, (Some(0), READY.to_owned()));
    drop(server);
    let (code, text) = health().await;
    assert_eq!(code, Some(1));
    assert!(text.contains("/readyz: "), "{text}");
}

#[tokio::test]
async fn the_operator_s_listener_serves_no_bayeux_and_nothing_else() {
    let server = TestServer::start(&[ADMIN]);
    let admin = server.admin.unwrap();
    let cases = [
        ("GET", "/cometd", 404),
        ("GET", "/page/", 404),
        ("GET", "/page/../page.rs", 404),
        ("POST", "/", 405),
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

#[tokio::test]
async fn the_page_runs_only_what_is_served_with_it() {
    let server = TestServer::start(&[ADMIN]);
    let page = get(&server, "/").await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("Content-Security-Policy").unwrap();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
    ] {
        assert!(policy.contains(directive), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = page.text();
    assert!(
        !text.contains("<style") && !text.contains(" style="),
        "{text}"
    );
    assert_eq!(text.matches("<script").count(), 1);
    // All that it names is there, and so is what those name.
    let mut wanted = vec!["/page/style.css".to_owned(), "/page/app.js".to_owned()];
    let mut seen = 0;
    while let Some(path) = wanted.get(seen).cloned() {
        seen += 1;
        let file = get(&server, &path).await;
        assert_eq!(file.status, 200, "{path}");
        assert_eq!(file.header("X-Content-Type-Options"), Some("nosniff"));
        for line in file
            .text()
            .lines()
            .filter(|line| line.contains(" from './"))
        {
            let name = line
                .split("'./")
                .nth(1)
                .unwrap()
                .split('\'')
                .next()
                .unwrap();
            let path = format!("/page/{name}");
            if !wanted.contains(&path) {
                wanted.push(path);
            }
        }
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!file.text().contains(word), "{path} has {word}");
        }
    }
    assert_eq!(seen, 15);
}

#[tokio::test]
async fn the_api_is_there_for_who_has_a_key() {
    let key = crate::http_api::key("admin");
    let server = TestServer::start(&[ADMIN, &key]);
    assert!(server.api.is_none());
    let path = "/api/v1/sessions";
    assert_eq!(get(&server, path).await.status, 401);
    let admin = server.admin.unwrap();
    let shown = crate::http_api::request("GET", path);
    let response = Http::open(admin).await.exchange(shown).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let without = TestServer::start(&[ADMIN]);
    let shown = crate::http_api::request("GET", "/api/v1/key");
    let response = Http::open(without.admin.unwrap())
        .await
        .exchange(shown)
        .await;
    assert_eq!(response.status, 401);
    assert!(
        response.text().contains("has no [[api.key]]"),
        "{}",
        response.text()
    );
}
