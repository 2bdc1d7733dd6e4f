//! `/meta/disconnect`: the end of a session by its client.

use serde_json::{Value, json};

use crate::support::{TestServer, until};

/// The reply to a connect that needs no other after it.
fn last_connect() -> Value {
    json!({
        "channel": "/meta/connect", "id": "c", "successful": true,
        "advice": {"reconnect": "none"},
    })
}

#[tokio::test]
async fn it_is_answered_and_releases_the_held_connect_with_reconnect_none() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    let reply = client.disconnect().await;
    assert_eq!(
        reply,
        json!({"channel": "/meta/disconnect", "id": "d", "successful": true})
    );
    assert_eq!(client.polled().await, [last_connect()]);
    assert_eq!(server.metrics().sessions.value(), 0);
    assert_eq!(server.metrics().held_connects.value(), 0);
}

#[tokio::test]
async fn the_session_is_unknown_after_it() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.disconnect().await;
    assert_eq!(
        client.publish("/a", 1).await[0]["error"],
        "402::session_unknown"
    );
    assert_eq!(client.disconnect().await["error"], "402::session_unknown");
}

#[tokio::test]
async fn a_connect_that_it_overtakes_is_answered_as_one_that_is_held() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.disconnect().await;
    assert_eq!(client.connect().await, [last_connect()]);
    // It has but one on its way.
    let next = client.connect().await;
    assert_eq!(next[0]["error"], "402::session_unknown");
    assert_eq!(next[0]["advice"]["reconnect"], "handshake");
}

#[tokio::test]
async fn a_connect_that_is_held_is_the_only_one() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    client.disconnect().await;
    assert_eq!(client.polled().await[0]["advice"]["reconnect"], "none");
    let next = client.connect().await;
    assert_eq!(next[0]["error"], "402::session_unknown");
}

#[tokio::test]
async fn no_other_end_overtakes_a_connect() {
    let server = TestServer::start(&["bayeux.max_interval=10ms"]);
    let mut client = server.client().await;
    until(|| server.metrics().sessions.value() == 0).await;
    let connect = client.connect().await;
    assert_eq!(connect[0]["error"], "402::session_unknown");
}

#[tokio::test]
async fn nothing_is_delivered_to_a_session_that_left() {
    let server = TestServer::start(&[]);
    let (mut client, mut other) = (server.client().await, server.client().await);
    client.subscribe(json!(["/a", "/**"])).await;
    client.disconnect().await;
    other.publish("/a", 1).await;
    assert_eq!(server.metrics().delivered.value(), 0);
}
