//! Bytes that no client would send: every answer is a 2xx or 4xx, and the server goes on.

use serde_json::json;

use crate::support::{Random, Request, TestServer, only, percent};

#[tokio::test]
async fn spoilt_requests_are_refused_or_served() {
    let server = TestServer::start(&["bayeux.max_interval=10m"]);
    let mut client = server.client().await;
    let message = client.message(json!({
        "channel": "/meta/subscribe", "id": "1", "subscription": ["/a", "/b/**"],
        "ext": {"a": [1, {"b": null}]}, "advice": {"timeout": 0},
    }));
    let json = json!([message, {"channel": "/a", "data": "\u{2028}", "clientId": "x"}]).to_string();
    let form = format!("message={}&message={{}}", percent(&json));
    let requests = [
        Request::post(json.clone()).header("Content-Type", "application/json; charset=utf-8"),
        Request::post(form).header("Content-Type", "application/x-www-form-urlencoded"),
        Request::jsonp("a.b", &json),
    ];
    for seed in 1..4000 {
        let mut random = Random::of(seed);
        let request = &requests[random.below(requests.len())];
        let bytes = random.spoil(request.bytes());
        let mut http = server.open().await;
        http.send(&bytes).await;
        http.half_close().await;
        let answer = http.rest().await;
        let status = answer.get(9..12).map(<[u8]>::to_vec).unwrap_or_default();
        let is_fine = answer.is_empty() || matches!(status.first(), Some(b'2' | b'4'));
        let shown = String::from_utf8_lossy(&bytes);
        assert!(
            is_fine,
            "seed {seed}: {:?} to {shown}",
            String::from_utf8_lossy(&answer)
        );
    }
    let reply = only(client.publish("/z", 1).await);
    assert_eq!(reply["successful"], true);
}
