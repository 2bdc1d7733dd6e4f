//! long-polling: every body that holds messages, and every one that does not.

use serde_json::json;

use crate::support::{Http, Request, Response, TestServer, percent};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake","id":"1"}]"#;
const FORM: &str = "application/x-www-form-urlencoded";

async fn posted(server: &TestServer, content_type: &str, body: impl Into<Vec<u8>>) -> Response {
    let request = Request::post(body).header("Content-Type", content_type);
    server.open().await.exchange(request).await
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[tokio::test]
async fn the_form_of_a_body_is_told_by_its_first_byte_not_by_its_type() {
    let server = TestServer::start(&[]);
    let form = format!("message={}", percent(HANDSHAKE));
    let types = [
        "application/json",
        "application/json;charset=UTF-8",
        "text/json;charset=UTF-8",
        "text/plain;charset=UTF-8",
        FORM,
        "",
    ];
    for content_type in types {
        for body in [
            HANDSHAKE.to_owned(),
            format!("\r\n {HANDSHAKE}\r\n\r\n"),
            form.clone(),
        ] {
            let response = posted(&server, content_type, body.clone()).await;
            let messages = response.messages();
            assert_eq!(messages.len(), 1, "{content_type:?} {body:?}");
            assert_eq!(messages[0]["successful"], true);
        }
    }
}

#[tokio::test]
async fn forms_hold_messages_in_every_way_clients_write_them() {
    let server = TestServer::start(&[]);
    let one = r#"{"channel":"/a","data":"x y"}"#;
    let encoded = percent(one);
    let array = percent(&format!("[{one},{one}]"));
    let cases = [
        (format!("message={encoded}"), 1),
        (format!("message={array}"), 2),
        (
            format!("message={encoded}&message={array}&message={encoded}"),
            4,
        ),
        (format!("other=1&message={encoded}&_=2"), 1),
        (format!("message={}", encoded.replace("%20", "+")), 1),
        (format!("message={one}"), 1),
        (format!("message=[{one},\n   {one}]"), 2),
        (format!("message={encoded}%0D%0A"), 1),
        (format!("message={encoded}\r\n"), 1),
    ];
    for (body, count) in cases {
        let messages = posted(&server, FORM, body.clone()).await.messages();
        assert_eq!(messages.len(), count, "{body}");
        let is_402 = |reply: &serde_json::Value| {
            let error = reply["error"].as_str().unwrap();
            error.starts_with("402:") && error.ends_with(":session_unknown")
        };
        assert!(messages.iter().all(is_402), "{body}");
    }
}

#[tokio::test]
async fn a_plus_sign_in_json_that_was_not_encoded_stays_one() {
    let server = TestServer::start(&[]);
    let mut client = server.cookieless().await;
    client.subscribe("/a").await;
    let message = client.message(json!({"channel": "/a", "data": "1+1&2%20=3"}));
    let messages = posted(&server, FORM, format!("message={message}"))
        .await
        .messages();
    assert_eq!(messages[0]["data"], "1+1&2%20=3");
}

#[tokio::test]
async fn multipart_forms_hold_messages_too() {
    let server = TestServer::start(&[]);
    let part = |name: &str, value: &str| {
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = part("other", "x") + &part("message", HANDSHAKE) + "--B--\r\n";
    let content_type = "multipart/form-data; boundary=B";
    let response = posted(&server, content_type, body).await;
    assert_eq!(response.messages()[0]["successful"], true);
    let response = posted(&server, content_type, "--B\r\nnonsense").await;
    assert_eq!(response.status, 400);
    assert!(!response.reason().is_empty());
}

#[tokio::test]
async fn any_charset_that_json_allows_is_read() {
    let server = TestServer::start(&[]);
    let mut client = server.cookieless().await;
    client.subscribe("/a").await;
    let text = format!(
        "[{}]",
        client.message(json!({"channel": "/a", "data": "é€"}))
    );
    let latin = text.replace('€', "");
    let latin: Vec<u8> = latin.chars().map(|c| u8::try_from(c).unwrap()).collect();
    let cases = [
        ("application/json", text.clone().into_bytes(), "é€"),
        (
            "application/json",
            format!("\u{FEFF}{text}").into_bytes(),
            "é€",
        ),
        ("application/json", utf16(&text, u16::to_le_bytes), "é€"),
        ("application/json", utf16(&text, u16::to_be_bytes), "é€"),
        (
            "application/json;charset=utf-16",
            utf16(&format!("\u{FEFF}{text}"), u16::to_be_bytes),
            "é€",
        ),
        (
            "application/json; charset=\"utf-8\"",
            text.clone().into_bytes(),
            "é€",
        ),
        ("application/json;charset=ISO-8859-1", latin.clone(), "é"),
        ("text/json; charset=iso-8859-15", latin, "é"),
    ];
    for (content_type, body, data) in cases {
        let messages = posted(&server, content_type, body).await.messages();
        assert_eq!(messages[0]["data"], data, "{content_type}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_batch_is_refused_with_its_status_and_a_line_that_says_why() {
    let server = TestServer::start(&[]);
    let json = "application/json";
    let bomb = "[".repeat(50_000);
    let cases: Vec<(u16, &str, Vec<u8>)> = vec![
        (400, json, "".into()),
        (400, json, " \r\n".into()),
        (400, json, "[]".into()),
        (400, json, "null".into()),
        (400, json, "true".into()),
        (400, json, "1".into()),
        (400, json, "\"x\"".into()),
        (400, json, "[1]".into()),
        (400, json, "[null]".into()),
        (400, json, "[[]]".into()),
        (400, json, "[\"x\"]".into()),
        (400, json, "{".into()),
        (400, json, "[{]".into()),
        (400, json, "[{}".into()),
        (400, json, "{'channel':1}".into()),
        (400, json, "[{\"channel\":}]".into()),
        (400, json, "{}x".into()),
        (400, json, "[{}][{}]".into()),
        (400, json, "[{}],".into()),
        (400, json, "/*[{}]*/".into()),
        (400, json, b"[{\"channel\":\"\xFF\"}]".into()),
        (400, json, "[{\"channel\":\"\\ud800\"}".into()),
        (400, json, "[{\"a\":NaN}]".into()),
        (400, json, bomb.clone().into()),
        (400, json, format!("{{\"data\":{bomb}").into()),
        (400, json, "{\"a\":".repeat(9_000).into()),
        (415, "application/json;charset=klingon", HANDSHAKE.into()),
        (400, "application/json;charset=utf-16", "[{}]x".into()),
        (400, FORM, "".into()),
        (400, FORM, "other=1".into()),
        (400, FORM, "message=".into()),
        (400, FORM, "message=nonsense".into()),
        (400, FORM, "message=%5B%7B".into()),
        (400, FORM, "nonsense".into()),
    ];
    for (status, content_type, body) in cases {
        let shown: String = String::from_utf8_lossy(&body).chars().take(40).collect();
        let response = posted(&server, content_type, body).await;
        assert_eq!(response.status, status, "{content_type} {shown}");
        assert!(!response.reason().is_empty(), "{content_type} {shown}");
        let content_type = response.header("Content-Type");
        assert_eq!(content_type, Some("application/json; charset=utf-8"));
    }
    assert_eq!(posted(&server, json, HANDSHAKE).await.status, 200);
}

#[tokio::test]
async fn nothing_of_a_malformed_batch_takes_effect() {
    let server = TestServer::start(&[]);
    let client = server.cookieless().await;
    let message = client.message(json!({"channel": "/a", "data": 1}));
    for body in [
        format!("[{message},5]"),
        format!("[{message}"),
        format!("[{message}]]"),
    ] {
        assert_eq!(server.post(body).await.status, 400);
    }
    assert_eq!(server.metrics().published.value(), 0);
}

#[tokio::test]
async fn a_malformed_body_leaves_the_connection_open() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    assert_eq!(http.exchange(Request::post("nonsense")).await.status, 400);
    assert_eq!(http.exchange(Request::post(HANDSHAKE)).await.status, 200);
}

#[tokio::test]
async fn every_path_at_or_below_the_endpoint_is_the_same() {
    let server = TestServer::start(&[]);
    let mut http = server.open().await;
    let paths = [
        "/cometd",
        "/cometd/",
        "/cometd/handshake",
        "/cometd/connect",
        "/cometd/58.0",
        "/cometd/cometd/",
        "/cometd/a/b/c?x=1",
        "/cometd?x",
    ];
    for path in paths {
        let response = http.exchange(Request::post(HANDSHAKE).to(path)).await;
        assert_eq!(response.messages()[0]["successful"], true, "{path}");
    }
    for path in ["/", "/comet", "/cometdx", "/Cometd", "/x/cometd"] {
        let response = http.exchange(Request::post(HANDSHAKE).to(path)).await;
        assert_eq!(response.status, 404, "{path}");
        assert!(!response.reason().is_empty());
    }
}

#[tokio::test]
async fn the_endpoint_s_path_is_an_option() {
    let server = TestServer::start(&["bayeux.path=/push/v1"]);
    let mut http = server.open().await;
    for (path, status) in [("/push/v1", 200), ("/push/v1/x", 200), ("/cometd", 404)] {
        let response = http.exchange(Request::post(HANDSHAKE).to(path)).await;
        assert_eq!(response.status, status, "{path}");
    }
}

#[tokio::test]
async fn responses_are_one_line_of_json_with_a_length_and_are_not_cached() {
    let server = TestServer::start(&["bayeux.timeout=50ms"]);
    let mut client = server.client().await;
    let message = json!([client.message(json!({"channel": "/a", "data": 1}))]);
    let connect = json!([client.message(json!({"channel": "/meta/connect"}))]);
    for body in [message, connect] {
        let response = client.post(body.to_string()).await;
        assert_eq!(
            response.header("Content-Type"),
            Some("application/json; charset=utf-8")
        );
        let cache = response.header("Cache-Control").unwrap();
        assert!(cache.contains("no-cache") && cache.contains("no-store"));
        assert_eq!(response.header("Pragma"), Some("no-cache"));
        assert!(response.header("Expires").is_some());
        assert!(response.header("Content-Length").is_some());
        assert!(response.header("Transfer-Encoding").is_none());
        assert!(!response.text().contains('\n'));
    }
}

#[tokio::test]
async fn a_transport_that_is_off_is_not_served() {
    let server = TestServer::start(&["bayeux.transports=callback-polling"]);
    let response = server.post(HANDSHAKE).await;
    assert_eq!(response.status, 405);
    assert!(response.reason().contains("bayeux.transports"));
    let mut http: Http = server.open().await;
    let response = http.exchange(Request::jsonp("cb", HANDSHAKE)).await;
    assert_eq!(response.messages_for("cb")[0]["successful"], true);
}
