//! Service channels: who handles what is published there, and how a caller hears of it.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, WebSocket, only};

const ALL: [&str; 3] = [
    "services.echo=/service/echo, /service/e/**",
    "services.direct=/service/direct",
    "services.broadcast=/service/broadcast",
];

/// Calls, and gets the answer and the acknowledgement.
async fn call(client: &mut Client, service: &str, data: Value) -> Value {
    let channel = format!("/service/{service}");
    let message = json!({"channel": channel, "id": "77", "data": data});
    let mut messages = client.send([message]).await;
    let ack = messages.pop().unwrap();
    assert_eq!(
        ack,
        json!({"channel": channel, "id": "77", "successful": true})
    );
    let answer = only(messages);
    assert_eq!(
        (&answer["channel"], &answer["id"]),
        (&json!(channel), &json!("77"))
    );
    answer
}

#[tokio::test]
async fn a_call_is_answered_to_its_caller_with_its_id() {
    let server = TestServer::start(&ALL);
    let mut client = server.client().await;
    let mut other = server.client().await;
    other.subscribe("/**").await;
    for service in ["echo", "e/a/b"] {
        let answer = call(&mut client, service, json!({"a": [1.5]})).await;
        assert_eq!(answer["data"], json!({"a": [1.5]}));
        assert_eq!(answer["successful"], true);
    }
    assert_eq!(
        other.queued().await,
        [] as [Value; 0],
        "nobody else hears of it"
    );
}

#[tokio::test]
async fn without_a_handler_a_message_is_acknowledged_and_that_is_all() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let reply = only(client.publish("/service/echo", 1).await);
    assert_eq!(reply["successful"], true);
    assert_eq!(client.queued().await, [] as [Value; 0]);
}

#[tokio::test]
async fn with_acknowledgement_the_answer_comes_with_a_connect() {
    let server = TestServer::start(&ALL);
    let mut client = Client::new(server.address);
    client.handshake_with(json!({"ext": {"ack": true}})).await;
    client.connect().await;
    let reply = only(client.publish("/service/echo", "x").await);
    assert_eq!(reply["channel"], "/service/echo");
    assert_eq!(reply.get("data"), None);
    assert_eq!(only(client.queued().await)["data"], "x");
}

#[tokio::test]
async fn over_a_websocket_the_acknowledgement_comes_first() {
    let server = TestServer::start(&ALL);
    let mut socket = WebSocket::client(server.address).await;
    let message = json!({"channel": "/service/echo", "id": "5", "data": "x"});
    let ack = socket.call(message).await;
    assert_eq!(ack.get("data"), None);
    let answer = socket.message().await;
    assert_eq!((&answer["id"], &answer["data"]), (&json!("5"), &json!("x")));
}

#[tokio::test]
async fn one_client_writes_to_another_by_its_client_id() {
    let server = TestServer::start(&ALL);
    let mut client = server.client().await;
    let mut other = server.client().await;
    let letter = json!({"clientId": other.id, "data": "hello"});
    let answer = call(&mut client, "direct", letter).await;
    assert_eq!(
        (&answer["successful"], &answer["data"]),
        (&json!(true), &json!(true))
    );
    let received = only(other.queued().await);
    assert_eq!(
        received,
        json!({"channel": "/service/direct", "data": "hello"})
    );
    for nobody in [
        json!({"clientId": "0000000000000000000000", "data": 1}),
        json!({"clientId": "x", "data": 1}),
        json!({"clientId": 7, "data": 1}),
        json!({"data": 1}),
        json!([]),
        json!(null),
    ] {
        let answer = call(&mut client, "direct", nobody).await;
        assert_eq!(answer["successful"], false);
        assert!(answer["data"]["error"].is_string());
    }
}

#[tokio::test]
async fn a_broadcast_reaches_the_subscribers_and_only_of_broadcast_channels() {
    let server = TestServer::start(&ALL);
    let mut client = server.client().await;
    let mut other = server.client().await;
    other.subscribe("/news").await;
    let answer = call(
        &mut client,
        "broadcast",
        json!({"channel": "/news", "data": [1]}),
    )
    .await;
    assert_eq!(answer["successful"], true);
    let received = only(other.queued().await);
    assert_eq!(received, json!({"channel": "/news", "data": [1]}));
    for channel in ["/meta/connect", "/service/echo", "/a/**", "news", ""] {
        let answer = call(
            &mut client,
            "broadcast",
            json!({"channel": channel, "data": 1}),
        )
        .await;
        assert_eq!(answer["successful"], false, "{channel}");
    }
}

#[tokio::test]
async fn a_call_without_data_fails_and_reaches_no_handler() {
    let server = TestServer::start(&ALL);
    let mut client = server.client().await;
    let reply = client.call(json!({"channel": "/service/echo"})).await;
    assert_eq!(reply["error"], "400::data_missing");
}

#[tokio::test]
async fn what_a_call_holds_besides_may_be_odd() {
    let server = TestServer::start(&ALL);
    let mut client = server.client().await;
    let mut other = server.client().await;
    other.subscribe("/a").await;
    // Half an emoji, which no Rust string can hold, and a field twice.
    let odd = [
        (
            "broadcast",
            r#"{"\ud83d":"\ud83d","channel":"/a","data":"X"}"#,
        ),
        ("broadcast", r#"{"channel":"/b","channel":"/a","data":"X"}"#),
        ("direct", r#"{"data":"X","\ude00":{},"clientId":"ID"}"#),
    ];
    for (service, data) in odd {
        let message = json!([client.message(json!({
            "channel": format!("/service/{service}"), "data": "DATA"
        }))]);
        let data = data.replace("ID", &other.id);
        let body = message.to_string().replace("\"DATA\"", &data);
        let answers = client.post(body).await.messages();
        assert_eq!(answers[0]["data"], true, "{data}");
        assert_eq!(only(other.queued().await)["data"], "X", "{data}");
    }
    for (service, data) in [
        ("broadcast", json!(["/a", "X"])),
        ("broadcast", json!({"channel": 5, "data": "X"})),
        ("direct", json!({"clientId": [other.id], "data": "X"})),
    ] {
        let answer = call(&mut client, service, data).await;
        assert_eq!(answer["successful"], false);
    }
    assert_eq!(other.queued().await, [] as [Value; 0]);
}
