//! Requests in a request, answered as they come.

use serde_json::{Value, json};

use super::resources::{AT, EPOCH, ON, watch};
use crate::support::{Client, Embedded, Http, Request, Streamed, TestServer, two_way, until};

/// A POST of one message to a target of its own.
fn message(target: &str, message: &Value) -> Request {
    Request::new("POST", target)
        .header("Host", "")
        .header("Content-Type", "application/json")
        .body(json!([message]).to_string())
}

fn connect(client: &Client, target: &str, transport: &str) -> Request {
    let fields = json!({
        "channel": "/meta/connect", "id": "c", "connectionType": transport,
    });
    message(target, &client.message(fields))
}

fn location(response: &crate::support::Response) -> &str {
    response.header("Content-Location").unwrap()
}

/// A client that does everything by one connection.
async fn client(server: &TestServer, stream: &mut Embedded) -> Client {
    let mut client = Client::new(server.address);
    let handshake = json!({
        "channel": "/meta/handshake", "id": "h", "version": "1.0",
        "supportedConnectionTypes": ["message-http"],
    });
    let response = stream.exchange(message("/cometd/h", &handshake)).await;
    assert_eq!(location(&response), "/cometd/h");
    client.cookie = response.cookie().map(str::to_owned);
    client.id = response.messages()[0]["clientId"]
        .as_str()
        .unwrap()
        .to_owned();
    let response = stream
        .exchange(connect(&client, "/cometd/c", "long-polling"))
        .await;
    assert_eq!(
        response.messages()[0]["successful"],
        true,
        "{}",
        response.text()
    );
    client
}

#[tokio::test]
async fn requests_are_answered_out_of_order_while_the_body_goes_on() {
    let server = TestServer::start(&[ON]);
    let mut stream = Embedded::two_way(server.address).await;
    let client = client(&server, &mut stream).await;
    stream
        .request(&connect(&client, "/cometd/1", "long-polling"))
        .await;
    stream
        .request(&Request::new("GET", AT).header("When-Modified-After", EPOCH))
        .await;
    server.holds(1).await;
    until(|| server.metrics().watched_resources.value() == 1).await;
    let subscribe = json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/r/a"});
    let response = stream
        .exchange(message("/cometd/2", &client.message(subscribe)))
        .await;
    assert_eq!(location(&response), "/cometd/2");
    let publish = json!({"channel": "/r/a", "id": "p", "data": "x"});
    let request = message("/cometd/3?x", &client.message(publish));
    stream.request(&request).await;
    let mut locations = Vec::new();
    for _ in 0..2 {
        let response = stream.next().await;
        locations.push(location(&response).to_owned());
        // The event comes with the reply to the publish, as by any request.
        let is_resource = location(&response) == AT;
        let messages = response.text().matches("\"channel\"").count();
        assert_eq!(messages, if is_resource { 0 } else { 2 }, "{response:?}");
    }
    locations.sort();
    assert_eq!(locations, ["/cometd/3?x", AT]);
    stream.send("").await;
    server.client().await.publish("/r/a", "y").await;
    let last = stream.next().await;
    assert_eq!(location(&last), "/cometd/1");
    assert_eq!(last.messages()[0]["data"], "y");
    stream.ended().await;
    until(|| server.metrics().message_streams.value() == 0).await;
}

#[tokio::test]
async fn events_of_a_connect_come_as_responses_beside_others() {
    let server = TestServer::start(&[ON, "streaming.lifetime=1500ms"]);
    let mut stream = Embedded::two_way(server.address).await;
    let client = client(&server, &mut stream).await;
    let subscribe = json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/a"});
    stream
        .exchange(message("/cometd/s", &client.message(subscribe)))
        .await;
    stream
        .request(&connect(&client, "/cometd/1", "message-http"))
        .await;
    server.holds(1).await;
    stream.request(&watch()).await;
    let mut publisher = server.client().await;
    for number in 0..3 {
        publisher.publish("/a", number).await;
        let response = stream.next().await;
        assert_eq!(location(&response), "/cometd/1");
        assert_eq!(response.messages()[0]["data"], number);
        publisher.publish("/r/a", number).await;
        let response = stream.next().await;
        assert_eq!(
            (location(&response), response.text()),
            (AT, &*number.to_string())
        );
    }
    stream.send("").await;
    let last = stream.next().await;
    assert_eq!(location(&last), "/cometd/1");
    assert_eq!(last.messages()[0]["successful"], true);
    // The resource is watched on.
    publisher.publish("/r/a", "y").await;
    assert_eq!(stream.next().await.text(), "\"y\"");
}

