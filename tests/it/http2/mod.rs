//! HTTP/2: every way in is what it is by HTTP/1.1, by streams of one connection.

mod bounds;
mod ends;
mod ways;

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use h2::ext::Protocol;
use mirant::run::ListenAddress;
use serde_json::{Value, json};

use crate::support::{Client, Exchange, Http2, Request, TestServer, only, tls_settings, until};

const PRIOR: &str = "http.http2_prior_knowledge=true";
const RESOURCES: &str = r#"channel=[{pattern="/r/**", resource=true}]"#;

/// A server without TLS, with which HTTP/2 is spoken.
fn server(set: &[&str]) -> TestServer {
    TestServer::start(&[&[PRIOR], set].concat())
}

/// A server with TLS.
fn secure(set: &[&str]) -> TestServer {
    let address: SocketAddr = (Ipv4Addr::LOCALHOST, 0).into();
    let tls = tls_settings();
    let tls: Vec<&str> = tls.iter().map(String::as_str).collect();
    let listen = ListenAddress::Tls(Box::new(address.into()));
    TestServer::start_at(listen, &[&tls[..], set].concat())
}

/// A client after its handshake and first connect, all of whose requests go by a connection by HTTP/2.
async fn client(server: &TestServer, http: &mut Http2) -> Client {
    begin(Client::new(server.address), http).await
}

/// The same of one that may have the cookie of another.
async fn begin(mut client: Client, http: &mut Http2) -> Client {
    let handshake = r#"[{"channel": "/meta/handshake", "id": "1", "version": "1.0",
        "supportedConnectionTypes": ["long-polling"]}]"#;
    let response = http.exchange(&client.request(handshake)).await;
    if let Some(cookie) = response.cookie() {
        client.cookie = Some(cookie.to_owned());
    }
    let reply = only(response.messages());
    client.id = reply["clientId"].as_str().unwrap().to_owned();
    let response = poll(&client, http, "long-polling").await.response().await;
    assert_eq!(only(response.messages())["successful"], true);
    client
}

async fn poll(client: &Client, http: &mut Http2, transport: &str) -> Exchange {
    let connect = json!({"channel": "/meta/connect", "id": "c", "connectionType": transport});
    let body = json!([client.message(connect)]).to_string();
    let request = client.request(body).header("Origin", "http://localhost");
    http.send(&request).await
}

async fn call(client: &Client, http: &mut Http2, message: Value) -> Vec<Value> {
    let body = json!([client.message(message)]).to_string();
    http.exchange(&client.request(body)).await.messages()
}

async fn subscribe(client: &Client, http: &mut Http2, channel: &str) {
    let message = json!({"channel": "/meta/subscribe", "id": "s", "subscription": channel});
    assert_eq!(only(call(client, http, message).await)["successful"], true);
}

async fn publish(client: &Client, http: &mut Http2, channel: &str, data: impl Into<Value>) {
    let message = json!({"channel": channel, "id": "p", "data": data.into()});
    call(client, http, message).await;
}

/// With TLS and without: a server, and a connection to it.
async fn both(set: &[&str]) -> [(TestServer, Http2); 2] {
    let (server, secure) = (server(set), secure(set));
    let by_prior_knowledge = Http2::open(server.address).await;
    let by_alpn = Http2::secure(secure.address).await;
    [(server, by_prior_knowledge), (secure, by_alpn)]
}

#[tokio::test]
async fn polls_of_many_tabs_share_a_connection() {
    for (server, mut http) in both(&[]).await {
        let mut tabs = Vec::new();
        for _ in 0..20 {
            let client = client(&server, &mut http).await;
            subscribe(&client, &mut http, "/a").await;
            let poll = poll(&client, &mut http, "long-polling").await;
            tabs.push((client, poll));
        }
        server.holds(20).await;
        assert_eq!(server.metrics().connections.value(), 1);
        assert_eq!(server.metrics().http2_streams.value(), 20);
        let publisher = client(&server, &mut http).await;
        publish(&publisher, &mut http, "/a", 1).await;
        for (_, poll) in tabs {
            let messages = poll.response().await.messages();
            assert_eq!(messages[0]["data"], 1);
            assert_eq!(messages[1]["successful"], true);
        }
        until(|| server.metrics().http2_streams.value() == 0).await;
    }
}

#[tokio::test]
async fn the_polls_of_all_tabs_of_a_browser_are_held() {
    let bound = "bayeux.http2_max_sessions_per_browser";
    for (bound, held) in [(-1, 3), (2, 2), (0, 0)].map(|(n, held)| (format!("{bound}={n}"), held)) {
        for (server, mut http) in both(&[&bound]).await {
            let first = client(&server, &mut http).await;
            let mut polls = vec![poll(&first, &mut http, "long-polling").await];
            for _ in 0..2 {
                let tab = begin(first.tab(), &mut http).await;
                polls.push(poll(&tab, &mut http, "long-polling").await);
            }
            server.holds(held).await;
            // The others are told to ask again.
            for poll in polls.split_off(usize::try_from(held).unwrap()) {
                let reply = only(poll.response().await.messages());
                assert_eq!(reply["advice"]["multiple-clients"], true, "{bound}");
            }
        }
    }
}

