//! Requests on one connection whose heads are the same: each is answered as if it were the first.

use std::io;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::support::{Client, Embedded, Http, Request, Response, TestServer};

const ALLOWED: &str = "http://a.example";
/// As long as the allowed one.
const REFUSED: &str = "http://b.example";
const JSON: &str = "application/json";

/// What a client sees of a response that is not of the moment.
fn seen(mut response: Response) -> (u16, Vec<(String, String)>, String) {
    let is_compressed = response.header("Content-Encoding").is_some();
    let text = if is_compressed {
        io::read_to_string(GzDecoder::new(&*response.body)).expect("gzip of UTF-8")
    } else {
        response.text().to_owned()
    };
    response
        .headers
        .retain(|(name, _)| name != "Date" && !(is_compressed && name == "Content-Length"));
    // Those of an embedded response are there.
    let lines = text.lines();
    let body: Vec<_> = lines
        .filter(|line| !line.starts_with("Last-Modified: "))
        .collect();
    (response.status, response.headers, body.join("\n"))
}

/// Requests of many kinds that are answered at once, and have the same answer each time; several differ
/// in one value of the same length.
fn requests(client: &Client) -> Vec<Request> {
    let publish = |id: &str| {
        let message = client.message(json!({"channel": "/a", "id": id, "data": "é"}));
        json!([message]).to_string()
    };
    let usual = client.request(publish("1"));
    let other_cookie = usual
        .clone()
        .header("Cookie", "BAYEUX_BROWSER=0123456789abcdefghijkl");
    let utf_16: Vec<u8> = publish("4")
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let form = format!("message={}", crate::support::percent(&publish("5")));
    let typed = |content_type: &str, body: Vec<u8>| {
        let request = usual.clone().header("Content-Type", content_type);
        request.body(body)
    };
    let unknown = client.request(r#"[{"channel":"/meta/connect","clientId":"x"}]"#);
    let named = r#"[{"channel":"/meta/connect","connectionType":"message-http"}]"#;
    let named = client.request(named);
    vec![
        client.request(publish("2")),
        client.request("[{]".repeat(publish("1").len() / 3)),
        other_cookie,
        usual.clone().header("Cookie", ""),
        usual.clone().header("Origin", ALLOWED),
        usual.clone().header("Origin", REFUSED),
        unknown.clone().header("Accept", "message/http"),
        unknown.clone(),
        named.clone(),
        named.clone().header("Accept-Encoding", "gzip"),
        named.header("Connection", "keep-alive").version("HTTP/1.0"),
        unknown.clone().body("[{]"),
        unknown
            .header("Accept", "multipart/x-mixed-replace")
            .body("[{]"),
        usual.clone().header("Accept", "multipart/x-mixed-replace"),
        usual.clone().header("Accept-Encoding", "gzip"),
        usual.clone().to("/cometd/publish?x=y"),
        usual.clone().to("/cometx"),
        usual.clone().to("/mirant/eventsource.js"),
        usual
            .clone()
            .header("Connection", "keep-alive")
            .version("HTTP/1.0"),
        typed("application/json;charset=UTF-8", publish("3").into()),
        typed("application/json; charset=x-none", publish("3").into()),
        typed("application/json; charset=utf-16be", utf_16.clone()),
        typed(JSON, utf_16),
        typed("application/x-www-form-urlencoded", form.clone().into()),
        typed(JSON, form.into()),
        Request::jsonp("call", &publish("6")),
        Request::new("OPTIONS", "/cometd").header("Origin", ALLOWED),
        usual,
    ]
}

#[tokio::test]
async fn what_came_before_on_the_connection_changes_nothing() {
    let allowed = format!("http.allowed_origins=[\"{ALLOWED}\"]");
    // Of a session that is not there they repeat the id more often than a client may.
    let undelayed = "bayeux.max_unknown_delay=0s";
    let server = TestServer::start(&[&allowed, "bayeux.max_interval=10m", undelayed]);
    let mut client = server.client().await;
    // From now on the session is bound to its cookie.
    client.publish("/a", 1).await;
    let requests = requests(&client);
    let mut expected = Vec::new();
    for request in &requests {
        let response = server.open().await.exchange(request.clone()).await;
        expected.push(seen(response));
    }
    assert!(expected.iter().any(|(status, ..)| *status == 403));
    for (first, _) in requests.iter().enumerate() {
        for (second, _) in requests.iter().enumerate() {
            let mut http = server.open().await;
            for at in [first, first, first, second, first, second, second, second] {
                let response = http.exchange(requests[at].clone()).await;
                assert_eq!(seen(response), expected[at], "{first}, {second}: {at}");
            }
        }
    }
}

/// A poll of a page of an allowed origin, always of the same length.
fn poll(client: &Client, number: usize, connection_type: &str) -> Request {
    let connect =
        json!({"channel": "/meta/connect", "id": number, "connectionType": connection_type});
    let request = client.request(client.message(connect).to_string());
    request.header("Origin", ALLOWED)
}

async fn polling(set: &[&str]) -> (TestServer, Client, Http) {
    let allowed = format!("http.allowed_origins=[\"{ALLOWED}\"]");
    let server = TestServer::start(&[&[&*allowed], set].concat());
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let http = server.open().await;
    (server, client, http)
}

#[tokio::test]
async fn polls_are_held_and_answered_as_the_first() {
    let (server, client, mut http) = polling(&[]).await;
    let mut publisher = server.client().await;
    for number in 1..=6 {
        http.send(poll(&client, number, "long-polling").bytes())
            .await;
        server.holds(1).await;
        publisher.publish("/a", number).await;
        let response = http.response().await;
        assert_eq!(
            response.header("Access-Control-Allow-Origin"),
            Some(ALLOWED)
        );
        let messages = response.messages();
        assert_eq!(messages[0], json!({"channel": "/a", "data": number}));
        assert_eq!(messages[1]["id"], number);
    }
}

#[tokio::test]
async fn they_may_come_in_pieces_and_several_at_once() {
    let (_server, client, mut http) = polling(&["bayeux.polling=true"]).await;
    let polls: Vec<Vec<u8>> = (1..=9)
        .map(|number| poll(&client, number, "long-polling").bytes())
        .collect();
    for bytes in &polls[..3] {
        http.send(bytes).await;
        assert_eq!(http.response().await.status, 200);
    }
    http.send(polls[3..6].concat()).await;
    for number in 4..=6 {
        assert_eq!(http.response().await.messages()[0]["id"], number);
    }
    let head = polls[6].windows(4).position(|four| four == b"\r\n\r\n");
    let head = head.expect("a head") + 4;
    for (number, cut) in [(7, 10), (8, head), (9, head + 20)] {
        let (first, rest) = polls[number - 1].split_at(cut);
        http.send(first).await;
        assert!(http.is_silent().await, "half a request has no response");
        http.send(rest).await;
        assert_eq!(http.response().await.messages()[0]["id"], number);
    }
}

#[tokio::test]
async fn the_last_may_ask_for_another_transport() {
    let (server, client, _) = polling(&["bayeux.timeout=50ms"]).await;
    for is_read_whole in [true, false] {
        let mut http = server.open().await;
        for number in 1..=4 {
            let response = http.exchange(poll(&client, number, "long-polling")).await;
            assert_eq!(response.messages()[0]["id"], number);
        }
        // A name of the same length, so that the head is the same.
        let request = poll(&client, 5, "message-http");
        if is_read_whole {
            let response = Embedded::over(http, request).await.next().await;
            assert_eq!(response.header("Content-Location"), Some("/cometd"));
        } else {
            let head = http.exchange(request).await;
            assert_eq!(head.header("Transfer-Encoding"), Some("chunked"));
        }
    }
}

#[tokio::test]
async fn a_plug_in_is_none_of_the_endpoint_around_it() {
    let server = TestServer::start(&["bayeux.path=/mirant"]);
    let mut http = server.open().await;
    for _ in 0..4 {
        let request = Request::post("[{}]").to("/mirant/eventsource.js");
        assert_eq!(http.exchange(request).await.status, 405);
    }
}
