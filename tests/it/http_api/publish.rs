//! To publish: one message, many, or bare data; each with its receipt.

use serde_json::{Value, json};

use super::{ask, json_of, kind, post, problem, server, server_with};
use crate::support::{Http, TestServer};

const PUBLISH: &str = "/api/v1/publish";

fn accepted(channel: &str, receivers: u32, dropped: u32) -> Value {
    json!({
        "accepted": true, "channel": channel, "receivers": receivers, "dropped": dropped,
        "id": null, "persisted": false,
    })
}

async fn publish(server: &TestServer, body: impl Into<Vec<u8>>) -> Value {
    json_of(&ask(server, post(PUBLISH, body)).await)
}

#[tokio::test]
async fn subscribers_receive_a_message_and_the_receipt_says_how_many() {
    let server = server();
    let mut clients = [server.client().await, server.client().await];
    for client in &mut clients {
        client.subscribe("/chat/*").await;
    }
    let receipt = publish(&server, r#"{"channel":"/chat/1","data":{"text":"hi"}}"#).await;
    assert_eq!(receipt, accepted("/chat/1", 2, 0));
    let receipt = publish(
        &server,
        r#"{"channel":"/other","data":1,"ext":null,"id":null}"#,
    )
    .await;
    assert_eq!(receipt, accepted("/other", 0, 0));
    for client in &mut clients {
        let expected = json!({"channel": "/chat/1", "data": {"text": "hi"}});
        assert_eq!(client.queued().await, [expected]);
    }
    let figures = server.metrics().render();
    assert!(
        figures.contains("mirant_api_messages_total{outcome=\"accepted\"} 2"),
        "{figures}"
    );
    assert_eq!(server.metrics().published.value(), 2);
}

#[tokio::test]
async fn data_and_ext_keep_their_bytes() {
    let server = server();
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let odd = r#"{"b" : 1.10,"a":1e400,"a":123456789012345678901234567890,"c":"\u0041\ud83d\/é"}"#;
    let sent = [
        (
            PUBLISH,
            format!(r#"{{"channel":"/a","data":{odd},"ext":{{"x" :{odd}}}}}"#),
        ),
        (
            PUBLISH,
            format!(r#" [ {{"d\u0061ta" : {odd} , "channel":"\/a" }} ] "#),
        ),
        ("/api/v1/publish/a", format!("\n {odd} \n")),
    ];
    for (path, body) in sent {
        json_of(&ask(&server, post(path, body)).await);
    }
    client.poll_with(json!({"advice": {"timeout": 0}})).await;
    let response = client.poll_connection().await.response().await;
    let text = response.text();
    assert_eq!(
        text.matches(&format!(r#""data":{odd}"#)).count(),
        3,
        "{text}"
    );
    assert_eq!(
        text.matches(&format!(r#""ext":{{"x" :{odd}}}"#)).count(),
        1,
        "{text}"
    );
}

#[tokio::test]
async fn each_message_of_a_list_has_its_receipt_and_none_hides_its_neighbours() {
    let server = server_with(&["bayeux.max_channel_length=20"]);
    let mut client = server.client().await;
    client.subscribe("/**").await;
    let messages = [
        (r#"{"channel":"/a","data":1}"#, None),
        ("5", Some((400, "message"))),
        (r#"{"channel":"/b"}"#, Some((400, "message"))),
        (r#"{"data":2}"#, Some((400, "message"))),
        (r#"{"channel":7,"data":2}"#, Some((400, "message"))),
        (
            r#"{"channel":"/b","data":2,"dta":3}"#,
            Some((400, "message")),
        ),
        (
            r#"{"channel":"/b","data":2,"id":3}"#,
            Some((400, "message")),
        ),
        (
            r#"{"channel":"/b","data":2,"session":"x"}"#,
            Some((400, "message")),
        ),
        (r#"{"channel":"/b/*","data":2}"#, Some((400, "channel"))),
        (r#"{"channel":"b","data":2}"#, Some((400, "channel"))),
        (
            r#"{"channel":"/bbbbbbbbbbbbbbbbbbbbbbb","data":2}"#,
            Some((400, "channel")),
        ),
        (
            r#"{"channel":"/service/b","data":2}"#,
            Some((400, "channel_kind")),
        ),
        (
            r#"{"channel":"/meta/connect","data":2}"#,
            Some((400, "channel_kind")),
        ),
        (r#"{"channel":"/c","data":null}"#, None),
    ];
    let body: Vec<&str> = messages.iter().map(|(message, _)| *message).collect();
    let answer = publish(&server, format!("[{}]", body.join(","))).await;
    let receipts = answer["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), messages.len());
    for ((message, expected), receipt) in messages.iter().zip(receipts) {
        match expected {
            None => assert_eq!(receipt["receivers"], 1, "{message}: {receipt}"),
            Some((status, of_kind)) => {
                assert_eq!(receipt["accepted"], false, "{message}");
                assert_eq!(receipt["error"]["status"], *status, "{message}");
                assert_eq!(kind(&receipt["error"]), *of_kind, "{message}: {receipt}");
                let alone = ask(&server, post(PUBLISH, *message)).await;
                if *message != "5" {
                    assert_eq!(
                        problem(&alone),
                        (*status, (*of_kind).to_owned()),
                        "{message}"
                    );
                }
            }
        }
    }
    let data: Vec<Value> = client
        .queued()
        .await
        .into_iter()
        .map(|event| event["data"].clone())
        .collect();
    assert_eq!(data, [json!(1), Value::Null]);
    assert_eq!(publish(&server, "[]").await, json!({"receipts": []}));
}

#[tokio::test]
async fn what_is_no_json_or_too_deep_or_too_much_is_refused_as_a_whole() {
    let server = server_with(&["bayeux.max_depth=4", "api.max_messages=2"]);
    let three = format!("[{}]", [r#"{"channel":"/a","data":1}"#; 3].join(","));
    let cases = [
        (PUBLISH, "", (400, "body")),
        (PUBLISH, "5", (400, "body")),
        (PUBLISH, "{", (400, "body")),
        (PUBLISH, r#"{"channel":"/a","data":1} x"#, (400, "body")),
        (
            PUBLISH,
            r#"{"channel":"/a","data":[[[[1]]]]}"#,
            (400, "body"),
        ),
        (PUBLISH, &three, (413, "too_many_messages")),
        ("/api/v1/publish/a", "", (400, "body")),
        ("/api/v1/publish/a", "hi", (400, "body")),
        ("/api/v1/publish/a", "[[[[1]]]]", (400, "body")),
        ("/api/v1/publish/a/*", "1", (400, "channel")),
        ("/api/v1/publish/", "1", (404, "nothing_here")),
        ("/api/v1/publish/%ff", "1", (400, "parameter")),
    ];
    for (path, body, (status, of_kind)) in cases {
        let response = ask(&server, post(path, body)).await;
        assert_eq!(
            problem(&response),
            (status, of_kind.to_owned()),
            "{path} {body}"
        );
    }
    assert_eq!(server.metrics().published.value(), 0);
}

#[tokio::test]
async fn bare_data_goes_to_the_channel_in_the_path() {
    let server = server();
    let mut client = server.client().await;
    client.subscribe("/chat/**").await;
    for (path, channel) in [
        ("chat/1", "/chat/1"),
        ("chat/a%20b/", "/chat/a b"),
        ("chat%2f2", "/chat/2"),
    ] {
        let response = ask(&server, post(&format!("{PUBLISH}/{path}"), "\"hi\"")).await;
        assert_eq!(json_of(&response), accepted(channel, 1, 0));
        assert_eq!(
            client.queued().await,
            [json!({"channel": channel, "data": "hi"})]
        );
    }
}

#[tokio::test]
async fn what_is_dropped_for_a_session_is_counted() {
    let server = server_with(&["bayeux.max_queue=1", "bayeux.max_queue_policy=drop_newest"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let body = r#"[{"channel":"/a","data":1},{"channel":"/a","data":2}]"#;
    let answer = publish(&server, body).await;
    assert_eq!(
        answer["receipts"],
        json!([accepted("/a", 1, 0), accepted("/a", 0, 1)])
    );
}

#[tokio::test]
async fn what_the_api_publishes_is_the_state_of_a_resource() {
    let server = server_with(&["channel=[{ pattern = '/r/**', resource = true }]"]);
    json_of(&ask(&server, post("/api/v1/publish/r/a", " [1.0] ")).await);
    let get = crate::support::Request::new("GET", "/resources/r/a");
    assert_eq!(server.open().await.exchange(get).await.text(), "[1.0]");
}

#[tokio::test]
async fn a_connection_is_kept_and_requests_may_follow_each_other_at_once() {
    let server = server();
    let mut http = Http::open(server.api.unwrap()).await;
    let both = [
        post("/api/v1/publish/a", "1"),
        post("/api/v1/publish/b", "2"),
    ];
    http.send(both.map(|request| request.bytes()).concat())
        .await;
    for channel in ["/a", "/b"] {
        assert_eq!(json_of(&http.response().await), accepted(channel, 0, 0));
    }
}

#[tokio::test]
async fn rules_for_clients_are_not_for_keys() {
    let server =
        server_with(&["access=[{ deny = ['publish'], channels = ['/**'], who = 'anyone' }]"]);
    assert_eq!(
        publish(&server, r#"{"channel":"/a","data":1}"#).await,
        accepted("/a", 0, 0)
    );
}
