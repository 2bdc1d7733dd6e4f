//! Compressed bodies: of requests, and of responses from a size on.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use mirant::metrics::Limit;
use serde_json::json;

use crate::support::{
    Client, Embedded, Http, Request, Response, TestServer, percent, two_way, until,
};

const RESOURCE: &str = "channel=[{pattern=\"/r/*\",resource=true}]";

fn gzip(plain: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// A request of each kind that may be compressed, with its body as it is.
fn requests(client: &Client) -> Vec<(Request, String)> {
    let publish = client.message(json!({"channel": "/a", "id": "1", "data": "é"}));
    let json = json!([publish]).to_string();
    let form = format!("message={}", percent(&json));
    let typed = |content_type: &str| client.request("").header("Content-Type", content_type);
    let resource = Request::new("PUT", "/resources/r/a").header("Content-Type", "application/json");
    vec![
        (client.request(""), json),
        (typed("application/x-www-form-urlencoded"), form),
        (resource, "{\"a\":[1,2]}".to_owned()),
    ]
}

#[tokio::test]
async fn a_body_may_come_compressed() {
    let server = TestServer::start(&[RESOURCE]);
    let client = server.client().await;
    for (request, body) in requests(&client) {
        let plain = server
            .open()
            .await
            .exchange(request.clone().body(body.clone()))
            .await;
        assert!(matches!(plain.status, 200 | 201), "{plain:?}");
        let (first, rest) = body.as_bytes().split_at(3);
        let cases = [
            ("gzip", gzip(&body)),
            ("GZIP", gzip(&body)),
            ("x-gzip", [gzip(first), gzip(rest)].concat()),
            ("identity", body.clone().into_bytes()),
        ];
        let mut http = server.open().await;
        for (coding, bytes) in cases {
            for _ in 0..3 {
                let request = request
                    .clone()
                    .header("Content-Encoding", coding)
                    .body(bytes.clone());
                let response = http.exchange(request.clone()).await;
                let seen = (response.status, response.text());
                let same =
                    plain.status == 201 && seen.0 == 200 || seen == (plain.status, plain.text());
                assert!(same, "{coding}: {seen:?} {plain:?}");
                // What follows is not taken for what it was not.
                let plain = request.header("Content-Encoding", "").body(body.clone());
                assert_eq!(http.exchange(plain).await.status, 200);
            }
        }
    }
    let (request, body) = requests(&client).remove(0);
    let mut stream = Embedded::two_way(server.address).await;
    stream
        .request(&request.header("Content-Encoding", "gzip").body(gzip(body)))
        .await;
    assert_eq!(stream.next().await.messages()[0]["successful"], true);
}

#[tokio::test]
async fn other_codings_and_what_is_none_are_refused() {
    let server = TestServer::start(&[
        RESOURCE,
        "bayeux.max_message_size=2KiB",
        "bayeux.max_interval=10m",
    ]);
    let client = server.client().await;
    for (request, body) in requests(&client) {
        let whole = gzip(&body);
        let bomb = gzip(vec![b' '; 10 << 20]);
        let bomb = gzip(bomb);
        let just_too_large = gzip(vec![b' '; 2049]);
        let cases = [
            ("br", whole.clone(), 415),
            ("deflate", whole.clone(), 415),
            ("gzip, gzip", whole.clone(), 415),
            ("gzip", body.clone().into_bytes(), 400),
            ("gzip", whole[..whole.len() - 1].to_vec(), 400),
            ("gzip", [&*whole, b"x"].concat(), 400),
            ("gzip", just_too_large, 413),
            ("gzip", bomb, 413),
        ];
        for (coding, bytes, status) in cases {
            let before = server.metrics().limit_count(Limit::MaxMessageSize);
            let request = request
                .clone()
                .header("Content-Encoding", coding)
                .body(bytes);
            let response = server.open().await.exchange(request).await;
            assert_eq!(response.status, status, "{coding}: {response:?}");
            assert!(!response.reason().is_empty());
            let accepts = (status == 415).then_some("gzip");
            assert_eq!(response.header("Accept-Encoding"), accepts);
            let counted = server.metrics().limit_count(Limit::MaxMessageSize) - before;
            assert_eq!(counted, u64::from(status == 413));
        }
    }
    let request = two_way()
        .header("Content-Encoding", "gzip")
        .body(gzip("GET / HTTP/1.1\r\n\r\n"));
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 415);
    assert_eq!(response.header("Accept-Encoding"), Some("identity"));
}