#[tokio::test]
async fn streamed_connects_bring_events_as_they_come_and_end() {
    for (server, mut http) in both(&["streaming.lifetime=10m"]).await {
        for transport in ["xhr-streaming", "multipart", "iframe", "message-http"] {
            let client = client(&server, &mut http).await;
            subscribe(&client, &mut http, "/a").await;
            let mut stream = poll(&client, &mut http, transport).await;
            let head = stream.head().await;
            assert_eq!((head.status, head.header("Content-Length")), (200, None));
            assert_eq!(head.header("Transfer-Encoding"), None);
            for number in 0..3 {
                let data = format!("{transport} {number}");
                publish(&client, &mut http, "/a", data.clone()).await;
                stream.until(&data).await;
            }
            let disconnect = json!({"channel": "/meta/disconnect", "id": "d"});
            call(&client, &mut http, disconnect).await;
            let rest = String::from_utf8(stream.rest().await).unwrap();
            assert!(rest.contains(r#""channel":"/meta/connect""#), "{rest}");
        }
        until(|| server.metrics().http2_streams.value() == 0).await;
        assert_eq!(server.metrics().lost_connects.value(), 0);
    }
}

#[tokio::test]
async fn scripts_event_streams_and_resources_are_served() {
    for (server, mut http) in both(&[RESOURCES]).await {
        let client = client(&server, &mut http).await;
        let connect = json!([client.message(json!({"channel": "/meta/connect", "id": "c"}))]);
        let jsonp = client.with_cookie(Request::jsonp("cb", &connect.to_string()));
        let held = http.send(&jsonp).await;
        server.holds(1).await;
        let mut events = http
            .send(
                &Request::new("GET", "/events?channel=/r/a").header("Accept", "text/event-stream"),
            )
            .await;
        assert_eq!(events.head().await.status, 200);
        let wait = Request::new("GET", "/resources/r/a")
            .header("When-Modified-After", "Thu, 01 Jan 1970 00:00:00 GMT");
        let wait = http.send(&wait).await;
        until(|| server.metrics().watched_resources.value() == 1).await;
        subscribe(&client, &mut http, "/r/a").await;
        let put = Request::new("PUT", "/resources/r/a")
            .header("Content-Type", "application/json")
            .body("42");
        let put = http.exchange(&put).await;
        assert!(put.status < 300, "{put:?}");
        assert_eq!(wait.response().await.text(), "42");
        events.until("data: ").await;
        let messages = held.response().await.messages_for("cb");
        assert_eq!(messages[0]["data"], 42);
        let head = http.exchange(&Request::new("HEAD", "/resources/r/a")).await;
        assert_eq!(
            (head.header("Content-Length"), head.body.len()),
            (Some("2"), 0)
        );
        events.reset();
        until(|| server.metrics().event_streams.value() == 0).await;
    }
}

#[tokio::test]
async fn requests_in_a_request_are_answered_while_its_body_goes_on() {
    for (server, mut http) in both(&[]).await {
        let client = client(&server, &mut http).await;
        let (head, _) = client
            .request("")
            .header("Content-Type", "message/http")
            .by_http2("http");
        let (mut parts, ()) = head.into_parts();
        parts.headers.remove("content-length");
        let mut stream = http
            .begin(http::Request::from_parts(parts, ()), false)
            .await;
        let embedded = |message: Value| {
            let body = json!([client.message(message)]).to_string();
            let length = body.len();
            format!(
                "POST /cometd HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        };
        let connect =
            json!({"channel": "/meta/connect", "id": "c", "connectionType": "message-http"});
        let connect = embedded(connect);
        // In pieces that end anywhere.
        let (first, second) = connect.split_at(40);
        stream
            .out
            .send_data(first.to_owned().into(), false)
            .unwrap();
        stream
            .out
            .send_data(second.to_owned().into(), false)
            .unwrap();
        server.holds(1).await;
        let subscribe = json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/a"});
        stream
            .out
            .send_data(embedded(subscribe).into(), false)
            .unwrap();
        stream.until("\"/meta/subscribe\"").await;
        publish(&client, &mut http, "/a", "an event").await;
        stream.until("an event").await;
        let disconnect = json!({"channel": "/meta/disconnect", "id": "d"});
        stream
            .out
            .send_data(embedded(disconnect).into(), true)
            .unwrap();
        let rest = String::from_utf8(stream.rest().await).unwrap();
        assert!(rest.contains("\"/meta/disconnect\""), "{rest}");
        until(|| server.metrics().http2_streams.value() == 0).await;
    }
}

/// A text frame as clients send them.
fn frame(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126);
    // With a mask of nothing.
    [&[0x81, 0x80 | length, 0, 0, 0, 0], text.as_bytes()]
        .concat()
        .into()
}

#[tokio::test]
async fn a_websocket_is_a_stream() {
    for (server, mut http) in both(&[]).await {
        let publisher = client(&server, &mut http).await;
        assert!(http.may_connect());
        let head = |protocol: &'static str| {
            http::Request::builder()
                .method("CONNECT")
                .uri("http://localhost/cometd")
                .header("Sec-WebSocket-Version", "13")
                .extension(Protocol::from_static(protocol))
                .body(())
                .unwrap()
        };
        let mut other = http.begin(head("connect-udp"), false).await;
        assert_eq!(other.head().await.status, 400);
        let mut socket = http.begin(head("websocket"), false).await;
        let response = socket.head().await;
        assert_eq!(response.status, 200);
        for name in [
            "Connection",
            "Upgrade",
            "Sec-WebSocket-Accept",
            "Content-Length",
        ] {
            assert_eq!(response.header(name), None);
        }
        let handshake = r#"[{"channel":"/meta/handshake","version":"1.0"}]"#;
        socket.out.send_data(frame(handshake), false).unwrap();
        let text = socket.until("clientId").await;
        let (_, id) = text.split_once(r#""clientId":""#).unwrap();
        let id = &id[..id.find('"').unwrap()];
        let connect = format!(r#"[{{"channel":"/meta/connect","clientId":"{id}","id":"c"}}]"#);
        let subscribe =
            format!(r#"[{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"/a"}}]"#);
        socket.out.send_data(frame(&connect), false).unwrap();
        socket.until("/meta/connect").await;
        socket.out.send_data(frame(&subscribe), false).unwrap();
        socket.until("/meta/subscribe").await;
        publish(&publisher, &mut http, "/a", "an event").await;
        socket.until("an event").await;
        assert_eq!(server.metrics().websockets.value(), 1);
        // A close is answered, and the stream ends.
        socket
            .out
            .send_data(Bytes::from_static(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]), true)
            .unwrap();
        assert!(socket.rest().await.starts_with(&[0x88]));
        until(|| server.metrics().websockets.value() == 0).await;
    }
}

#[tokio::test]
async fn http_1_1_is_spoken_where_http_2_may_be() {
    let server = server(&[]);
    let mut http = server.open().await;
    // It begins as HTTP/2 does.
    http.send("P").await;
    http.apart().await;
    let request = Request::post("[]").bytes();
    http.send(&request[1..]).await;
    let response = http.response().await;
    assert_eq!(
        (response.version.as_str(), response.status),
        ("HTTP/1.1", 400)
    );
    let mut odd = server.open().await;
    odd.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    assert_eq!(odd.response().await.status, 400);
    // Behind a request it is none.
    let mut late = server.open().await;
    late.exchange(Request::post("{}")).await;
    late.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(late.response().await.status, 400);
}

#[tokio::test]
async fn where_it_is_off_http_2_is_not_spoken() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    http.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    assert_eq!(http.response().await.status, 400);
    http.ended().await;
}

#[tokio::test]
async fn the_authority_is_the_host_that_is_served() {
    let server = server(&["http.hosts=[\"good\"]"]);
    let mut http = Http2::open(server.address).await;
    let request = |host: &str| Request::post("{}").header("Host", host);
    for (host, status) in [("good", 200), ("good:80", 200), ("evil", 421)] {
        assert_eq!(http.exchange(&request(host)).await.status, status, "{host}");
    }
    let other = Request::new("GET", "/cometd").header("Host", "good");
    let (head, _) = other.header("host", "evil").by_http2("http");
    let mut other = http.begin(head, true).await;
    let response = other.head().await;
    assert_eq!(response.status, 400);
    assert_eq!(server.metrics().refused_hosts.value(), 1);
}

#[tokio::test]
async fn a_proxy_names_its_client_for_each_stream() {
    let server = server(&[
        "http.trusted_proxies=[\"127.0.0.1\"]",
        "bayeux.max_sessions_per_address=1",
    ]);
    let mut http = Http2::open(server.address).await;
    let mut handshake = async |client: &str| {
        let body = r#"[{"channel": "/meta/handshake", "version": "1.0"}]"#;
        let request = Request::post(body).header("X-Forwarded-For", client);
        only(http.exchange(&request).await.messages())["successful"] == true
    };
    assert!(handshake("192.0.2.1").await);
    assert!(handshake("192.0.2.2").await);
    assert!(!handshake("192.0.2.1").await);
}
