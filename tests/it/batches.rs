//! Several messages in one request: each gets its reply, in order, whatever its neighbours do.

use serde_json::{Value, json};

use crate::support::{Client, TestServer, WebSocket, only};

#[tokio::test]
async fn every_message_is_answered_in_order() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let replies = client
        .send([
            json!({"channel": "/meta/subscribe", "id": "1", "subscription": "/a"}),
            json!({"channel": "/service/x", "id": "2", "data": 1}),
            json!({"channel": "/meta/unsubscribe", "id": "3", "subscription": "/a"}),
            json!({"channel": "/b", "id": "4", "data": 1}),
        ])
        .await;
    let ids: Vec<_> = replies.iter().map(|reply| reply["id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    assert!(replies.iter().all(|reply| reply["successful"] == true));
}

#[tokio::test]
async fn an_error_of_one_message_never_hides_its_neighbours() {
    let server = TestServer::start(&[]);
    let bad = [
        (
            json!({"channel": "/a//b", "data": 1}),
            "405::channel_invalid",
        ),
        (
            json!({"channel": "/a/*/b", "data": 1}),
            "405::channel_invalid",
        ),
        (
            json!({"channel": "/a/*", "data": 1}),
            "405::channel_invalid",
        ),
        (json!({"channel": 5, "data": 1}), "405::channel_invalid"),
        (json!({"channel": {}, "data": 1}), "405::channel_invalid"),
        (json!({"channel": "", "data": 1}), "405::channel_invalid"),
        (json!({"data": 1}), "400::channel_missing"),
        (
            json!({"channel": "/x", "clientId": 5, "data": 1}),
            "402::session_unknown",
        ),
        (
            json!({"channel": "/x", "id": true, "data": 1}),
            "405::message_id_invalid",
        ),
        (json!({"channel": "/x"}), "400::data_missing"),
        (
            json!({"channel": "/meta/nope", "data": null}),
            "403:denied_by_security_policy:channel_create_denied",
        ),
    ];
    for (message, error) in bad {
        let mut client = server.client().await;
        client.subscribe("/good").await;
        let good = json!({"channel": "/good", "id": "g", "data": 1});
        let messages = client.send([good.clone(), message.clone(), good]).await;
        let event = json!({"channel": "/good", "data": 1});
        let ack = json!({"channel": "/good", "id": "g", "successful": true});
        assert_eq!(messages[..3], [event.clone(), event, ack.clone()]);
        assert_eq!(messages[3]["error"], error, "{message}");
        assert_eq!(messages[3]["successful"], false, "{message}");
        assert_eq!(messages[4..], [ack]);
    }
}

/// Half an emoji, which JSON can spell and Rust's strings cannot hold.
const HALF: &str = r"\ud83d";

#[tokio::test]
async fn half_an_emoji_in_names_and_values_passes_through() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let id = client.id.clone();
    let fields = [
        format!(r#""data":"{HALF}""#),
        format!(r#""data":{{"{HALF}":"{HALF}"}}"#),
        format!(r#""data":1,"ext":{{"{HALF}":["{HALF}"]}}"#),
        format!(r#""data":1,"{HALF}":1"#),
        format!(r#""data":1,"a{HALF}b\\":"{HALF}""#),
        // Names keep their bytes as values do.
        r#""data":1,"\u0061\/":"\/""#.to_owned(),
    ];
    for fields in fields {
        let body = format!(r#"[{{"channel":"/a","clientId":"{id}",{fields}}}]"#);
        let response = client.post(body).await;
        let text = response.text();
        let event = format!(r#"[{{"channel":"/a",{fields}}},"#);
        assert!(text.starts_with(&event), "{text} begins with {event}");
        assert!(text.contains(r#""successful":true"#), "{text}");
    }
}

#[tokio::test]
async fn half_an_emoji_fails_at_most_its_own_message() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let id = client.id.clone();
    let own = format!(r#""clientId":"{id}""#);
    let half = [
        (
            format!(r#"{own},"channel":"/{HALF}","data":1"#),
            "405::channel_invalid",
        ),
        (
            format!(r#"{own},"channel":"/meta/{HALF}""#),
            "405::channel_invalid",
        ),
        (
            format!(r#"{own},"channel":"/meta/subscribe","subscription":"/{HALF}""#),
            "403::subscription_invalid",
        ),
        (
            format!(r#"{own},"channel":"/meta/subscribe","subscription":["/a","/{HALF}"]"#),
            "403::subscription_invalid",
        ),
        (
            format!(r#"{own},"channel":"/meta/unsubscribe","subscription":"/{HALF}""#),
            "403::subscription_invalid",
        ),
        (
            format!(r#""clientId":"{HALF}","channel":"/a","data":1"#),
            "402::session_unknown",
        ),
    ];
    for (fields, error) in half {
        let good = format!(r#"{{{own},"channel":"/service/x","data":1}}"#);
        let replies = client.post(format!("[{good},{{{fields}}},{good}]")).await;
        let text = replies.text();
        assert_eq!(text.matches(r#""successful":true"#).count(), 2, "{text}");
        assert!(text.contains(&format!(r#""error":"{error}""#)), "{text}");
    }
    // A type that is none is passed over, as any that is unknown.
    let connect = format!(r#"{own},"channel":"/meta/connect","connectionType":"{HALF}""#);
    let body = format!(r#"[{{{connect},"advice":{{"timeout":0}}}}]"#);
    let response = client.post(body).await;
    let text = response.text();
    assert!(text.contains(r#""successful":true"#), "{text}");
    let types = format!(r#"["{HALF}","long-polling"]"#);
    let handshake = format!(
        r#"[{{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":{types}}}]"#
    );
    let response = client.post(handshake).await;
    let text = response.text();
    assert!(text.contains(r#""successful":true"#), "{text}");
}

#[tokio::test]
async fn half_an_emoji_hides_nothing_beside_it() {
    let server = TestServer::start(&["bayeux.timeout=10s"]);
    let mut client = server.client().await;
    let id = client.id.clone();
    // A timeout of 0 is obeyed, or the connect would be held.
    let advice = format!(r#"{{"{HALF}":"{HALF}","timeout":0}}"#);
    let connect = format!(
        r#"[{{"channel":"/meta/connect","clientId":"{id}","{HALF}":1,"advice":{advice}}}]"#
    );
    let response = client.post(connect).await;
    let text = response.text();
    assert!(text.contains(r#""successful":true"#), "{text}");
    for ext in [
        format!(r#"{{"{HALF}":1,"ack":true}}"#),
        format!(r#"{{"ack":true,"{HALF}":{{"{HALF}":1}}}}"#),
    ] {
        let body = format!(r#"[{{"channel":"/meta/handshake","version":"1.0","ext":{ext}}}]"#);
        let response = client.post(body).await;
        let text = response.text();
        assert!(text.contains(r#""ext":{"ack":true}"#), "{text}");
    }
    let timesync = format!(r#"{{"timesync":{{"{HALF}":1,"tc":7}}}}"#);
    let body = format!(r#"[{{"channel":"/meta/handshake","version":"1.0","ext":{timesync}}}]"#);
    let response = client.post(body).await;
    let text = response.text();
    assert!(text.contains(r#""tc":7"#), "{text}");
}

#[tokio::test]
async fn advice_of_the_wrong_type_is_passed_over() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    for advice in [json!("x"), json!(5), json!({"timeout": "0"})] {
        let replies = client
            .send([
                json!({"channel": "/meta/connect", "id": "1", "advice": advice}),
                json!({"channel": "/a", "id": "2", "data": 1, "advice": advice}),
            ])
            .await;
        assert!(replies.iter().all(|reply| reply["successful"] == true));
    }
}

#[tokio::test]
async fn events_come_before_the_replies_of_the_same_response() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let messages = client
        .send([
            json!({"channel": "/meta/subscribe", "id": "1", "subscription": "/a"}),
            json!({"channel": "/a", "id": "2", "data": "x"}),
            json!({"channel": "/a", "id": "3", "data": "y"}),
        ])
        .await;
    let fields: Vec<_> = messages
        .iter()
        .map(|message| message.get("data").unwrap_or(&message["id"]).clone())
        .collect();
    assert_eq!(fields, ["x", "y", "1", "2", "3"]);
}

#[tokio::test]
async fn a_foreign_client_id_in_a_batch_is_unknown_for_its_message_only() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let mut own_other = client.tab();
    own_other.handshake().await;
    let stranger = server.client().await;
    for foreign in [&own_other.id, &stranger.id] {
        let messages = client
            .send([
                json!({"channel": "/service/x", "id": "1", "data": 1}),
                json!({"channel": "/service/x", "id": "2", "clientId": foreign, "data": 1}),
                json!({"channel": "/service/x", "id": "3", "data": 1}),
            ])
            .await;
        let successes: Vec<_> = messages.iter().map(|reply| &reply["successful"]).collect();
        assert_eq!(successes, [true, false, true]);
        assert_eq!(messages[1]["error"], "402::session_unknown");
    }
}

#[tokio::test]
async fn a_handshake_is_answered_alone_and_the_rest_of_its_batch_is_passed_over() {
    let server = TestServer::start(&[]);
    let other = server.client().await;
    let batch = json!([
        {"channel": "/a", "id": "1", "clientId": other.id, "data": 1},
        {"channel": "/meta/handshake", "id": "2", "version": "1.0"},
        {"channel": "/meta/connect", "id": "3", "clientId": other.id},
    ]);
    let reply = only(server.post(batch.to_string()).await.messages());
    assert_eq!(
        (&reply["id"], &reply["successful"]),
        (&json!("2"), &json!(true))
    );
    assert_eq!(server.metrics().published.value(), 0);
}

#[tokio::test]
async fn a_connect_that_is_not_alone_is_never_held() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    for position in 0..2 {
        let mut batch = [
            json!({"channel": "/meta/subscribe", "id": "s", "subscription": "/a"}),
            json!({"channel": "/meta/connect", "id": "c"}),
        ];
        batch.rotate_left(position);
        let replies = client.send(batch).await;
        assert!(replies.iter().all(|reply| reply["successful"] == true));
    }
}

#[tokio::test]
async fn a_batch_wakes_the_held_connect_once_its_messages_are_done() {
    let server = TestServer::start(&["bayeux.meta_connect_deliver_only=true"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let message = json!({"channel": "/a", "id": "p", "data": 1});
    let replies = client
        .send([message.clone(), message.clone(), message])
        .await;
    assert_eq!(replies.len(), 3);
    assert_eq!(client.polled().await.len(), 4, "all three at once");
}

#[tokio::test]
async fn messages_after_a_disconnect_of_the_same_batch_are_of_an_unknown_session() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let replies = client
        .send([
            json!({"channel": "/meta/disconnect", "id": "1"}),
            json!({"channel": "/a", "id": "2", "data": 1}),
        ])
        .await;
    assert_eq!(replies[0]["successful"], true);
    assert_eq!(replies[1]["error"], "402::session_unknown");
}

#[tokio::test]
async fn a_single_object_is_answered_with_an_array() {
    let server = TestServer::start(&[]);
    let response = server.post(r#" {"channel":"/meta/handshake"} "#).await;
    assert_eq!(response.messages().len(), 1);
}

#[tokio::test]
async fn a_batch_of_nothing_but_mistakes_is_answered_all_the_same() {
    let server = TestServer::start(&[]);
    let mut client = Client::new(server.address);
    let replies = client
        .post(json!([{}, {"id": 1}, {"channel": null}]).to_string())
        .await
        .messages();
    assert_eq!(replies.len(), 3);
    let is_error = |reply: &Value| reply["error"] == "400::channel_missing";
    assert!(replies.iter().all(is_error), "{replies:?}");
}

/// Ids as clients send them: those of CometD, Faye and jquery.comet, UUIDs, base64, and odd ones.
const IDS: [&str; 14] = [
    r#""1""#,
    r#""1c0ec4fb-1ad1-4e57-9bd4-3b1e0ed4ea2f""#,
    r#""msg_1_1""#,
    r#""MQ==""#,
    "0",
    "12",
    "-1",
    "1.5",
    "1.50e+0",
    r#""""#,
    r#""é✓ \u00e9\/""#,
    r#""\ud83d""#,
    r#""</script><!--\"""#,
    "null",
];

#[tokio::test]
async fn ids_are_echoed_byte_for_byte() {
    let server = TestServer::start(&[]);
    for id in IDS {
        let mut socket = WebSocket::client(server.address).await;
        let mut client = server.client().await;
        let publish = format!(r#""channel":"/a","id":{id},"data":1"#);
        let reply = format!(r#"[{{"successful":true,"channel":"/a","id":{id}}}]"#);
        let message = format!(r#"{{{publish},"clientId":"{}"}}"#, client.id);
        assert_eq!(client.post(message).await.text(), reply);
        socket
            .text(&format!(r#"{{{publish},"clientId":"{}"}}"#, socket.id))
            .await;
        assert_eq!(socket.next_text().await, reply);
        let handshake = format!(r#"{{"channel":"/meta/handshake","id":{id}}}"#);
        let response = server.post(handshake).await;
        assert!(
            response.text().contains(&format!(r#","id":{id},"#)),
            "{}",
            response.text()
        );
        // Of a connect that is held the id is kept.
        let connect = format!(
            r#"{{"channel":"/meta/connect","id":{id},"clientId":"{}"}}"#,
            client.id
        );
        let request = client.request(connect).bytes();
        client.poll_connection().await.send(request).await;
        server.holds(1).await;
        client.disconnect().await;
        let response = client.poll_connection().await.response().await;
        assert!(
            response.text().contains(&format!(r#","id":{id},"#)),
            "{}",
            response.text()
        );
    }
}

#[tokio::test]
async fn what_is_echoed_has_a_type_that_clients_can_read() {
    let server = TestServer::start(&[]);
    let mut client = server.client().await;
    let own = json!(client.id);
    let odd = [
        json!(5),
        json!(true),
        json!({"a": 1}),
        json!([1]),
        json!(["/a", {}]),
    ];
    for value in odd {
        let replies = client
            .send([
                json!({"channel": value, "id": "1", "data": 1}),
                json!({"channel": "/meta/subscribe", "id": "2", "subscription": value}),
                json!({"channel": "/meta/unsubscribe", "id": "3", "subscription": value}),
                json!({"channel": "/meta/nope", "id": "4", "subscription": value}),
                json!({"channel": "/a", "data": 1, "id": [value]}),
                json!({"channel": "/meta/subscribe", "id": "6", "clientId": own, "subscription": "/a"}),
            ])
            .await;
        let errors = [
            "405::channel_invalid",
            "403::subscription_invalid",
            "403::subscription_invalid",
            "403:denied_by_security_policy:channel_create_denied",
            "405::message_id_invalid",
        ];
        for (reply, error) in replies.iter().zip(errors) {
            assert_eq!(reply["error"], error);
            assert!(reply.get("channel").is_none_or(Value::is_string), "{reply}");
            assert!(reply.get("id").is_none_or(Value::is_string), "{reply}");
            assert_eq!(reply.get("subscription"), None, "{reply}");
        }
        assert_eq!(
            (&replies[5]["successful"], replies.len()),
            (&json!(true), 6)
        );
    }
}