/// Bytes of a body with two requests, and the statuses and targets of what answers them.
fn some_requests() -> (Vec<u8>, Vec<(u16, String)>) {
    let put = Request::new("PUT", AT).body("{\"a\": 1}");
    let get = Request::new("GET", AT);
    let body = [
        &put.bytes()[..],
        b"\r\n",
        &get.bytes(),
        b"\n",
        &get.to("/nowhere").bytes(),
    ]
    .concat();
    let expected = [(201, AT), (200, AT), (404, "/nowhere")];
    let expected = expected.map(|(status, target)| (status, target.to_owned()));
    (body, expected.to_vec())
}

async fn answers(stream: &mut Embedded, expected: &[(u16, String)]) {
    for (status, target) in expected {
        let response = stream.next().await;
        assert_eq!((response.status, location(&response)), (*status, &**target));
    }
    stream.ended().await;
}

#[tokio::test]
async fn a_body_may_be_cut_anywhere() {
    let server = TestServer::start(&[ON]);
    let (body, expected) = some_requests();
    for size in [1, 2, 3, 7, 50, 1000] {
        let _ = server
            .open()
            .await
            .exchange(Request::new("DELETE", AT))
            .await;
        let mut expected = expected.clone();
        let mut stream = Embedded::two_way(server.address).await;
        for chunk in body.chunks(size) {
            stream.send(chunk).await;
        }
        stream.send("").await;
        if size > 1 {
            // It is not new, but was deleted.
            expected[0].0 = stream.next().await.status;
            assert!(matches!(expected.remove(0).0, 200 | 201));
        }
        answers(&mut stream, &expected).await;
    }
}

