//! `/meta/unsubscribe`: taking subscriptions back.

use serde_json::{Value, json};

use crate::support::TestServer;

#[tokio::test]
async fn nothing_is_delivered_after_it() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe(json!(["/a", "/b"])).await;
    let reply = client.unsubscribe("/a").await;
    let expected = json!({
        "channel": "/meta/unsubscribe", "id": "u", "successful": true, "subscription": "/a",
    });
    assert_eq!(reply, expected);
    assert_eq!(client.publish("/a", 1).await.len(), 1);
    assert_eq!(client.publish("/b", 1).await.len(), 2);
}

#[tokio::test]
async fn other_patterns_that_match_go_on() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe(json!(["/a/b", "/a/*", "/**"])).await;
    for (subscription, events) in [(json!(["/a/b", "/a/*"]), 1), (json!("/**"), 0)] {
        assert_eq!(client.unsubscribe(subscription).await["successful"], true);
        assert_eq!(client.publish("/a/b", 1).await.len(), events + 1);
    }
}

#[tokio::test]
async fn other_sessions_keep_their_subscription() {
    let server = TestServer::start(&[]);
    let (mut one, mut other) = (server.client().await, server.client().await);
    one.subscribe("/a").await;
    other.subscribe("/a").await;
    one.unsubscribe("/a").await;
    one.publish("/a", 1).await;
    assert_eq!(other.queued().await.len(), 1);
    assert_eq!(
        one.unsubscribe("/a").await["successful"],
        true,
        "the channel exists"
    );
}

#[tokio::test]
async fn what_cannot_be_taken_back_is_refused() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let cases = [
        (Value::Null, "403::subscription_missing"),
        (json!([]), "403::subscription_missing"),
        (json!(7), "403::subscription_invalid"),
        (json!("/a//b"), "403::subscription_invalid"),
        (json!("/nobody/is/here"), "400::channel_missing"),
        (json!("/meta/connect"), "403::unsubscribe_failed"),
        (json!(["/a", "/nobody"]), "400::channel_missing"),
    ];
    for (subscription, error) in cases {
        let reply = client.unsubscribe(subscription.clone()).await;
        assert_eq!(reply["error"], error, "{subscription}");
        assert_eq!(reply["successful"], false, "{subscription}");
    }
    assert_eq!(client.publish("/a", 1).await.len(), 2, "still subscribed");
}
