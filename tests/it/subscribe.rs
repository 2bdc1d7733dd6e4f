//! `/meta/subscribe`: which channels and patterns, and what they match.

use serde_json::{Value, json};

use crate::support::TestServer;

#[tokio::test]
async fn the_subscription_comes_back_as_it_was_sent() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    for subscription in [
        json!("/a"),
        json!(["/a", "/b/*"]),
        json!(["/c"]),
        json!("/s/"),
    ] {
        let reply = client.subscribe(subscription.clone()).await;
        let expected = json!({
            "channel": "/meta/subscribe", "id": "s", "successful": true,
            "subscription": subscription,
        });
        assert_eq!(reply, expected);
    }
}

#[tokio::test]
async fn patterns_match_what_they_should_and_a_session_gets_each_event_once() {
    let server = TestServer::start(&[]);
    let cases = [
        (json!("/foo/*"), vec!["/foo/bar"]),
        (json!("/foo/**"), vec!["/foo/bar", "/foo/bar/baz"]),
        (json!("/*"), vec!["/foo", "/foobar", "/meta", "/service"]),
        (
            json!("/**"),
            vec![
                "/foo",
                "/foobar",
                "/foo/bar",
                "/foo/bar/baz",
                "/meta",
                "/service",
            ],
        ),
        (
            json!(["/**", "/foo/**", "/foo/*", "/foo/bar"]),
            vec![
                "/foo",
                "/foobar",
                "/foo/bar",
                "/foo/bar/baz",
                "/meta",
                "/service",
            ],
        ),
        (json!("/foo/"), vec!["/foo"]),
        (json!("/Foo"), vec![]),
        (json!("/ba*"), vec![]),
    ];
    for (subscription, expected) in cases {
        let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
        subscriber.subscribe(subscription.clone()).await;
        let all = [
            "/foo",
            "/foobar",
            "/foo/bar",
            "/foo/bar/baz",
            "/meta",
            "/service",
            "/service/foo",
        ];
        for channel in all {
            publisher.publish(channel, 1).await;
        }
        let received: Vec<Value> = subscriber.queued().await;
        let channels: Vec<&str> = received
            .iter()
            .map(|event| event["channel"].as_str().unwrap())
            .collect();
        assert_eq!(channels, expected, "{subscription}");
        subscriber.disconnect().await;
    }
}

#[tokio::test]
async fn what_is_no_subscription_is_refused() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let missing = "403::subscription_missing";
    let invalid = "403::subscription_invalid";
    let create = "403:denied_by_security_policy:create_denied";
    let cases = [
        (Value::Null, missing),
        (json!([]), missing),
        (json!(7), invalid),
        (json!({}), invalid),
        (json!([7]), invalid),
        (json!([null]), invalid),
        (json!(""), invalid),
        (json!("a"), invalid),
        (json!("/"), invalid),
        (json!("/a//b"), invalid),
        (json!("/a/*/b"), invalid),
        (json!("/**/b"), invalid),
        (json!("/a%20"), invalid),
        (json!("/é"), invalid),
        (json!("/meta/*"), create),
        (json!("/meta/**"), create),
        (json!("/meta/x"), create),
        (
            json!("/meta/connect"),
            "403:denied_by_security_policy:subscribe_denied",
        ),
    ];
    for (subscription, error) in cases {
        let reply = client.subscribe(subscription.clone()).await;
        assert_eq!(reply["successful"], false, "{subscription}");
        assert_eq!(reply["error"], error, "{subscription}");
        assert!(reply.get("advice").is_none(), "{subscription}");
        // What clients with typed fields can read.
        let is_typed = subscription.is_string() || subscription == json!([]);
        let echoed = Some(&subscription).filter(|_| is_typed);
        assert_eq!(reply.get("subscription"), echoed);
    }
}

#[tokio::test]
async fn an_array_is_subscribed_to_whole_or_not_at_all() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    for bad in ["/a//b", "/meta/x", "/meta/connect"] {
        let reply = client.subscribe(json!(["/good", bad])).await;
        assert_eq!(reply["successful"], false);
    }
    assert_eq!(client.publish("/good", 1).await.len(), 1, "no event");
}

#[tokio::test]
async fn subscribing_twice_is_no_mistake_and_delivers_once() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    assert_eq!(client.subscribe("/a").await["successful"], true);
    assert_eq!(
        client.subscribe(json!(["/a", "/a"])).await["successful"],
        true
    );
    assert_eq!(client.publish("/a", 1).await.len(), 2);
}

#[tokio::test]
async fn a_service_channel_can_be_subscribed_to_but_tells_nobody_else() {
    let server = TestServer::start(&[]);
    let (mut client, mut other) = (server.client().await, server.client().await);
    assert_eq!(client.subscribe("/service/x").await["successful"], true);
    assert_eq!(other.publish("/service/x", 1).await[0]["successful"], true);
    assert!(client.queued().await.is_empty());
}

#[tokio::test]
async fn a_subscribe_of_an_unknown_session_gets_402_and_no_advice() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let reply = client
        .call(json!({"channel": "/meta/subscribe", "clientId": "x", "subscription": "/a"}))
        .await;
    assert_eq!(
        reply,
        json!({
            "channel": "/meta/subscribe", "successful": false,
            "subscription": "/a", "error": "402::session_unknown",
        })
    );
}
