//! Clients of 2006 to 2008: protocol 0.1, comment filters, Latin-1 forms, empty batches.

use serde_json::{Value, json};

use crate::support::{Client, Request, Response, TestServer, only, percent};

const FORM: &str = "application/x-www-form-urlencoded";

async fn form(server: &TestServer, fields: &str) -> Response {
    let request = Request::post(fields).header("Content-Type", FORM);
    server.open().await.exchange(request).await
}

/// A client of protocol 0.1, after handshake and first connect.
async fn client_0_1(server: &TestServer) -> Client {
    let mut client = Client::new(server.address).without_cookies();
    client
        .handshake_with(json!({"version": 0.1, "minimumVersion": 0.1}))
        .await;
    client.connect().await;
    client
}

#[tokio::test]
async fn dojo_0_4_goes_from_handshake_to_its_first_event() {
    let server = TestServer::start(&[]);
    let handshake = r#"[{"version":0.1,"minimumVersion":0.1,"channel":"/meta/handshake"}]"#;
    let reply = only(
        form(&server, &format!("message={}", percent(handshake)))
            .await
            .messages(),
    );
    assert_eq!(reply["successful"], true);
    assert_eq!(reply["authSuccessful"], true);
    assert_eq!(reply["version"], "1.0");
    assert!(reply.get("id").is_none());
    let id = reply["clientId"].as_str().unwrap();

    let call = async |message: Value| {
        let fields = format!("message={}", percent(&json!([message]).to_string()));
        form(&server, &fields).await.messages()
    };
    let connect = json!({
        "channel": "/meta/connect", "clientId": id, "connectionType": "long-polling",
    });
    let reply = only(call(connect).await);
    assert_eq!(reply["successful"], true);
    let connection = reply["connectionId"].clone();
    assert!(connection.is_string());

    let subscribe = json!({
        "channel": "/meta/subscribe", "clientId": id, "connectionId": connection,
        "subscription": "/a",
    });
    assert_eq!(only(call(subscribe).await)["successful"], true);
    let publish = json!({"channel": "/a", "clientId": id, "connectionId": connection, "data": 1});
    assert_eq!(call(publish).await.len(), 1, "events come with polls only");
    let reconnect = json!({
        "channel": "/meta/reconnect", "clientId": id, "connectionId": connection,
        "connectionType": "long-polling", "timestamp": null, "id": null,
    });
    let messages = call(reconnect).await;
    assert_eq!(messages[0], json!({"channel": "/a", "data": 1}));
    assert_eq!(
        messages[1],
        json!({
            "channel": "/meta/reconnect", "id": null, "successful": true,
            "connectionId": connection,
        })
    );
}

#[tokio::test]
async fn a_reconnect_is_held_like_a_connect() {
    let server = TestServer::start(&[]);
    let mut client = client_0_1(&server).await;
    client.subscribe("/a").await;
    let reconnect = json!({"channel": "/meta/reconnect", "connectionType": null});
    client.poll_with(reconnect).await;
    server.holds(1).await;
    server.client().await.publish("/a", 1).await;
    let messages = client.polled().await;
    assert_eq!(messages[0]["data"], 1);
    assert_eq!(messages[1]["channel"], "/meta/reconnect");
    assert!(messages[1]["connectionId"].is_string());
}

#[tokio::test]
async fn a_reconnect_of_an_unknown_session_is_told_to_handshake() {
    let server = TestServer::start(&[]);
    let mut client = Client::new(server.address);
    let reply = only(
        client
            .connect_with(json!({"channel": "/meta/reconnect"}))
            .await,
    );
    assert_eq!(reply["channel"], "/meta/reconnect");
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
}

#[tokio::test]
async fn a_reconnect_of_an_unknown_session_is_not_told_at_once_but_when_the_server_stops() {
    // Clients of 0.1 ignore advice: told at once, they would ask again at once, for good.
    let mut server = TestServer::start(&[]);
    let mut http = server.open().await;
    let message = json!([{"channel": "/meta/reconnect", "clientId": "gone", "id": null}]);
    http.send(Request::post(message.to_string()).bytes()).await;
    assert!(http.is_silent().await);
    server.stop();
    let reply = only(http.response().await.messages());
    assert_eq!(reply["error"], "402::session_unknown");
}

