//! `/meta/connect`: when it is held, what resumes it, and what it says.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, only, until};

fn reply() -> Value {
    json!({"channel": "/meta/connect", "id": "c", "successful": true})
}

#[tokio::test]
async fn the_first_connect_of_a_session_is_answered_at_once() {
    let server = TestServer::start(&[]);
    let mut client = server.handshaken().await;
    assert_eq!(client.connect().await, [reply()]);
}

#[tokio::test]
async fn a_connect_with_nothing_to_say_is_held_until_its_timeout() {
    let server = TestServer::start(&["bayeux.timeout=300ms"]);
    let mut client = server.client().await;
    client.poll().await;
    assert!(client.poll_connection().await.is_silent().await);
    assert_eq!(client.polled().await, [reply()]);
    assert_eq!(server.metrics().held_connects.value(), 0);
}

#[tokio::test]
async fn a_client_s_timeout_of_zero_is_answered_at_once_with_complete_advice() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let mut expected = reply();
    expected["advice"] = json!({"reconnect": "retry", "interval": 0, "timeout": 30000});
    let messages = client.connect_with(json!({"advice": {"timeout": 0}})).await;
    assert_eq!(messages, [expected]);
}

#[tokio::test]
async fn a_shorter_timeout_of_the_client_holds() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let messages = client
        .connect_with(json!({"advice": {"timeout": 50, "interval": 3000}}))
        .await;
    let advice = json!({"reconnect": "retry", "interval": 3000, "timeout": 30000});
    assert_eq!(messages[0]["advice"], advice);
}

#[tokio::test]
async fn a_longer_timeout_of_the_client_is_cut_to_the_server_s() {
    let server = TestServer::start(&["bayeux.timeout=100ms"]);
    let mut client = server.client().await;
    for timeout in [json!(100_000), json!(1e12), json!(1e300)] {
        let messages = client
            .connect_with(json!({"advice": {"timeout": timeout}}))
            .await;
        assert_eq!(messages[0]["advice"]["timeout"], 100);
    }
}

#[tokio::test]
async fn advice_that_makes_no_sense_is_passed_over() {
    let server = TestServer::start(&[]);
    let advices = [
        json!("x"),
        json!(5),
        json!([0, 0]),
        json!({"timeout": -5}),
        json!({"timeout": "0"}),
        json!({"timeout": null}),
    ];
    for advice in advices {
        let mut client = server.client().await;
        client.poll_with(json!({"advice": advice})).await;
        server.holds(1).await;
        client.disconnect().await;
        assert_eq!(only(client.polled().await)["successful"], true);
    }
}

#[tokio::test]
async fn a_client_s_interval_is_cut_to_max_client_interval() {
    let server = TestServer::start(&["bayeux.max_client_interval=2s"]);
    let mut client = server.client().await;
    let messages = client
        .connect_with(json!({"advice": {"timeout": 0, "interval": 3_600_000}}))
        .await;
    assert_eq!(messages[0]["advice"]["interval"], 2000);
}

