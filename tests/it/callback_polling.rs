//! callback-polling: messages in a query, replies as a script.

use serde_json::{Value, json};

use crate::support::{Client, Request, TestServer, percent};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","id":"1"}]"#;

async fn get(server: &TestServer, target: &str) -> crate::support::Response {
    server
        .open()
        .await
        .exchange(Request::new("GET", target).header("Sec-Fetch-Site", "same-origin"))
        .await
}

/// Sends messages of a client without a cookie by JSONP.
async fn call(server: &TestServer, client: &Client, message: Value) -> Vec<Value> {
    let request = Request::jsonp("cb", &json!([client.message(message)]).to_string());
    server
        .open()
        .await
        .exchange(request)
        .await
        .messages_for("cb")
}

#[tokio::test]
async fn the_reply_is_a_script_that_is_neither_sniffed_nor_cached() {
    let server = TestServer::start(&[]);
    let response = server
        .open()
        .await
        .exchange(Request::jsonp("cb", HANDSHAKE))
        .await;
    assert_eq!(response.messages_for("cb")[0]["successful"], true);
    assert_eq!(
        response.header("Content-Type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
    assert!(
        response
            .header("Cache-Control")
            .unwrap()
            .contains("no-store")
    );
    assert!(response.cookie().is_some());
}

#[tokio::test]
async fn callbacks_of_all_clients_are_taken() {
    let server = TestServer::start(&[]);
    let callbacks = [
        "dojo.io.ScriptSrcTransport._state.id1.jsonpCall",
        "dojo.io.script.jsonp_dojoIoScript1._jsonpCallback",
        "jsonp1795210849944",
        "jQuery112406883102096116913_1795209195108",
        "_cometd_jsonp_0",
        "__jsonp1__",
        "$",
        "$.a",
        &"x".repeat(64),
    ];
    for callback in callbacks {
        let response = server
            .open()
            .await
            .exchange(Request::jsonp(callback, HANDSHAKE))
            .await;
        assert_eq!(response.messages_for(callback).len(), 1);
    }
}

#[tokio::test]
async fn other_callbacks_are_refused() {
    let server = TestServer::start(&[]);
    let message = percent(HANDSHAKE);
    let long = "x".repeat(65);
    for callback in [
        "", "alert(1)", "a%20b", "a%0Ab", "a;b", "a%3Cb", "%C3%A9", "a[0]", &long, "a-b", "1a",
        ".a", "a.", "a..b", "a.1",
    ] {
        let target = format!("/cometd?jsonp={callback}&message={message}");
        let response = get(&server, &target).await;
        assert_eq!(response.status, 400, "{callback}");
        assert!(response.reason().contains("callback"), "{callback}");
    }
    let target = format!("/cometd?jsonp=a&jsonp=b&message={message}");
    assert_eq!(get(&server, &target).await.status, 400);
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn without_a_callback_the_specification_s_own_is_called() {
    let server = TestServer::start(&[]);
    let target = format!("/cometd?message={}", percent(HANDSHAKE));
    let response = get(&server, &target).await;
    assert_eq!(response.messages_for("jsonpcallback").len(), 1);
}

#[tokio::test]
async fn parameters_come_in_any_order_with_others_and_messages_repeat() {
    let server = TestServer::start(&[]);
    let one = percent(r#"{"channel":"/a","data":1}"#);
    let two = percent(r#"[{"channel":"/a","data":1},{"channel":"/b","data":1}]"#);
    let cases = [
        (format!("/cometd/?message={one}&jsonp=cb"), 1),
        (format!("/cometd?_=17&jsonp=cb&message={one}&x"), 1),
        (format!("/cometd?message={one}&jsonp=cb&message={two}"), 3),
        (format!("/cometd/connect?message={two}&jsonp=cb"), 2),
    ];
    for (target, count) in cases {
        let response = get(&server, &target).await;
        assert_eq!(response.messages_for("cb").len(), count, "{target}");
    }
}

#[tokio::test]
async fn a_query_without_a_message_is_refused() {
    let server = TestServer::start(&[]);
    for target in [
        "/cometd",
        "/cometd?jsonp=cb",
        "/cometd?jsonp=cb&message=nonsense",
    ] {
        let response = get(&server, target).await;
        assert_eq!(response.status, 400, "{target}");
        assert!(!response.reason().is_empty());
    }
}

#[tokio::test]
async fn the_reply_is_safe_as_a_script() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    call(
        &server,
        &client,
        json!({"channel": "/meta/subscribe", "subscription": "/a"}),
    )
    .await;
    let data = "</script><!--\u{2028}\u{2029}";
    call(&server, &client, json!({"channel": "/a", "data": data})).await;
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]).to_string();
    let response = server
        .open()
        .await
        .exchange(Request::jsonp("cb", &connect))
        .await;
    for unsafe_text in ["</", "<!--", "\u{2028}", "\u{2029}"] {
        assert!(!response.text().contains(unsafe_text), "{unsafe_text:?}");
    }
    assert_eq!(response.messages_for("cb")[0]["data"], data);
}

#[tokio::test]
async fn a_prototype_in_data_is_a_field_like_any_other() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let subscribe = json!({"channel": "/meta/subscribe", "subscription": "/a"});
    call(&server, &client, subscribe).await;
    let data = r#"{"__proto__":{"a":1},"__pro\u0074o__":"</script>"}"#;
    let fields = r#""__proto__":{"advice":{"reconnect":"none"}},"ext":{"__proto__":1}"#;
    let publish = format!(
        r#"[{{"channel":"/a","clientId":"{}",{fields},"data":{data}}}]"#,
        server.cookieless().await.id
    );
    assert_eq!(server.post(publish).await.messages()[0]["successful"], true);
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]).to_string();
    let response = server
        .open()
        .await
        .exchange(Request::jsonp("cb", &connect))
        .await;
    let literal = response
        .argument_of("cb")
        .strip_prefix("JSON.parse(")
        .and_then(|call| call.strip_suffix(')'))
        .unwrap();
    assert!(!literal.contains("</"), "{literal}");
    let json: String = serde_json::from_str(literal).unwrap();
    let event = format!(r#"[{{"channel":"/a","data":{data},"ext":{{"__proto__":1}}}},"#);
    assert!(json.starts_with(&event), "{json}");
}

