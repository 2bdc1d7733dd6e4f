//! The HTTP API: where it is, who may use it, and how it says what is wrong.

use serde_json::Value;

use crate::support::{Http, Request, Response, TestServer};

pub(crate) const LISTEN: &str = "api.listen=[\"127.0.0.1:0\"]";

/// Sends a request to the API's own listener.
pub(crate) async fn ask(server: &TestServer, request: Request) -> Response {
    Http::open(server.api.unwrap())
        .await
        .exchange(request)
        .await
}

/// Reads a problem, and checks that it is one.
pub(crate) fn problem(response: &Response) -> (u16, String) {
    let content_type = response.header("Content-Type");
    assert_eq!(
        content_type,
        Some("application/problem+json"),
        "{response:?}"
    );
    let json: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(json["status"], response.status, "{json}");
    assert!(!json["detail"].as_str().unwrap().is_empty(), "{json}");
    assert!(!json["title"].as_str().unwrap().is_empty(), "{json}");
    let kind = json["type"].as_str().unwrap();
    (
        response.status,
        kind.strip_prefix("urn:mirant:").unwrap().to_owned(),
    )
}

#[tokio::test]
async fn it_has_a_listener_of_its_own_and_says_what_there_is() {
    let server = TestServer::start(&[LISTEN]);
    let description = ask(&server, Request::new("GET", "/api/v1/openapi.json")).await;
    assert_eq!(description.status, 200);
    assert_eq!(description.header("Content-Type"), Some("application/json"));
    let json: Value = serde_json::from_slice(&description.body).unwrap();
    assert_eq!(json["openapi"], "3.1.0");
    assert!(
        json["paths"]["/api/v1/openapi.json"]["get"].is_object(),
        "{json}"
    );
    let nothing = ask(&server, Request::new("GET", "/api/v1/nothing")).await;
    assert_eq!(problem(&nothing), (404, "nothing_here".to_owned()));
    let method = ask(&server, Request::new("PUT", "/api/v1/openapi.json")).await;
    assert_eq!(problem(&method), (405, "method".to_owned()));
    assert_eq!(method.header("Allow"), Some("GET,HEAD"));
    for path in ["/", "/cometd", "/metrics", "/api/v1x"] {
        let other = ask(&server, Request::new("GET", path)).await;
        assert_eq!(other.status, 404, "{path}");
    }
}

#[tokio::test]
async fn clients_reach_it_only_if_that_is_asked_for() {
    let of = |is_public: &'static str| async move {
        let server = TestServer::start(&[is_public]);
        assert!(server.api.is_none());
        let request = Request::new("GET", "/api/v1/openapi.json");
        server.open().await.exchange(request).await.status
    };
    assert_eq!(of("api.public=false").await, 404);
    assert_eq!(of("api.public=true").await, 200);
}
