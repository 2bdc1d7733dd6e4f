//! Rows of the clients' table that no other module shows; each test names its row.

use serde_json::{Value, json};

use crate::support::{Client, Request, TestServer, only};

#[tokio::test]
async fn row_7_failures_of_well_formed_requests_are_200() {
    let server = TestServer::start(&[]);
    let bodies = [
        json!([{"channel": "/meta/connect", "clientId": "gone"}]),
        json!([{"channel": "/meta/subscribe"}]),
        json!([{"channel": "/a//b", "data": 1}]),
        json!([{"channel": "/meta/handshake", "supportedConnectionTypes": ["x"]}]),
        json!([{}]),
    ];
    for body in bodies {
        let response = server.post(body.to_string()).await;
        assert_eq!(response.messages()[0]["successful"], false, "{body}");
    }
}

#[tokio::test]
async fn row_13_clients_that_share_a_cookie_and_clients_with_none_are_served() {
    let server = TestServer::start(&[]);
    let first = server.client().await;
    let mut sharing = first.tab();
    sharing.handshake().await;
    let mut none = server.cookieless().await;
    for client in [&mut sharing, &mut none] {
        assert_eq!(client.publish("/a", 1).await[0]["successful"], true);
    }
}

#[tokio::test]
async fn row_26_advice_is_complete_whenever_it_is_sent() {
    let server = TestServer::start(&["bayeux.timeout=20s"]);
    let mut client = Client::new(server.address);
    let complete = json!({"reconnect": "retry", "interval": 0, "timeout": 20000});
    assert_eq!(client.handshake().await["advice"], complete);
    for advice in [json!({}), json!({"timeout": 0})] {
        let reply = only(client.connect_with(json!({"advice": advice})).await);
        assert_eq!(reply["advice"], complete);
    }
}

