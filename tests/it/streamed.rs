//! Connects whose responses are streams: xhr-streaming, multipart and the forever frame.

use serde_json::{Value, json};

use crate::support::{Client, Http, Request, Streamed, TestServer, percent, until};

/// The connect of a client by a transport.
fn connect(client: &Client, transport: &str) -> Value {
    json!([client.message(json!({
        "channel": "/meta/connect", "id": "c", "connectionType": transport,
    }))])
}

fn post(client: &Client, transport: &str) -> Request {
    let request = client.request(connect(client, transport).to_string());
    // As the page does that has a frame.
    request.header("Origin", "http://localhost")
}

fn array(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn events_come_as_they_are_published_and_the_reply_ends_the_stream() {
    let server = TestServer::start(&["streaming.lifetime=500ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut stream = Streamed::open(server.address, post(&client, "xhr-streaming")).await;
    let headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Accel-Buffering", "no"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ];
    for (name, value) in headers {
        assert_eq!(stream.response.header(name), Some(value));
    }
    let mut publisher = server.client().await;
    for number in 0..3 {
        publisher.publish("/a", number).await;
        let expected = json!([{"channel": "/a", "data": number}]);
        assert_eq!(array(&stream.until("\n").await), expected);
    }
    // Its own publish is answered alone: events leave by the stream.
    assert_eq!(client.publish("/a", "own").await.len(), 1);
    assert_eq!(array(&stream.until("\n").await)[0]["data"], "own");
    assert_eq!(server.metrics().streamed_connects.value(), 1);
    let last = array(&stream.rest().await);
    assert_eq!(
        last,
        json!([{"channel": "/meta/connect", "id": "c", "successful": true}])
    );
    until(|| server.metrics().streamed_connects.value() == 0).await;
    assert_eq!(server.metrics().lost_connects.value(), 0);
}

#[tokio::test]
async fn the_first_connect_is_answered_at_once_in_the_same_form() {
    let server = TestServer::start(&[]);
    let client = server.handshaken().await;
    let mut stream = Streamed::open(server.address, post(&client, "multipart")).await;
    assert!(stream.has_ended);
    let text = stream.rest().await;
    assert!(
        text.starts_with("--mirant-part\r\nContent-Type: application/json"),
        "{text}"
    );
    assert!(
        text.ends_with("\r\n--mirant-part\r\n--mirant-part--\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn nothing_is_lost_or_repeated_from_one_stream_to_the_next() {
    let server = TestServer::start(&["streaming.lifetime=20ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut publisher = server.client().await;
    let publishing = tokio::spawn(async move {
        for number in 0..1000 {
            publisher.publish("/a", number).await;
            tokio::task::yield_now().await;
        }
    });
    let mut received = Vec::new();
    let mut streams = 0;
    while received.len() < 1000 {
        let mut stream = Streamed::open(server.address, post(&client, "xhr-streaming")).await;
        let text = stream.rest().await;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let messages = array(line);
            let events = messages.as_array().unwrap().iter();
            received.extend(events.filter_map(|message| message["data"].as_u64()));
        }
        streams += 1;
    }
    publishing.await.unwrap();
    assert!(received.into_iter().eq(0..1000));
    assert!(streams > 1);
}

#[tokio::test]
pub(crate) async fn an_http_1_0_client_gets_the_bytes_and_the_end() {
    let server = TestServer::start(&["streaming.lifetime=300ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let request = post(&client, "xhr-streaming").version("HTTP/1.0");
    let mut stream = Streamed::open(server.address, request).await;
    assert_eq!(stream.response.header("Transfer-Encoding"), None);
    server.client().await.publish("/a", 1).await;
    let text = stream.rest().await;
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[tokio::test]
async fn a_part_is_there_as_soon_as_its_event() {
    let server = TestServer::start(&["streaming.heartbeat_interval=100ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut stream = Streamed::open(server.address, post(&client, "multipart")).await;
    let content_type = stream.response.header("Content-Type").unwrap();
    assert_eq!(
        content_type,
        "multipart/x-mixed-replace; boundary=\"mirant-part\""
    );
    assert_eq!(stream.until("--mirant-part\r\n").await, "--mirant-part\r\n");
    server.client().await.publish("/a", "x").await;
    loop {
        // Heartbeats are empty arrays; the part ends at once, with the next boundary.
        let part = stream.until("\r\n--mirant-part\r\n").await;
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        assert_eq!(head, "Content-Type: application/json; charset=utf-8");
        let (body, _) = body.split_once("\r\n").unwrap();
        if body != "[]" {
            assert_eq!(array(body), json!([{"channel": "/a", "data": "x"}]));
            break;
        }
    }
}

#[tokio::test]
async fn a_frame_calls_its_parent_and_embeds_anything_safely() {
    let server = TestServer::start(&["streaming.lifetime=400ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let message = connect(&client, "iframe").to_string();
    let form = format!("message={}&jsonp=cb1", percent(&message));
    let request = client
        .request(form)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Origin", "http://localhost");
    let mut stream = Streamed::open(server.address, request).await;
    let policy = stream.response.header("Content-Security-Policy");
    assert_eq!(policy, Some("frame-ancestors 'self'"));
    let content_type = stream.response.header("Content-Type");
    assert_eq!(content_type, Some("text/html; charset=utf-8"));
    let beginning = stream.until("<body>\n").await;
    assert!(beginning.starts_with("<!doctype html>"));
    assert!(stream.until(" \n").await.len() > 2000, "padding");
    let data = "</script><!-- \u{2028}";
    server.client().await.publish("/a", data).await;
    let block = stream.until("</script>").await;
    let json = block
        .trim()
        .strip_prefix("<script type=\"text/javascript\">parent.cb1(")
        .and_then(|text| text.strip_suffix(");</script>"))
        .unwrap();
    assert!(
        !json.contains("<!--") && !json.contains('\u{2028}'),
        "{json}"
    );
    assert_eq!(array(json)[0]["data"], data);
    server
        .client()
        .await
        .publish("/a", json!({"__proto__": [data]}))
        .await;
    let block = stream.until("</script>").await;
    let literal = block
        .trim()
        .strip_prefix("<script type=\"text/javascript\">parent.cb1(JSON.parse(")
        .and_then(|text| text.strip_suffix("));</script>"))
        .unwrap();
    assert!(!literal.contains("<!--"), "{literal}");
    let json: String = serde_json::from_str(literal).unwrap();
    assert_eq!(array(&json)[0]["data"]["__proto__"][0], data);
    let rest = stream.rest().await;
    assert!(
        rest.contains("\"/meta/connect\"") && rest.ends_with("</body></html>\n"),
        "{rest}"
    );
}

#[tokio::test]
async fn a_frame_is_opened_by_get_too_and_its_callback_is_checked() {
    let server = TestServer::start(&["streaming.lifetime=200ms"]);
    let client = server.client().await;
    let message = percent(&connect(&client, "iframe").to_string());
    let cookie = format!("BAYEUX_BROWSER={}", client.cookie.as_ref().unwrap());
    let request = |callback: &str| {
        let target = format!("/cometd?message={message}&jsonp={callback}");
        Request::new("GET", &target)
            .header("Cookie", &cookie)
            .header("Referer", "http://localhost/page")
    };
    let mut stream = Streamed::open(server.address, request("cb")).await;
    assert!(stream.rest().await.contains("parent.cb(["));
    // With dots it could be any function of any page of this origin.
    for callback in ["alert(1)", "document.body.remove", "a-b", "1a"] {
        let refused = server.open().await.exchange(request(callback)).await;
        assert_eq!(refused.status, 400, "{callback}");
        assert!(refused.reason().contains("callback"), "{callback}");
        let form = client
            .request(format!("message={message}&jsonp={callback}"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Origin", "http://localhost");
        let refused = server.open().await.exchange(form).await;
        assert_eq!(refused.status, 400, "{callback}");
    }
}

/// A client of Dojo 0.4 in its own words; the handshake's version is a number.
async fn dojo(server: &TestServer, types: &Value) -> Client {
    let mut client = Client::new(server.address);
    client
        .handshake_with(json!({"version": 0.1, "supportedConnectionTypes": types}))
        .await;
    client
}

#[tokio::test]
async fn dojo_s_frame_gets_what_it_expects() {
    let server = TestServer::start(&["streaming.lifetime=300ms"]);
    let tunnel = Request::new("GET", "/cometd/?tunnelInit=iframe");
    let page = server.open().await.exchange(tunnel).await;
    assert_eq!(page.status, 200);
    let call = "window.parent.cometd.tunnelInit(window.location, document.domain)";
    assert!(page.text().contains(call));

    let mut client = dojo(&server, &json!(["iframe"])).await;
    let mut first = dojo_s_frame(&server, &client, "/meta/connect", Some("iframe")).await;
    assert!(first.rest().await.contains("\"connectionId\":\"1\""));
    client.subscribe("/a").await;
    let mut stream = dojo_s_frame(&server, &client, "/meta/reconnect", None).await;
    let beginning = stream.until("\n").await + &stream.until("\n").await;
    assert!(beginning.contains("<body onload=\"window.parent.cometd.tunnelCollapse();\">"));
    // Until it has the reply, the client keeps back what it is to send.
    let block = stream.until("</script><br />").await;
    let reply = block
        .split_once("window.parent.cometd.deliver(")
        .and_then(|(_, rest)| rest.split_once(");"))
        .unwrap();
    assert_eq!(
        array(reply.0),
        json!([{"channel": "/meta/reconnect", "id": null, "successful": true, "connectionId": "1"}])
    );
    server.client().await.publish("/a", "it's").await;
    let block = stream.until("</script><br />").await;
    assert!(
        block.contains("window.parent.cometd.deliver([{\"channel\":\"/a\""),
        "{block}"
    );
    let rest = stream.rest().await;
    assert!(!rest.contains("deliver"), "{}", rest.replace("  ", ""));
    assert!(rest.ends_with("</body></html>\n"));

    // What ends its session it is told all the same.
    let mut stream = dojo_s_frame(&server, &client, "/meta/reconnect", None).await;
    stream.until("</script><br />").await;
    server.holds(1).await;
    client.disconnect().await;
    let rest = stream.rest().await;
    assert!(rest.contains("\"reconnect\":\"none\""), "{rest}");
}

/// A connect of Dojo's frame, which is posted by a form.
async fn dojo_s_frame(
    server: &TestServer,
    client: &Client,
    channel: &str,
    connection_type: Option<&str>,
) -> Streamed {
    let mut message = json!({"channel": channel, "id": null, "connectionId": "1"});
    if let Some(connection_type) = connection_type {
        message["connectionType"] = connection_type.into();
    }
    let message = json!([client.message(message)]).to_string();
    let request = client
        .request(format!("message={}", percent(&message)))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Referer", "http://localhost/page");
    Streamed::open(server.address, request).await
}

#[tokio::test]
async fn dojo_s_message_block_is_served_if_it_is_on() {
    let on = r#"bayeux.transports=["long-polling", "mime-message-block"]"#;
    let server = TestServer::start(&[on, "streaming.lifetime=300ms"]);
    let mut client = dojo(&server, &json!(["mime-message-block"])).await;
    client.connect().await;
    client.subscribe("/a").await;
    let mut stream = Streamed::open(server.address, post(&client, "mime-message-block")).await;
    server.client().await.publish("/a", 1).await;
    stream
        .until("--mirant-part\r\nContent-Type: text/plain\r\n\r\n")
        .await;
    let body = stream.until("\r\n--mirant-part\r\n").await;
    assert!(body.starts_with("[{\"channel\":\"/a\""), "{body}");
    assert!(stream.rest().await.ends_with("--mirant-part--\r\n"));
}

#[tokio::test]
pub(crate) async fn a_stream_whose_client_left_loses_nothing() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut http = Http::open(server.address).await;
    http.send(post(&client, "xhr-streaming").bytes()).await;
    server.holds(1).await;
    http.reset();
    server.holds(0).await;
    server.client().await.publish("/a", 1).await;
    let mut stream = Streamed::open(server.address, post(&client, "xhr-streaming")).await;
    assert_eq!(array(&stream.until("\n").await)[0]["data"], 1);
    assert!(stream.is_silent().await);
}

#[tokio::test]
async fn a_newer_connect_takes_over_and_the_old_stream_ends() {
    let server = TestServer::start(&["streaming.lifetime=300ms"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let mut old = Streamed::open(server.address, post(&client, "xhr-streaming")).await;
    server.holds(1).await;
    let mut new = Streamed::open(server.address, post(&client, "multipart")).await;
    let last = array(&old.rest().await);
    assert_eq!(last[0]["error"], "409::connect_displaced");
    server.client().await.publish("/a", 1).await;
    assert!(new.rest().await.contains("\"data\":1"));
}

#[tokio::test]
async fn a_session_s_end_and_the_server_s_are_told_by_the_stream() {
    let mut server = TestServer::start(&[]);
    let (mut gone, other) = (server.client().await, server.client().await);
    let mut stream = Streamed::open(server.address, post(&gone, "xhr-streaming")).await;
    server.holds(1).await;
    gone.disconnect().await;
    assert_eq!(
        array(&stream.rest().await)[0]["advice"]["reconnect"],
        "none"
    );

    let mut stream = Streamed::open(server.address, post(&other, "xhr-streaming")).await;
    server.holds(1).await;
    server.stop();
    assert_eq!(
        array(&stream.rest().await)[0]["advice"]["reconnect"],
        "retry"
    );
    drop(stream);
    server.stopped().await;
}

#[tokio::test]
async fn a_silent_stream_beats() {
    let server = TestServer::start(&["streaming.heartbeat_interval=50ms"]);
    let client = server.client().await;
    let mut stream = Streamed::open(server.address, post(&client, "xhr-streaming")).await;
    for _ in 0..3 {
        assert_eq!(stream.until("\n").await, "\n");
    }
}

#[tokio::test]
async fn an_error_is_in_a_part_if_the_client_asked_for_parts() {
    let server = TestServer::start(&[]);
    let request = Request::post("{").header("Accept", "multipart/x-mixed-replace");
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 200);
    let (head, body) = response.text().split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Status: 400 Bad Request"), "{head}");
    assert!(body.starts_with("{\"error\":"), "{body}");
    let plain = server.open().await.exchange(Request::post("{")).await;
    assert_eq!(plain.status, 400);
}

#[tokio::test]
async fn the_reply_to_a_connect_that_is_not_held_carries_events() {
    for transport in ["xhr-streaming", "multipart", "message-http", "iframe"] {
        let server = TestServer::start(&["bayeux.multi_session_interval=100ms"]);
        let mut first = server.client().await;
        let mut second = first.tab();
        second.handshake().await;
        second.connect().await;
        second.subscribe("/a").await;
        first.poll().await;
        server.holds(1).await;
        server.client().await.publish("/a", "surplus").await;
        let response = server.open().await.exchange(post(&second, transport)).await;
        let text = response.text();
        assert!(text.contains("multiple-clients"), "{transport}: {text}");
        assert!(text.contains("surplus"), "{transport}: {text}");
        // Nor is one that asks not to be.
        server.client().await.publish("/a", "at once").await;
        let now = json!([second.message(json!({
            "channel": "/meta/connect", "connectionType": transport, "advice": {"timeout": 0},
        }))]);
        let request = second
            .request(now.to_string())
            .header("Origin", "http://localhost");
        let response = server.open().await.exchange(request).await;
        assert!(
            response.text().contains("at once"),
            "{transport}: {response:?}"
        );
    }
}