#[tokio::test]
async fn a_body_may_have_a_length_and_come_with_its_head_or_byte_by_byte() {
    let (body, expected) = some_requests();
    let whole = two_way().body(body).bytes();
    for size in [1, whole.len()] {
        let server = TestServer::start(&[ON]);
        let mut http = server.open().await;
        for piece in whole.chunks(size) {
            http.send(piece).await;
        }
        let mut stream = Embedded {
            outer: Streamed::begun(http).await,
        };
        answers(&mut stream, &expected).await;
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_is_told_to_go_on() {
    let server = TestServer::start(&[ON]);
    let mut http = server.open().await;
    let request = two_way()
        .header("Transfer-Encoding", "chunked")
        .header("Expect", "100-continue");
    http.send(request.bytes()).await;
    let interim = http.response().await;
    assert_eq!((interim.status, interim.headers.len()), (100, 0));
    let mut stream = Embedded {
        outer: Streamed::begun(http).await,
    };
    assert_eq!(stream.exchange(Request::new("GET", AT)).await.status, 404);
}

#[tokio::test]
async fn only_the_endpoint_and_resources_take_requests_in_requests() {
    let on = TestServer::start(&[]);
    let off = TestServer::start(&[r#"bayeux.transports=["long-polling"]"#]);
    let cases = [
        (&on, "/nowhere", 404),
        (&on, "/cometd", 400),
        (&off, "/cometd", 415),
    ];
    for (server, path, status) in cases {
        let mut request = two_way().to(path).header("Transfer-Encoding", "chunked");
        if status == 400 {
            request = request.header("Content-Length", "5");
        }
        let mut http: Http = server.open().await;
        let response = http.exchange(request).await;
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(response.header("Connection"), Some("close"));
        http.ended().await;
    }
    let foreign = two_way()
        .header("Origin", "https://elsewhere.example")
        .body("");
    assert_eq!(on.open().await.exchange(foreign).await.status, 403);
}

#[tokio::test]
async fn what_does_not_belong_inside_is_refused_and_the_rest_goes_on() {
    let server = TestServer::start(&[ON]);
    let mut stream = Embedded::two_way(server.address).await;
    let upgrade = Request::new("GET", "/cometd")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket");
    let cases = [
        (upgrade, 400),
        (two_way().body("GET / HTTP/1.1\r\n\r\n"), 400),
        (Request::new("GET", "/events?channel=/a"), 404),
        (Request::new("GET", "/cometd?message=[]&jsonp=a"), 405),
        (Request::new("GET", "http://else.where/nothing"), 404),
        (Request::new("POST", "/cometd").body("{"), 400),
        (Request::new("OPTIONS", AT), 405),
    ];
    for (request, status) in cases {
        let response = stream.exchange(request).await;
        assert_eq!(response.status, status, "{response:?}");
        assert!(!response.reason().is_empty());
    }
    // Another stream's type is served like long-polling.
    let client = client(&server, &mut stream).await;
    stream
        .request(&connect(&client, "/cometd/x", "multipart"))
        .await;
    server.holds(1).await;
    let disconnect = json!({"channel": "/meta/disconnect", "id": "d"});
    stream
        .request(&message("/cometd/d", &client.message(disconnect)))
        .await;
    let mut channels: Vec<Value> = Vec::new();
    for _ in 0..2 {
        channels.push(stream.next().await.messages()[0]["channel"].clone());
    }
    channels.sort_by_key(ToString::to_string);
    assert_eq!(channels, ["/meta/connect", "/meta/disconnect"]);
}

#[tokio::test]
async fn a_head_has_no_body() {
    let server = TestServer::start(&[ON]);
    server.client().await.publish("/r/a", "four").await;
    let mut stream = Embedded::two_way(server.address).await;
    stream.request(&Request::new("HEAD", AT)).await;
    let head = stream.outer.until("\r\n\r\n").await;
    assert!(head.contains("Content-Length: 6\r\n"), "{head}");
    assert_eq!(
        stream.exchange(Request::new("GET", AT)).await.text(),
        "\"four\""
    );
}

#[tokio::test]
pub(crate) async fn a_client_that_leaves_gets_its_events_later() {
    for closes_one_side in [false, true] {
        let server = TestServer::start(&[]);
        let mut client = server.client().await;
        client.subscribe("/a").await;
        let mut stream = Embedded::two_way(server.address).await;
        for (target, transport) in [("/cometd/1", "message-http"), ("/cometd/2", "long-polling")] {
            let request = connect(&client, target, transport).header(
                "Cookie",
                &format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap()),
            );
            stream.request(&request).await;
            server.holds(1).await;
        }
        if closes_one_side {
            stream.outer.http.half_close().await;
        } else {
            drop(stream);
        }
        until(|| server.metrics().message_streams.value() == 0).await;
        assert_eq!(server.metrics().held_connects.value(), 0);
        server.client().await.publish("/a", 1).await;
        assert_eq!(client.queued().await.len(), 1);
        assert!(client.queued().await.is_empty());
    }
}

#[tokio::test]
async fn a_stopping_server_answers_what_is_pending() {
    let mut server = TestServer::start(&[ON]);
    let mut stream = Embedded::two_way(server.address).await;
    let client = client(&server, &mut stream).await;
    stream
        .request(&connect(&client, "/cometd/1", "message-http"))
        .await;
    stream.request(&watch()).await;
    let wait = Request::new("GET", "/resources/r/b").header("When-Modified-After", EPOCH);
    stream.request(&wait).await;
    server.holds(1).await;
    until(|| server.metrics().watched_resources.value() == 2).await;
    server.stop();
    let mut answered = Vec::new();
    for _ in 0..2 {
        let response = stream.next().await;
        answered.push((location(&response).to_owned(), response.status));
    }
    answered.sort();
    let expected = [("/cometd/1", 200), ("/resources/r/b", 204)];
    assert_eq!(
        answered,
        expected.map(|(target, status)| (target.to_owned(), status))
    );
    stream.ended().await;
    server.stopped().await;
}

#[tokio::test]
async fn a_newer_connect_takes_over_from_an_older_one_beside_it() {
    let server = TestServer::start(&["streaming.lifetime=1500ms"]);
    let mut stream = Embedded::two_way(server.address).await;
    let client = client(&server, &mut stream).await;
    let subscribe = json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/a"});
    let subscribed = message("/cometd/s", &client.message(subscribe));
    stream.exchange(subscribed).await;
    stream
        .request(&connect(&client, "/cometd/1", "message-http"))
        .await;
    server.holds(1).await;
    stream
        .request(&connect(&client, "/cometd/2", "message-http"))
        .await;
    let displaced = stream.next().await;
    assert_eq!(location(&displaced), "/cometd/1");
    assert_eq!(displaced.messages()[0]["successful"], false);
    server.client().await.publish("/a", 1).await;
    for successful in [Value::Null, json!(true)] {
        let response = stream.next().await;
        assert_eq!(location(&response), "/cometd/2");
        assert_eq!(response.messages()[0]["successful"], successful);
    }
}

#[tokio::test]
async fn forms_are_read_inside_too() {
    let server = TestServer::start(&[]);
    let mut stream = Embedded::two_way(server.address).await;
    let handshake = r#"[{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["message-http"]}]"#;
    let form = format!("message={}", crate::support::percent(handshake));
    let parts = format!(
        "--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n{handshake}\r\n--b--\r\n"
    );
    let forms = [
        ("application/x-www-form-urlencoded", form),
        ("multipart/form-data; boundary=b", parts),
    ];
    for (content_type, body) in forms {
        let request = Request::post(body).header("Content-Type", content_type);
        let response = stream.exchange(request).await;
        assert_eq!(response.messages()[0]["successful"], true);
    }
}

#[tokio::test]
async fn the_outer_request_s_cookies_hold_inside() {
    let server = TestServer::start(&[]);
    // A session that was used with its cookie needs it from then on.
    let client = server.client().await;
    let cookie = format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap());
    let subscribe = json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/a"});
    let subscribe = message("/cometd/s", &client.message(subscribe));
    for (outer, inner, expected) in [("", "", false), (&*cookie, "", true), ("", &*cookie, true)] {
        let head = two_way()
            .header("Transfer-Encoding", "chunked")
            .header("Cookie", outer);
        let mut stream = Embedded::open(server.address, head).await;
        let response = stream
            .exchange(subscribe.clone().header("Cookie", inner))
            .await;
        assert_eq!(response.messages()[0]["successful"], expected);
    }
}

#[tokio::test]
async fn connects_of_one_browser_that_share_a_connection_are_not_too_many() {
    let server = TestServer::start(&["bayeux.max_sessions_per_browser=1"]);
    let first = server.client().await;
    let mut second = first.tab();
    second.handshake().await;
    second.connect().await;
    let cookie = format!("BAYEUX_BROWSER={}", first.cookie.as_ref().unwrap());
    let head = two_way()
        .header("Transfer-Encoding", "chunked")
        .header("Cookie", &cookie);
    let mut stream = Embedded::open(server.address, head).await;
    for (client, held) in [(&first, 1), (&second, 2)] {
        stream
            .request(&connect(client, "/cometd/c", "message-http"))
            .await;
        server.holds(held).await;
    }
}

#[tokio::test]
pub(crate) async fn a_client_that_has_sent_all_and_closes_its_side_is_answered() {
    let server = TestServer::start(&[ON]);
    let (body, expected) = some_requests();
    let mut http = server.open().await;
    http.send(two_way().body(body).bytes()).await;
    http.half_close().await;
    let mut stream = Embedded {
        outer: Streamed::begun(http).await,
    };
    answers(&mut stream, &expected).await;
}