#[tokio::test]
async fn row_29_a_subscribe_that_aborts_the_connect_loses_nothing() {
    // cometd-client closes its poll, subscribes, and polls again.
    let server = TestServer::start(&[]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    let mut received = Vec::new();
    for n in 0..10 {
        client.poll().await;
        server.holds(1).await;
        drop(client.take_poll());
        publisher.publish("/a", n).await;
        client.subscribe(format!("/b/{n}")).await;
        received.extend(
            client
                .queued()
                .await
                .into_iter()
                .map(|event| event["data"].clone()),
        );
        server.holds(0).await;
    }
    assert_eq!(received, (0..10).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn row_33_every_reply_has_channel_id_and_successful() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let channels = [
        "/meta/connect",
        "/meta/subscribe",
        "/meta/unsubscribe",
        "/a",
        "/service/a",
        "/meta/nope",
        "/meta/disconnect",
    ];
    for channel in channels {
        let message = json!({
            "channel": channel, "id": "x1", "subscription": "/a", "data": 1,
            "advice": {"timeout": 0},
        });
        let reply = client.send([message]).await.pop().unwrap();
        assert_eq!(reply["channel"], channel);
        assert_eq!(reply["id"], "x1", "{channel}");
        assert!(reply["successful"].is_boolean(), "{channel}");
        assert!(reply.get("data").is_none(), "{channel}");
        assert!(reply.get("clientId").is_none(), "{channel}");
    }
}

#[tokio::test]
async fn row_38_events_ride_on_no_reply_but_those_of_connects_and_publishes() {
    let server = TestServer::start(&[]);
    let (mut client, mut publisher) = (server.cookieless().await, server.client().await);
    client.subscribe("/a").await;
    publisher.publish("/a", 1).await;
    for channel in ["/meta/subscribe", "/meta/unsubscribe"] {
        let message = json!({"channel": channel, "subscription": "/a"});
        assert_eq!(client.call(message).await["channel"], channel);
    }
    let handshake = json!({"channel": "/meta/handshake"});
    assert_eq!(client.call(handshake).await["channel"], "/meta/handshake");
    assert_eq!(client.publish("/service/x", 1).await.len(), 2);
    publisher.publish("/a", 2).await;
    assert_eq!(client.disconnect().await["channel"], "/meta/disconnect");
}

#[tokio::test]
async fn row_39_successful_replies_have_no_error() {
    let server = TestServer::start(&[]);
    let mut client = Client::new(server.address);
    let handshake = client.handshake().await;
    let connect = only(client.connect().await);
    let subscribe = client.subscribe("/a").await;
    let disconnect = client.disconnect().await;
    for reply in [handshake, connect, subscribe, disconnect] {
        assert_eq!(reply["successful"], true);
        assert!(reply.get("error").is_none(), "{reply}");
    }
}

#[tokio::test]
async fn row_41_a_publisher_s_order_is_kept_over_batches_and_requests() {
    let server = TestServer::start(&[]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/**").await;
    for n in 0..10 {
        let message = |k: i32| json!({"channel": format!("/c/{}", k % 3), "data": n * 3 + k});
        publisher.send([message(0), message(1), message(2)]).await;
    }
    let data: Vec<Value> = client
        .queued()
        .await
        .iter()
        .map(|event| event["data"].clone())
        .collect();
    assert_eq!(data, (0..30).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn row_42_the_same_id_again_is_another_message() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    for _ in 0..3 {
        let messages = client.publish("/a", 1).await;
        assert_eq!(messages.len(), 2, "event and reply");
    }
}

#[tokio::test]
async fn row_54_ack_is_promised_and_replies_to_connects_are_numbered() {
    let server = TestServer::start(&[]);
    let mut client = Client::new(server.address);
    let reply = client.handshake_with(json!({"ext": {"ack": true}})).await;
    assert_eq!(reply["ext"], json!({"ack": true}));
    let reply = client.connect_with(json!({"ext": {"ack": -1}})).await;
    assert_eq!(only(reply)["ext"], json!({"ack": 1}));
}

#[tokio::test]
async fn row_56_unknown_ext_and_fields_are_passed_over() {
    let server = TestServer::start(&[]);
    let extras = json!({
        "timestamp": "Fri, 20 Nov 2026 20:26:42 GMT", "connectionId": "x", "replay": true,
        "authScheme": "x", "ext": {"replay": {"/a": -1}, "acme": [1], "timesync": {"tc": 1}},
    });
    let with = |message: Value| {
        let mut whole = extras.clone();
        whole
            .as_object_mut()
            .unwrap()
            .extend(message.as_object().unwrap().clone());
        whole
    };
    let mut client = Client::new(server.address);
    assert_eq!(
        client.handshake_with(extras.clone()).await["successful"],
        true
    );
    for message in [
        json!({"channel": "/meta/connect"}),
        json!({"channel": "/meta/subscribe", "subscription": "/a"}),
        json!({"channel": "/b", "data": 1}),
        json!({"channel": "/meta/unsubscribe", "subscription": "/a"}),
        json!({"channel": "/meta/disconnect"}),
    ] {
        let reply = client.call(with(message)).await;
        assert_eq!(reply["successful"], true, "{reply}");
    }
}

#[tokio::test]
async fn row_58_types_that_are_not_served_are_not_listed() {
    let server = TestServer::start(&[]);
    let types = json!([
        "mime-message-block",
        "rest-channels",
        "flash",
        "websocket",
        "long-polling"
    ]);
    let reply = Client::new(server.address)
        .handshake_with(json!({"supportedConnectionTypes": types}))
        .await;
    let expected = json!([
        "websocket",
        "eventsource",
        "long-polling",
        "cross-origin-long-polling",
        "callback-polling",
        "xhr-streaming",
        "multipart",
        "message-http",
        "iframe"
    ]);
    assert_eq!(reply["supportedConnectionTypes"], expected);
}

#[tokio::test]
async fn row_50_a_transport_that_is_off_is_refused_and_not_listed() {
    let server = TestServer::start(&["bayeux.transports=long-polling"]);
    let upgrade = Request::new("GET", "/cometd")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let stream =
        Request::new("GET", "/cometd/0000000000000000000000").header("Accept", "text/event-stream");
    for request in [upgrade, stream] {
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, 405, "{response:?}");
        assert!(response.reason().contains("(bayeux.transports)"));
    }
    let plain = Request::new("GET", "/events?channel=/x");
    assert_eq!(server.open().await.exchange(plain).await.status, 404);
    let reply = Client::new(server.address).handshake().await;
    let expected = json!(["long-polling", "cross-origin-long-polling"]);
    assert_eq!(reply["supportedConnectionTypes"], expected);
}
