//! `/meta/handshake`: what a new client is told, and who is turned away.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, only};

#[tokio::test]
async fn the_reply_has_all_that_clients_read_and_nothing_else() {
    let server = TestServer::start(&["bayeux.timeout=20s", "bayeux.interval=100ms"]);
    let mut client = Client::new(server.address);
    let mut reply = client.handshake().await;
    reply.as_object_mut().unwrap().remove("clientId").unwrap();
    assert_eq!(
        reply,
        json!({
            "channel": "/meta/handshake", "id": "1", "successful": true,
            "version": "1.0", "minimumVersion": "1.0",
            "supportedConnectionTypes": [
                "websocket", "eventsource",
                "long-polling", "cross-origin-long-polling", "callback-polling",
                "xhr-streaming", "multipart", "message-http", "iframe",
            ],
            "advice": {"reconnect": "retry", "interval": 100, "timeout": 20000},
        })
    );
}

#[tokio::test]
async fn a_channel_is_all_that_a_handshake_needs() {
    let server = TestServer::start(&[]);
    let reply = only(
        server
            .post(r#"[{"channel":"/meta/handshake"}]"#)
            .await
            .messages(),
    );
    assert_eq!(reply["successful"], true);
    assert!(reply.get("id").is_none());
}

#[tokio::test]
async fn every_version_is_welcome_and_answered_with_1_0() {
    let server = TestServer::start(&[]);
    let versions = [
        json!(0.1),
        json!(1),
        json!("0.1"),
        json!("0.9"),
        json!("1.0"),
        json!("1.0beta"),
        json!("2.0"),
        json!({}),
    ];
    for version in versions {
        for minimum in [&version, &Value::Null] {
            let fields = json!({"version": version, "minimumVersion": minimum});
            let reply = Client::new(server.address).handshake_with(fields).await;
            assert_eq!(reply["successful"], true, "{version}");
            assert_eq!(reply["version"], "1.0", "{version}");
        }
    }
}

#[tokio::test]
async fn one_connection_type_in_common_is_enough() {
    let server = TestServer::start(&[]);
    let accepted = [
        json!(["long-polling"]),
        json!(["callback-polling"]),
        json!(["cross-origin-long-polling"]),
        json!([
            "websocket",
            "in-process",
            "long-polling-json-encoded",
            "long-polling"
        ]),
        json!("long-polling"),
        Value::Null,
    ];
    for types in accepted {
        let fields = json!({"supportedConnectionTypes": types});
        let reply = Client::new(server.address).handshake_with(fields).await;
        assert_eq!(reply["successful"], true, "{types}");
    }
}

#[tokio::test]
async fn without_a_connection_type_in_common_the_client_is_told_to_stop() {
    let server = TestServer::start(&["bayeux.transports=[\"long-polling\"]"]);
    for types in [
        json!(["websocket"]),
        json!(["foo", "callback-polling"]),
        json!([]),
    ] {
        let fields = json!({"supportedConnectionTypes": types});
        let reply = Client::new(server.address).handshake_with(fields).await;
        assert_eq!(
            reply,
            json!({
                "channel": "/meta/handshake", "id": "1", "successful": false,
                "version": "1.0", "minimumVersion": "1.0",
                "supportedConnectionTypes": ["long-polling", "cross-origin-long-polling"],
                "error": "301::connection_types_unsupported",
                "advice": {"reconnect": "none"},
            })
        );
    }
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn client_ids_are_letters_and_digits_and_never_the_same() {
    let server = TestServer::start(&[]);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let client = server.handshaken().await;
        assert!(client.id.len() >= 22, "128 bits: {}", client.id);
        assert!(client.id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(seen.insert(client.id.clone()));
    }
}

#[tokio::test]
async fn a_handshake_with_an_old_client_id_is_a_new_session_beside_the_old() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let old = client.id.clone();
    client.handshake_with(json!({"clientId": old})).await;
    assert_ne!(client.id, old);
    assert_eq!(server.metrics().sessions.value(), 2);
    let reply = client
        .call(json!({"channel": "/meta/subscribe", "clientId": old, "subscription": "/a"}))
        .await;
    assert_eq!(reply["successful"], true);
}

#[tokio::test]
async fn a_handshake_with_an_id_that_is_not_strict_enough_is_refused_and_the_id_echoed() {
    let server = TestServer::start(&["bayeux.strict_message_ids=true"]);
    let reply = Client::new(server.address)
        .handshake_with(json!({"id": "<script>"}))
        .await;
    assert_eq!(reply["error"], "405::message_id_invalid");
    assert_eq!(reply["id"], "<script>");
    assert_eq!(reply["successful"], false);
}

#[tokio::test]
async fn subscribe_and_publish_work_before_the_first_connect() {
    let server = TestServer::start(&[]);
    let mut client = server.handshaken().await;
    assert_eq!(client.subscribe("/a").await["successful"], true);
    let messages = client.publish("/a", 1).await;
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
    assert_eq!(messages[1]["successful"], true);
}