/// Sends a request; the response with its body as it was, and whether it was compressed.
async fn plain(http: &mut Http, request: Request) -> (Response, bool) {
    let mut response = http.exchange(request).await;
    let is_small = response.header("Content-Encoding") == Some("gzip");
    if is_small {
        let mut text = Vec::new();
        GzDecoder::new(&*response.body)
            .read_to_end(&mut text)
            .unwrap();
        assert!(text.len() > response.body.len());
        response.body = text;
    }
    (response, is_small)
}

#[tokio::test]
async fn responses_are_compressed_from_a_size_on_for_whoever_reads_that() {
    let set = ["bayeux.max_interval=10m", "bayeux.timeout=20s"];
    for (threshold, is_on) in [("1000", true), ("0", false)] {
        let key = format!("http.gzip_threshold={threshold}");
        let server = TestServer::start(&[&set[..], &[&key]].concat());
        let mut client = server.client().await;
        let mut publisher = server.client().await;
        client.subscribe("/a").await;
        let accepts = [
            ("gzip, deflate, br", true),
            ("*", true),
            ("gzip;q=0", false),
            ("", false),
            ("br", false),
        ];
        for (accept, reads) in accepts {
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                let mut http = server.open().await;
                // The first is a head that is new, the others one that is known; some are held.
                for round in 0..8 {
                    let size = if round % 2 == 0 { 100 } else { 5000 };
                    let connect = client.message(json!({"channel": "/meta/connect", "id": "c",
                        "connectionType": "long-polling"}));
                    let request = client
                        .request(json!([connect]).to_string())
                        .version(version)
                        .header("Connection", "keep-alive")
                        .header("Accept-Encoding", accept);
                    let is_held = round >= 4;
                    let data = "x".repeat(size);
                    if !is_held {
                        publisher.publish("/a", data.clone()).await;
                    }
                    let exchange = plain(&mut http, request);
                    let publish = async {
                        if is_held {
                            server.holds(1).await;
                            publisher.publish("/a", data.clone()).await;
                        }
                    };
                    let ((response, is_small), ()) = tokio::join!(exchange, publish);
                    assert_eq!(response.messages()[0]["data"], data);
                    let may_be = is_on && size == 5000;
                    assert_eq!(is_small, may_be && reads, "{accept} {version} {round}");
                    let varies = response
                        .headers
                        .iter()
                        .any(|(name, value)| name == "Vary" && value == "Accept-Encoding");
                    assert_eq!(varies, may_be);
                }
            }
        }
    }
}

#[tokio::test]
async fn scripts_are_compressed_and_errors_are_not() {
    let server = TestServer::start(&[
        "http.gzip_threshold=1",
        "bayeux.callback_without_origin=true",
    ]);
    let client = server.client().await;
    let message = client.message(json!({"channel": "/a", "id": "1", "data": 1}));
    let messages = vec![message; 20];
    let request = client
        .with_cookie(Request::jsonp("call", &json!(messages).to_string()))
        .header("Accept-Encoding", "gzip");
    let (response, is_small) = plain(&mut server.open().await, request).await;
    assert!(is_small);
    assert_eq!(response.messages_for("call")[0]["successful"], true);
    let plugin = Request::new("GET", "/mirant/eventsource.js").header("Accept-Encoding", "gzip");
    let (plugin, is_small) = plain(&mut server.open().await, plugin).await;
    assert!(is_small);
    assert!(plugin.text().contains("export"));
    let errors = [
        Request::post("x".repeat(5000)),
        Request::new("GET", "/nothing"),
        Request::new("PUT", "/cometd"),
    ];
    for request in errors {
        let request = request.header("Accept-Encoding", "gzip");
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.header("Content-Encoding"), None);
    }
    // Small ones of which nothing would be saved stay as they are.
    let request = Request::post("[{}]").header("Accept-Encoding", "gzip");
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.header("Content-Encoding"), None);
    assert_eq!(response.messages().len(), 1);
}

#[tokio::test]
async fn events_of_a_compressed_response_that_is_not_taken_are_kept() {
    let server = TestServer::start(&[
        "http.write_timeout=150ms",
        "http.gzip_threshold=1",
        "bayeux.max_message_size=2MiB",
        "bayeux.max_queue_bytes=64MiB",
        "bayeux.max_response_size=64MiB",
        "bayeux.max_interval=10m",
    ]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    // What cannot be compressed by more than half.
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'!' + u8::try_from((seed >> 40) % 90).unwrap())
    };
    for _ in 0..6 {
        let data: String = (0..1 << 20).map(|_| noise()).collect();
        publisher.publish("/a", data).await;
    }
    let mut slow = Http::open_narrow(server.address).await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    let request = client
        .request(connect.to_string())
        .header("Accept-Encoding", "gzip");
    slow.send(request.bytes()).await;
    until(|| server.metrics().restored.value() == 6).await;
    drop(slow);
    assert_eq!(client.queued().await.len(), 6);
}