#[tokio::test]
async fn an_event_resumes_the_held_connect_and_comes_before_its_reply() {
    let server = TestServer::start(&[]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    subscriber.poll().await;
    server.holds(1).await;
    publisher.publish("/a", json!({"n": 1})).await;
    let event = json!({"channel": "/a", "data": {"n": 1}});
    assert_eq!(subscriber.polled().await, [event, reply()]);
}

#[tokio::test]
async fn queued_events_answer_the_next_connect_at_once_and_in_order() {
    let server = TestServer::start(&[]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    for n in 0..5 {
        publisher.publish("/a", n).await;
    }
    let messages = subscriber.connect().await;
    let data: Vec<_> = messages[..5]
        .iter()
        .map(|event| event["data"].clone())
        .collect();
    assert_eq!(data, [0, 1, 2, 3, 4]);
    assert_eq!(messages[5..], [reply()]);
}

#[tokio::test]
async fn a_second_connect_displaces_the_first_and_nothing_is_lost() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let mut first = client.take_poll();
    client.poll_with(json!({"id": "second"})).await;
    let displaced = first.response().await;
    assert_eq!((displaced.status, displaced.body.len()), (409, 0));
    server.holds(1).await;
    server.client().await.publish("/a", 1).await;
    let messages = client.polled().await;
    assert_eq!(messages[0]["data"], 1);
    assert_eq!(messages[1]["id"], "second");
    assert_eq!(server.metrics().displaced_connects.value(), 1);
}

#[tokio::test]
async fn the_connection_of_a_connect_that_is_answered_408_ends() {
    let server = TestServer::start(&["bayeux.duplicate_meta_connect_status=408"]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    let mut first = client.take_poll();
    client.connect_with(json!({"advice": {"timeout": 0}})).await;
    let response = first.response().await;
    assert_eq!(response.status, 408);
    assert_eq!(response.header("Connection"), Some("close"));
    first.ended().await;
}

#[tokio::test]
async fn the_status_of_a_displaced_connect_is_an_option() {
    let server = TestServer::start(&["bayeux.duplicate_meta_connect_status=500"]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    let mut first = client.take_poll();
    client.poll().await;
    let displaced = first.response().await;
    assert_eq!((displaced.status, displaced.body.len()), (500, 0));
}

#[tokio::test]
async fn an_unknown_client_is_told_to_handshake() {
    let server = TestServer::start(&[]);
    let expected = json!({
        "channel": "/meta/connect", "id": "c", "successful": false,
        "error": "402::session_unknown",
        "advice": {"reconnect": "handshake", "interval": 0, "timeout": 30000},
    });
    let ids = [
        json!("0123456789abcdefghijkl"),
        json!("x"),
        json!(5),
        Value::Null,
        json!([]),
    ];
    for id in ids {
        let mut client = Client::new(server.address);
        let messages = client.connect_with(json!({"clientId": id})).await;
        assert_eq!(only(messages), expected, "{id}");
    }
}

#[tokio::test]
async fn a_session_without_a_connect_expires_and_its_client_is_told_to_handshake() {
    let server = TestServer::start(&["bayeux.max_interval=150ms"]);
    let mut client = server.client().await;
    until(|| server.metrics().sessions.value() == 0).await;
    let reply = only(client.connect().await);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(
        reply["advice"],
        json!({"reconnect": "handshake", "interval": 0, "timeout": 30000})
    );
}

#[tokio::test]
async fn a_session_does_not_expire_while_its_connect_is_held() {
    let server = TestServer::start(&["bayeux.max_interval=300ms", "bayeux.timeout=900ms"]);
    let mut client = server.client().await;
    client.poll().await;
    assert!(client.poll_connection().await.is_silent().await);
    assert_eq!(only(client.polled().await)["successful"], true);
}

#[tokio::test]
async fn messages_on_the_other_connection_are_not_delayed_by_a_held_connect() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.poll().await;
    server.holds(1).await;
    assert_eq!(client.subscribe("/a").await["successful"], true);
    assert!(client.poll_connection().await.is_silent().await);
}

#[tokio::test]
async fn the_id_comes_back_with_its_own_type() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    for id in [json!("a1"), json!(7), json!(0), Value::Null] {
        client.poll_with(json!({"id": id})).await;
        server.holds(1).await;
        let mut held = client.take_poll();
        client
            .connect_with(json!({"id": id, "advice": {"timeout": 0}}))
            .await;
        assert_eq!(held.response().await.status, 409);
        let messages = client
            .connect_with(json!({"id": id, "advice": {"timeout": 1}}))
            .await;
        assert_eq!(messages[0].get("id"), Some(&id));
    }
}

#[tokio::test]
async fn the_connection_type_is_not_needed() {
    let server = TestServer::start(&["bayeux.timeout=20ms"]);
    let mut client = server.client().await;
    for connection_type in [Value::Null, json!("callback-polling"), json!(5)] {
        let messages = client
            .connect_with(json!({"connectionType": connection_type}))
            .await;
        assert_eq!(messages, [reply()]);
    }
}

#[tokio::test]
async fn the_interval_of_the_server_is_advised() {
    let server = TestServer::start(&["bayeux.interval=250ms", "bayeux.timeout=1500ms"]);
    let mut client = server.handshaken().await;
    let messages = client.connect_with(json!({"advice": {}})).await;
    let advice = json!({"reconnect": "retry", "interval": 250, "timeout": 1500});
    assert_eq!(messages[0]["advice"], advice);
}

#[tokio::test]
async fn a_client_that_polls_is_advised_to_wait_longer_while_nothing_happens() {
    let server = TestServer::start(&[
        "bayeux.polling=true",
        "bayeux.min_polling_interval=100ms",
        "bayeux.max_polling_interval=300ms",
    ]);
    let mut client = server.handshaken().await;
    for expected in [100, 200, 300, 300] {
        let reply = only(client.connect().await);
        assert_eq!(reply["advice"]["interval"], expected);
    }
    client.subscribe("/a").await;
    server.handshaken().await.publish("/a", 1).await;
    let messages = client.connect().await;
    assert_eq!(messages[0]["data"], 1);
    assert_eq!(messages[1]["advice"]["interval"], 100);
}
