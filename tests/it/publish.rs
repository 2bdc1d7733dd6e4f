//! Publishing: what subscribers receive, byte for byte, and what they never do.

use serde_json::{Value, json};

use crate::support::{Client, Embedded, Request, TestServer, WebSocket, only, percent};

/// Publishes raw JSON fields to `/a`, and returns the text that the subscriber's connect receives.
async fn relayed(fields: &str) -> String {
    let server = TestServer::start(&[]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    let message = format!(
        r#"[{{"channel":"/a","clientId":"{}",{fields}}}]"#,
        publisher.id
    );
    let ack = publisher.post(message).await.messages();
    assert_eq!(ack[0]["successful"], true, "{fields}");
    received(&mut subscriber).await
}

/// The text of the one event that is queued.
async fn received(subscriber: &mut Client) -> String {
    subscriber.poll().await;
    let response = subscriber.poll_connection().await.response().await;
    let text = response.text().strip_prefix('[').unwrap();
    let end = text.find(r#",{"successful":true,"channel":"/meta/connect""#);
    text[..end.unwrap()].to_owned()
}

#[tokio::test]
async fn data_arrives_exactly_as_it_was_sent() {
    let texts = [
        "1e400",
        "-0",
        "1.10",
        "12345678901234567890123",
        "null",
        "0",
        "\"\"",
        "false",
        "\"\u{2028}\u{2029}\"",
        r#""\u2028\/\ud83d\ude00 */ </script>""#,
        r#"{"b":1,"a":{"z":1.0E+2,"y":[]},"10":1,"2":2}"#,
        r#"{"a":1,"a":2}"#,
        r#"{ "spaced" :	[ 1 , 2 ] }"#,
        r#"{"data":"Hel","last":true,"meta":{}}"#,
    ];
    for text in texts {
        let event = relayed(&format!(r#""data":{text}"#)).await;
        assert_eq!(event, format!(r#"{{"channel":"/a","data":{text}}}"#));
    }
}

#[tokio::test]
async fn ext_and_custom_fields_pass_through_and_keep_their_bytes() {
    let fields = r#""data":1,"ext":{"x" :1e400},"timestamp":"now","acme":[ 1.10 ]"#;
    let expected =
        r#"{"channel":"/a","data":1,"ext":{"x" :1e400},"timestamp":"now","acme":[ 1.10 ]}"#;
    assert_eq!(relayed(fields).await, expected);
}

#[tokio::test]
async fn a_publisher_cannot_speak_for_the_server() {
    let fields = r#""data":1,"id":"7","advice":{"reconnect":"none"},"successful":false,
        "error":"402::x","subscription":"/x","version":"1.0","minimumVersion":"1.0",
        "supportedConnectionTypes":["x"],"connectionType":"x","authSuccessful":false,
        "x-messages":9,"connectionId":"1","adv\u0069ce":{"reconnect":"none"}"#;
    assert_eq!(relayed(fields).await, r#"{"channel":"/a","data":1}"#);
}

#[tokio::test]
async fn the_publisher_s_client_id_never_leaks() {
    let event = relayed(r#""data":1"#).await;
    assert_eq!(event, r#"{"channel":"/a","data":1}"#);
}

#[tokio::test]
async fn the_reply_says_only_how_it_went() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let reply = client
        .call(json!({
            "channel": "/a", "id": "7", "data": 1, "subscription": "/x", "ext": {"a": 1},
            "advice": {"timeout": 0}, "custom": 1,
        }))
        .await;
    assert_eq!(
        reply,
        json!({"channel": "/a", "id": "7", "successful": true})
    );
}

#[tokio::test]
async fn data_is_needed_but_may_be_null() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let reply = client.call(json!({"channel": "/a", "id": "1"})).await;
    assert_eq!(reply["error"], "400::data_missing");
    assert_eq!(reply["successful"], false);
    let reply = client
        .call(json!({"channel": "/a", "id": "1", "data": null}))
        .await;
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn a_wildcard_cannot_be_published_to() {
    let server = TestServer::start(&[]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/**").await;
    for channel in ["/*", "/**", "/a/*", "/a/**", "/a/*/b"] {
        let messages = publisher.publish(channel, 1).await;
        assert_eq!(messages[0]["error"], "405::channel_invalid", "{channel}");
        assert_eq!(messages[0]["channel"], channel);
    }
    assert!(subscriber.queued().await.is_empty());
}

#[tokio::test]
async fn meta_channels_cannot_be_published_to_and_the_session_goes_on() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    for channel in ["/meta/ping", "/meta/status", "/meta/x/y"] {
        let reply = client.publish(channel, json!(null)).await;
        let error = "403:denied_by_security_policy:channel_create_denied";
        assert_eq!(reply[0]["error"], error, "{channel}");
    }
    assert_eq!(client.publish("/a", 1).await[0]["successful"], true);
}

#[tokio::test]
async fn a_channel_s_trailing_slash_is_no_part_of_its_name() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let messages = client.publish("/a/", 1).await;
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
    assert_eq!(messages[1]["channel"], "/a/", "the reply echoes");
}

#[tokio::test]
async fn an_unconnected_publish_is_refused_without_advice() {
    let server = TestServer::start(&[]);
    let response = server.post(r#"[{"channel":"/a","id":"1","data":1}]"#).await;
    let expected = json!({
        "channel": "/a", "id": "1", "successful": false,
        "error": "402:bayeux.publish_without_session:session_unknown",
    });
    assert_eq!(response.messages(), [expected]);
}

/// The ways in which a message gets to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Json,
    Form,
    Embedded,
    WebSocket,
    Jsonp,
}

async fn send_by(by: By, server: &TestServer, message: &Value) -> Value {
    let text = message.to_string();
    let exchange = |request| async { server.open().await.exchange(request).await };
    only(match by {
        By::Json => server.post(text).await.messages(),
        By::Form => {
            let form = Request::post(format!("message={}", percent(&text)))
                .header("Content-Type", "application/x-www-form-urlencoded");
            exchange(form).await.messages()
        }
        By::Embedded => {
            let mut embedded = Embedded::two_way(server.address).await;
            embedded.exchange(Request::post(text)).await.messages()
        }
        By::WebSocket => {
            let mut socket = WebSocket::open(server.address).await;
            socket.text(&text).await;
            socket.messages().await
        }
        By::Jsonp => exchange(Request::jsonp("cb", &text))
            .await
            .messages_for("cb"),
    })
}

#[tokio::test]
async fn who_may_publish_without_a_session() {
    const UNKNOWN: &str = "402::session_unknown";
    const OFF: &str = "402:bayeux.publish_without_session:session_unknown";
    let stranger = "0000000000000000000001";
    for is_on in [true, false] {
        let setting = format!("bayeux.publish_without_session={is_on}");
        let server = TestServer::start(&[&setting, "services.echo=/service/echo"]);
        let mut subscriber = server.client().await;
        subscriber.subscribe("/**").await;
        for by in [By::Json, By::Form, By::Embedded, By::WebSocket, By::Jsonp] {
            // What a GET brings another site may have sent.
            let alone = match (by, is_on) {
                (By::Jsonp, _) => Some(UNKNOWN),
                (_, false) => Some(OFF),
                (_, true) => None,
            };
            let cases = [
                (json!({"channel": "/a", "data": [1]}), alone),
                (
                    json!({"channel": "/a/", "data": null, "id": "m-1", "ext": {"t": 1}}),
                    alone,
                ),
                (json!({"channel": "/a", "data": 1, "clientId": null}), alone),
                (
                    json!({"channel": "/a", "data": 1, "clientId": stranger}),
                    Some(UNKNOWN),
                ),
                (
                    json!({"channel": "/a", "data": 1, "clientId": "x"}),
                    Some(UNKNOWN),
                ),
                (
                    json!({"channel": "/a", "data": 1, "clientId": 5}),
                    Some(UNKNOWN),
                ),
                (
                    json!({"channel": "/service/echo", "data": 1}),
                    Some(UNKNOWN),
                ),
                (
                    json!({"channel": "/meta/subscribe", "subscription": "/a"}),
                    Some(UNKNOWN),
                ),
                (json!({"channel": "/meta/disconnect"}), Some(UNKNOWN)),
                (
                    json!({"channel": "/a//b", "data": 1}),
                    Some("405::channel_invalid"),
                ),
                (
                    json!({"channel": "/a"}),
                    alone.or(Some("400::data_missing")),
                ),
            ];
            for (message, error) in cases {
                let reply = send_by(by, &server, &message).await;
                assert_eq!(reply["successful"], error.is_none(), "{by:?} {message}");
                let error = error.map(|error| json!(error));
                assert_eq!(reply.get("error"), error.as_ref(), "{by:?} {message}");
                assert_eq!(reply.get("id"), message.get("id"));
                let events = subscriber.queued().await;
                assert_eq!(
                    events.len(),
                    usize::from(error.is_none()),
                    "{by:?} {message}"
                );
                for event in events {
                    assert_eq!(event["channel"], "/a");
                    assert_eq!(event.get("data"), message.get("data"));
                    assert_eq!(event.get("ext"), message.get("ext"));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_publish_without_a_session_goes_its_own_way_in_a_session_s_batch() {
    let server = TestServer::start(&[
        "bayeux.publish_without_session=true",
        "bayeux.broadcast_to_publisher=false",
    ]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let own = json!({"channel": "/a", "id": "1", "data": "own", "clientId": client.id});
    let alone = json!({"channel": "/a", "id": "2", "data": "alone"});
    let messages = client
        .post(json!([own, alone]).to_string())
        .await
        .messages();
    let event = json!({"channel": "/a", "data": "alone"});
    let [one, two] = ["1", "2"].map(|id| json!({"channel": "/a", "id": id, "successful": true}));
    assert_eq!(messages, [event, one, two]);
}

#[tokio::test]
async fn the_id_is_checked_before_the_session() {
    let server = TestServer::start(&["bayeux.strict_message_ids=true"]);
    for id in [
        json!("a-b"),
        json!(""),
        json!(1.5),
        json!(-1),
        json!({}),
        json!(true),
    ] {
        let message = json!([{"channel": "/a", "clientId": "x", "id": id, "data": 1}]);
        let reply = &server.post(message.to_string()).await.messages()[0];
        assert_eq!(reply["error"], "405::message_id_invalid", "{id}");
        let is_echoed = id.is_string() || id.is_number();
        assert_eq!(reply.get("id"), Some(&id).filter(|_| is_echoed));
    }
}

#[tokio::test]
async fn a_publisher_receives_its_own_event_with_the_reply() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let messages = client.publish("/a", 1).await;
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
    assert_eq!(messages.len(), 2);
    assert!(client.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn broadcast_to_publisher_can_be_off_for_all_channels() {
    let server = TestServer::start(&[
        "bayeux.broadcast_to_publisher=false",
        r#"channel=[{pattern="/on", broadcast_to_publisher=true}]"#,
    ]);
    let (mut client, mut other) = (server.client().await, server.client().await);
    client.subscribe(json!(["/a", "/on"])).await;
    other.subscribe("/a").await;
    assert_eq!(client.publish("/a", 1).await.len(), 1);
    assert_eq!(client.publish("/on", 1).await.len(), 1, "all must be true");
    assert_eq!(other.queued().await.len(), 1);
}

#[tokio::test]
async fn broadcast_to_publisher_can_be_off_for_some_channels() {
    let server = TestServer::start(&[
        r#"channel=[{pattern="/a/**", broadcast_to_publisher=false}, {pattern="/a/b", broadcast_to_publisher=true}]"#,
    ]);
    let mut client = server.client().await;
    client.subscribe("/**").await;
    for (channel, messages) in [("/a/x", 1), ("/a/b", 2), ("/c", 2)] {
        assert_eq!(
            client.publish(channel, 1).await.len(),
            messages,
            "{channel}"
        );
    }
}

#[tokio::test]
async fn relaying_ext_and_custom_fields_can_be_off() {
    let server = TestServer::start(&["bayeux.relay_ext=false", "bayeux.relay_custom_fields=false"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let messages = client
        .send([json!({"channel": "/a", "data": 1, "ext": {}, "custom": 1})])
        .await;
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
}

#[tokio::test]
async fn with_deliver_only_events_travel_on_connects_alone() {
    let server = TestServer::start(&["bayeux.meta_connect_deliver_only=true"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    assert_eq!(client.publish("/a", 1).await.len(), 1, "the reply alone");
    assert_eq!(client.polled().await.len(), 2);
}