#[tokio::test]
async fn a_reconnect_after_the_disconnect_is_told_at_once_but_once() {
    let server = TestServer::start(&[]);
    let mut client = client_0_1(&server).await;
    client.disconnect().await;
    let reconnect = client.message(json!({"channel": "/meta/reconnect"}));
    let request = client.request(reconnect.to_string());
    let mut http = server.open().await;
    let reply = only(http.exchange(request.clone()).await.messages());
    assert_eq!(reply["advice"]["reconnect"], "none");
    http.send(request.bytes()).await;
    assert!(http.is_silent().await);
}

#[tokio::test]
async fn a_client_of_0_1_reads_events_on_connects_only() {
    let server = TestServer::start(&[]);
    let mut client = client_0_1(&server).await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    assert_eq!(client.publish("/a", 1).await.len(), 1);
    assert_eq!(client.polled().await[0]["data"], 1);
}

#[tokio::test]
async fn other_clients_see_nothing_of_protocol_0_1() {
    let server = TestServer::start(&["bayeux.timeout=20ms"]);
    for version in [json!("0.1"), json!(1), json!("1.0"), json!(0.9)] {
        let mut client = Client::new(server.address);
        let reply = client.handshake_with(json!({"version": version})).await;
        assert!(reply.get("authSuccessful").is_none(), "{version}");
        for _ in 0..2 {
            assert!(only(client.connect().await).get("connectionId").is_none());
        }
    }
}

#[tokio::test]
async fn a_comment_s_end_is_escaped_for_clients_that_take_it_for_one() {
    let server = TestServer::start(&[]);
    let text = r#"a /* \"b\" */ c"#;
    for (ext, escapes) in [
        (json!({"ext": {"json-comment-filtered": true}}), true),
        (json!({"ext": {"json-comment-filtered": false}}), false),
        (json!({}), false),
    ] {
        let mut client = Client::new(server.address);
        client.handshake_with(ext).await;
        client.connect().await;
        client.subscribe("/a").await;
        let message = format!(
            r#"{{"channel":"/a","clientId":"{}","data":"{text}"}}"#,
            client.id
        );
        // With a reply, with a connect that is answered at once, and with one that was held.
        let response = client.post(message.clone()).await;
        assert_eq!(response.text().contains("*/"), !escapes);
        assert_eq!(response.messages()[0]["data"], "a /* \"b\" */ c");
        client.poll().await;
        server.holds(1).await;
        server.client().await.publish("/a", "*/").await;
        let response = client.poll_connection().await.response().await;
        assert_eq!(response.text().contains("*/"), !escapes);
        assert_eq!(response.messages()[0]["data"], "*/");
        client.disconnect().await;
    }
}

#[tokio::test]
async fn replies_are_never_comment_filtered() {
    let server = TestServer::start(&[]);
    let ext = r#"[{"channel":"/meta/handshake","ext":{"json-comment-filtered":true}}]"#;
    assert!(server.post(ext).await.text().starts_with("[{"));
}

#[tokio::test]
async fn latin_1_forms_are_read() {
    let server = TestServer::start(&[]);
    let mut client = server.cookieless().await;
    client.subscribe("/a").await;
    let message = client
        .message(json!({"channel": "/a", "data": "X"}))
        .to_string();
    let cases = [
        ("%E9", "é"),
        ("%C3%A9", "é"),
        ("%E9 &#10003;", "é &#10003;"),
    ];
    for (encoded, data) in cases {
        let encoded = encoded.replace('&', "%26").replace('#', "%23");
        let fields = format!(
            "message={}",
            percent(&message).replace("%22X%22", &format!("%22{encoded}%22"))
        );
        assert_eq!(form(&server, &fields).await.messages()[0]["data"], data);
    }
}

#[tokio::test]
async fn an_empty_batch_in_a_form_is_answered_with_one() {
    let server = TestServer::start(&[]);
    for fields in ["message=[]", "message=%5B%5D"] {
        let response = form(&server, fields).await;
        assert_eq!((response.status, response.text()), (200, "[]"));
    }
}

#[tokio::test]
async fn jquery_comet_s_single_objects_and_numeric_ids_are_taken() {
    let server = TestServer::start(&[]);
    let handshake =
        r#"{"version":"1.0","minimumVersion":"0.9","channel":"/meta/handshake","id":0}"#;
    let reply = only(
        form(&server, &format!("message={handshake}"))
            .await
            .messages(),
    );
    assert_eq!(
        (&reply["successful"], &reply["id"]),
        (&json!(true), &json!(0))
    );
}
