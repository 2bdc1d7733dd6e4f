//! What is served beside Bayeux, by HTTP/1.1 and by HTTP/2: the HTTP API, the operator's page, resources, history, pages and
//! streams. The same is asked of two servers alike, and the answers are the same.

use serde_json::Value;

use super::PRIOR;
use crate::http_api::{KEY, key};
use crate::support::{Http, Http2, Request, Response, TestServer, until};

/// Whose address is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Clients,
    Operator,
    Api,
}
use At::{Api, Clients, Operator};

/// Requests in their order, and their statuses. Of those with a query `varies` the answer is another each time.
const ASKED: [(At, &str, &str, &str, u16); 32] = [
    (Clients, "PUT", "/resources/r/a", "1", 201),
    (Clients, "GET", "/resources/r/a", "", 200),
    (Clients, "POST", "/resources/r/a", "{\"x\": 2}", 200),
    (Clients, "GET", "/resources/r/none", "", 404),
    (Clients, "DELETE", "/resources/r/a", "", 204),
    (Clients, "GET", "/resources/r/a", "", 410),
    (Clients, "OPTIONS", "/cometd", "", 204),
    (Clients, "GET", "/mirant/none.js", "", 404),
    (Clients, "GET", "/cometd/doctor", "", 400),
    (Clients, "GET", "/nothing", "", 404),
    (Clients, "PATCH", "/cometd", "", 405),
    (Clients, "POST", "/cometd", "not JSON", 400),
    (Api, "POST", "/api/v1/publish/kept/1", "1", 200),
    (Api, "POST", "/api/v1/publish/kept/1", "{\"n\": 2}", 200),
    (Clients, "GET", "/history/kept/1?varies", "", 200),
    (Clients, "GET", "/history/none", "", 404),
    (Api, "GET", "/api/v1/history/kept/1?varies", "", 200),
    (Api, "GET", "/api/v1/sessions", "", 200),
    (Api, "GET", "/api/v1/channels", "", 200),
    (Api, "GET", "/api/v1/openapi.json", "", 200),
    (Api, "GET", "/api/v1/nothing", "", 404),
    (Api, "PUT", "/api/v1/publish", "", 405),
    (Api, "POST", "/api/v1/publish", "not JSON", 400),
    (Api, "DELETE", "/api/v1/history/kept/1", "", 200),
    (Operator, "GET", "/", "", 200),
    (Operator, "GET", "/page/app.js", "", 200),
    (Operator, "GET", "/healthz", "", 200),
    (Operator, "GET", "/readyz", "", 200),
    (Operator, "GET", "/metrics?varies", "", 200),
    (Operator, "GET", "/api/v1/key", "", 200),
    (Operator, "GET", "/api/v1/login", "", 200),
    (Operator, "POST", "/metrics", "", 405),
];

/// The streams that go on, and what they begin with.
const STREAMS: [(At, &str, &str); 4] = [
    (Clients, "/events?channel=/a", "retry: "),
    (Api, "/api/v1/watch/a", "retry: "),
    (Operator, "/api/v1/figures", "event: figures"),
    (Operator, "/api/v1/watch/**", "retry: "),
];

fn server() -> TestServer {
    TestServer::start(&[
        PRIOR,
        "admin.listen=[\"127.0.0.1:0\"]",
        "api.listen=[\"127.0.0.1:0\"]",
        &key("admin"),
        "channel=[{ pattern = '/r/**', resource = true }, { pattern = '/kept/*', history = { messages = 9 } }]",
    ])
}

fn request(method: &str, path: &str, body: &str) -> Request {
    let request = Request::new(method, path)
        .header("Authorization", &format!("Bearer {KEY}"))
        .header("Origin", "http://localhost");
    match body {
        "" => request,
        body => request
            .header("Content-Type", "application/json")
            .body(body),
    }
}

/// What has to be the same of a response.
fn essence(response: &Response, path: &str) -> (u16, Vec<Option<String>>, String) {
    let headers = [
        "Content-Type",
        "Cache-Control",
        "Allow",
        "X-Content-Type-Options",
        "Vary",
    ];
    let headers = headers.map(|name| response.header(name).map(str::to_owned));
    let body = match path.contains("varies") {
        true => String::new(),
        false => without_times(response.text()),
    };
    (response.status, headers.to_vec(), body)
}

/// Leaves out when and as what something was received.
fn without_times(text: &str) -> String {
    let Ok(Value::Object(mut fields)) = serde_json::from_str(text) else {
        return text.to_owned();
    };
    for name in ["id", "replay", "epoch", "at"] {
        fields.remove(name);
    }
    Value::Object(fields).to_string()
}

#[tokio::test]
async fn each_way_is_what_it_is_by_http_1_1() {
    let (one, two) = (server(), server());
    let address = |server: &TestServer, at| match at {
        Clients => server.address,
        Operator => server.admin.unwrap(),
        Api => server.api.unwrap(),
    };
    let mut by_http2 = Vec::new();
    for at in [Clients, Operator, Api] {
        by_http2.push((at, Http2::open(address(&two, at)).await));
    }
    for (at, method, path, body, status) in ASKED {
        let request = request(method, path, body);
        let mut http = Http::open(address(&one, at)).await;
        let expected = http.exchange(request.clone()).await;
        assert_eq!(
            expected.status,
            status,
            "{method} {path}: {}",
            expected.text()
        );
        let http = by_http2.iter_mut().find(|(of, _)| *of == at);
        let response = http.unwrap().1.exchange(&request).await;
        let (found, expected) = (essence(&response, path), essence(&expected, path));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn streams_go_on_beside_each_other() {
    let server = server();
    let mut open = Vec::new();
    for (at, path, beginning) in STREAMS {
        let address = match at {
            Clients => server.address,
            Operator => server.admin.unwrap(),
            Api => server.api.unwrap(),
        };
        let mut http = Http2::open(address).await;
        let mut stream = http.send(&request("GET", path, "")).await;
        assert_eq!(stream.head().await.status, 200, "{path}");
        stream.until(beginning).await;
        open.push((http, stream));
    }
    until(|| server.metrics().watchers.value() == 3).await;
    let mut client = server.client().await;
    client.publish("/a", "an event").await;
    for at in [0, 1, 3] {
        open[at].1.until("an event").await;
    }
    drop(open);
    until(|| server.metrics().watchers.value() == 0).await;
}
