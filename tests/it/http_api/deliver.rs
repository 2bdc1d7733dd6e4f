//! To send to sessions by their aliases, and to users.

use serde_json::json;

use super::{ask, json_of, post, problem, server, server_with};
use crate::logins::hash_of;

const DELIVER: &str = "/api/v1/deliver";

#[tokio::test]
async fn a_session_receives_what_is_for_it_be_it_subscribed_or_not() {
    let server = server();
    let (mut one, mut other) = (server.client().await, server.client().await);
    let alias = server.alias(&one.id);
    assert_ne!(alias, one.id);
    for channel in ["/service/orders", "/chat/1"] {
        let body = format!(
            r#"{{"session":"{alias}","channel":"{channel}","data":{{"a" :1.0}},"ext":{{"x":1}}}}"#
        );
        let answer = json_of(&ask(&server, post(DELIVER, body)).await);
        assert_eq!(answer, json!({"sessions": 1, "dropped": 0}));
        let expected = json!({"channel": channel, "data": {"a": 1.0}, "ext": {"x": 1}});
        assert_eq!(one.queued().await, [expected]);
    }
    assert!(other.queued().await.is_empty());
}

#[tokio::test]
async fn all_sessions_of_a_user_receive_what_is_for_it() {
    let user = format!(
        "user=[{{ name = 'u1', password_hash = '{}' }}]",
        hash_of("p")
    );
    let server = server_with(&[&user]);
    let mut anonymous = server.client().await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = crate::support::Client::new(server.address);
        let ext = json!({"authentication": {"user": "u1", "password": "p"}});
        let reply = client.handshake_with(json!({"ext": ext})).await;
        assert_eq!(reply["successful"], true, "{reply}");
        client.connect().await;
        clients.push(client);
    }
    let body = json!({"user": "u1", "channel": "/service/x", "data": 1}).to_string();
    let answer = json_of(&ask(&server, post(DELIVER, body.clone())).await);
    assert_eq!(answer, json!({"sessions": 2, "dropped": 0}));
    for client in &mut clients {
        let events = client.queued().await;
        assert_eq!(events, [json!({"channel": "/service/x", "data": 1})]);
    }
    assert!(anonymous.queued().await.is_empty());
    let nobody = ask(&server, post(DELIVER, body.replace("u1", "u2"))).await;
    assert_eq!(json_of(&nobody), json!({"sessions": 0, "dropped": 0}));
}

#[tokio::test]
async fn what_cannot_be_delivered_is_a_problem() {
    let server = server();
    let mut client = server.client().await;
    let alias = server.alias(&client.id);
    let cases = [
        (json!({"channel": "/a", "data": 1}), (400, "message")),
        (
            json!({"session": alias, "user": "u", "channel": "/a", "data": 1}),
            (400, "message"),
        ),
        (json!({"session": alias, "channel": "/a"}), (400, "message")),
        (
            json!({"session": alias, "channel": "/a", "data": 1, "id": "x"}),
            (400, "message"),
        ),
        (
            json!({"session": 7, "channel": "/a", "data": 1}),
            (400, "message"),
        ),
        (
            json!({"session": alias, "channel": "/a/*", "data": 1}),
            (400, "channel"),
        ),
        (
            json!({"session": alias, "channel": "/meta/connect", "data": 1}),
            (400, "channel_kind"),
        ),
        (
            json!({"session": "x", "channel": "/a", "data": 1}),
            (404, "session_unknown"),
        ),
        // Its client id is no name by which others know it.
        (
            json!({"session": client.id, "channel": "/a", "data": 1}),
            (404, "session_unknown"),
        ),
        (
            json!([{"session": alias, "channel": "/a", "data": 1}]),
            (400, "message"),
        ),
    ];
    for (body, (status, kind)) in cases {
        let response = ask(&server, post(DELIVER, body.to_string())).await;
        assert_eq!(problem(&response), (status, kind.to_owned()), "{body}");
    }
    assert!(client.queued().await.is_empty());
    client.disconnect().await;
    let body = json!({"session": alias, "channel": "/a", "data": 1}).to_string();
    let response = ask(&server, post(DELIVER, body)).await;
    assert_eq!(problem(&response), (404, "session_unknown".to_owned()));
}