#[tokio::test]
async fn a_connect_is_held_and_resumed_as_a_script() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    call(
        &server,
        &client,
        json!({"channel": "/meta/subscribe", "subscription": "/a"}),
    )
    .await;
    let connect = json!([client.message(json!({"channel": "/meta/connect", "id": "c"}))]);
    let mut poll = server.open().await;
    let request = Request::jsonp("held", &connect.to_string());
    poll.send(request.bytes()).await;
    server.holds(1).await;
    server.client().await.publish("/a", 1).await;
    let response = poll.response().await;
    let messages = response.messages_for("held");
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
    assert_eq!(messages[1]["id"], "c");
    assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"));
}

#[tokio::test]
async fn events_travel_on_connects_only() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let subscribe = json!({"channel": "/meta/subscribe", "subscription": "/a"});
    call(&server, &client, subscribe).await;
    let messages = call(&server, &client, json!({"channel": "/a", "data": 1})).await;
    assert_eq!(messages.len(), 1, "the reply alone");
    let messages = call(&server, &client, json!({"channel": "/meta/connect"})).await;
    assert_eq!(messages[0]["data"], 1);
}

#[tokio::test]
async fn failures_of_messages_are_scripts_with_status_200() {
    let server = TestServer::start(&[]);
    let connect = r#"[{"channel":"/meta/connect","clientId":"x","id":"1"}]"#;
    let response = server
        .open()
        .await
        .exchange(Request::jsonp("cb", connect))
        .await;
    let reply = &response.messages_for("cb")[0];
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
}

#[tokio::test]
async fn a_session_may_change_its_transport() {
    let server = TestServer::start(&[]);
    let mut client = server.cookieless().await;
    let connect = json!({"channel": "/meta/connect", "advice": {"timeout": 0}});
    assert_eq!(call(&server, &client, connect).await[0]["successful"], true);
    assert_eq!(client.publish("/a", 1).await[0]["successful"], true);
}

#[tokio::test]
async fn request_lines_of_16_kib_are_read() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let data = "x".repeat(20_000);
    let messages = call(&server, &client, json!({"channel": "/a", "data": data})).await;
    assert_eq!(messages[0]["successful"], true);
}

#[tokio::test]
async fn a_transport_that_is_off_is_not_served() {
    let server = TestServer::start(&["bayeux.transports=long-polling"]);
    let response = server
        .open()
        .await
        .exchange(Request::jsonp("cb", HANDSHAKE))
        .await;
    assert_eq!(response.status, 405);
    assert!(response.header("Allow").is_some());
}
