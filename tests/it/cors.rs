//! Requests from pages of other origins: which pass, and what their browsers are told.

use serde_json::json;

use crate::support::{Client, Request, Response, TestServer, percent};

const HANDSHAKE: &str = r#"[{"channel":"/meta/handshake"}]"#;
const ALLOW: &str = r#"http.allowed_origins=["https://good.example", "http://other.example:81"]"#;
const GOOD: &str = "https://good.example";

async fn post(server: &TestServer, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::post(HANDSHAKE);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    server.open().await.exchange(request).await
}

fn is_allowed(response: &Response, origin: &str) {
    assert_eq!(response.header("Access-Control-Allow-Origin"), Some(origin));
    assert_eq!(
        response.header("Access-Control-Allow-Credentials"),
        Some("true")
    );
    assert_eq!(response.header("Vary"), Some("Origin"));
}

#[tokio::test]
async fn requests_of_the_same_origin_or_of_no_page_pass() {
    let server = TestServer::start(&[]);
    let cases: [&[(&str, &str)]; 7] = [
        &[],
        &[("Origin", "http://localhost")],
        &[
            ("Host", "www.example.com"),
            ("Origin", "http://www.example.com"),
        ],
        &[
            ("Host", "www.example.com:8080"),
            ("Origin", "http://www.example.com:8080"),
        ],
        &[
            ("Sec-Fetch-Site", "same-origin"),
            ("Origin", "https://front.example"),
        ],
        &[("Sec-Fetch-Site", "none")],
        &[("Referer", "http://localhost/page")],
    ];
    for headers in cases {
        assert_eq!(post(&server, headers).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn other_origins_are_refused() {
    let server = TestServer::start(&[ALLOW]);
    let cases: [&[(&str, &str)]; 11] = [
        &[("Origin", "https://evil.example")],
        &[("Origin", "http://good.example")],
        &[("Origin", "https://good.example:8443")],
        &[("Origin", "https://good.example.evil.example")],
        &[("Origin", "null")],
        &[("Origin", "nonsense")],
        &[("Origin", "http://localhost:81")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Origin", "http://localhost"),
        ],
        &[("Referer", "https://evil.example/page")],
    ];
    for (index, headers) in cases.iter().enumerate() {
        let response = post(&server, headers).await;
        assert_eq!(response.status, 403, "{headers:?}");
        assert!(!response.reason().is_empty());
        assert_eq!(response.header("Access-Control-Allow-Origin"), None);
        let refused = server.metrics().refused_origins.value();
        assert_eq!(refused, index as u64 + 1);
    }
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn text_plain_from_another_site_does_not_get_through() {
    let server = TestServer::start(&[ALLOW]);
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ] {
        let headers = [
            ("Content-Type", content_type),
            ("Origin", "https://evil.example"),
            ("Sec-Fetch-Site", "cross-site"),
        ];
        assert_eq!(post(&server, &headers).await.status, 403, "{content_type}");
    }
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn an_allowed_origin_gets_itself_back_with_credentials() {
    let server = TestServer::start(&[ALLOW]);
    for origin in [GOOD, "http://other.example:81"] {
        let cross_site = [("Origin", origin), ("Sec-Fetch-Site", "cross-site")];
        let response = post(&server, &cross_site).await;
        assert_eq!(response.status, 200);
        is_allowed(&response, origin);
    }
}

#[tokio::test]
async fn refusals_of_an_allowed_origin_s_request_can_be_read_by_its_page() {
    let server = TestServer::start(&[ALLOW]);
    let request = Request::post("nonsense").header("Origin", GOOD);
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 400);
    is_allowed(&response, GOOD);
}

#[tokio::test]
async fn a_held_connect_is_answered_with_the_same_headers() {
    let server = TestServer::start(&[ALLOW, "bayeux.timeout=50ms"]);
    let mut client = server.cookieless().await;
    let connect = client.message(serde_json::json!({"channel": "/meta/connect"}));
    let request = client.request(connect.to_string()).header("Origin", GOOD);
    client.poll_connection().await.send(request.bytes()).await;
    is_allowed(&client.poll_connection().await.response().await, GOOD);
}

#[tokio::test]
async fn a_displaced_connect_is_answered_with_the_same_headers() {
    let server = TestServer::start(&[ALLOW]);
    let mut client = server.cookieless().await;
    let connect = client.message(serde_json::json!({"channel": "/meta/connect"}));
    let request = client.request(connect.to_string()).header("Origin", GOOD);
    client.poll_connection().await.send(request.bytes()).await;
    server.holds(1).await;
    let mut older = client.take_poll();
    client.poll().await;
    is_allowed(&older.response().await, GOOD);
}

#[tokio::test]
async fn a_preflight_is_answered_on_every_path_of_the_endpoint() {
    let server = TestServer::start(&[ALLOW]);
    for path in ["/cometd", "/cometd/", "/cometd/handshake", "/cometd/x/y"] {
        let request = Request::new("OPTIONS", path)
            .header("Origin", GOOD)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "content-type,pragma,x-mine",
            );
        let response = server.open().await.exchange(request).await;
        assert!(matches!(response.status, 200 | 204), "{path}");
        is_allowed(&response, GOOD);
        let headers = response.header("Access-Control-Allow-Headers");
        assert_eq!(headers, Some("content-type,pragma,x-mine"));
        let methods = response.header("Access-Control-Allow-Methods").unwrap();
        assert!(
            ["GET", "POST", "OPTIONS"]
                .iter()
                .all(|method| methods.contains(method))
        );
        assert!(response.header("Access-Control-Max-Age").is_some());
        assert!(response.body.is_empty());
    }
}

#[tokio::test]
async fn a_preflight_that_asks_for_no_headers_is_told_the_known_ones() {
    let server = TestServer::start(&[ALLOW]);
    let request = Request::new("OPTIONS", "/cometd").header("Origin", GOOD);
    let response = server.open().await.exchange(request).await;
    let headers = response.header("Access-Control-Allow-Headers").unwrap();
    for name in [
        "content-type",
        "pragma",
        "x-requested-with",
        "authorization",
    ] {
        assert!(headers.contains(name), "{headers}");
    }
}

#[tokio::test]
async fn a_preflight_of_another_origin_is_refused() {
    let server = TestServer::start(&[ALLOW]);
    let request = Request::new("OPTIONS", "/cometd")
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "POST");
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 403);
    assert_eq!(response.header("Access-Control-Allow-Origin"), None);
}

#[tokio::test]
async fn a_star_allows_every_origin_and_echoes_it() {
    let server = TestServer::start(&[r#"http.allowed_origins=["*"]"#]);
    for origin in ["https://any.example", "null"] {
        let response = post(&server, &[("Origin", origin)]).await;
        assert_eq!(response.status, 200);
        is_allowed(&response, origin);
    }
}

#[tokio::test]
async fn jsonp_is_judged_by_its_referer() {
    let server = TestServer::start(&[ALLOW]);
    let cases: [(&[(&str, &str)], u16); 4] = [
        (
            &[
                ("Sec-Fetch-Site", "cross-site"),
                ("Referer", "https://good.example/page"),
            ],
            200,
        ),
        (
            &[
                ("Sec-Fetch-Site", "cross-site"),
                ("Referer", "https://evil.example/"),
            ],
            403,
        ),
        (&[("Sec-Fetch-Site", "cross-site"), ("Referer", "")], 403),
        (
            &[("Referer", "https://evil.example/https://good.example/")],
            403,
        ),
    ];
    for (headers, status) in cases {
        let mut request = Request::jsonp("cb", HANDSHAKE);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, status, "{headers:?}");
    }
}

#[tokio::test]
async fn every_response_of_the_endpoint_varies_by_origin() {
    let server = TestServer::start(&[ALLOW]);
    for headers in [[("Origin", "https://evil.example")], [("Accept", "*/*")]] {
        let response = post(&server, &headers).await;
        assert_eq!(response.header("Vary"), Some("Origin"), "{headers:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_so_that_its_page_can_read_it() {
    let server = TestServer::start(&[ALLOW]);
    let request = Request::post("x".repeat(100_000)).header("Origin", GOOD);
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 413);
    is_allowed(&response, GOOD);
}

/// What a browser says of a page, and whether that is enough for an answer that is a script.
const SAID: [(&[(&str, &str)], bool); 12] = [
    (&[("Sec-Fetch-Site", "same-origin")], true),
    (&[("Referer", "http://localhost/page")], true),
    (&[("Origin", "http://localhost")], true),
    (&[("Origin", GOOD)], true),
    (&[("Referer", "https://good.example/")], true),
    (
        &[
            ("Sec-Fetch-Site", "cross-site"),
            ("Referer", "https://good.example/"),
        ],
        true,
    ),
    // Over plain HTTP, of any page that hides its address; or a program.
    (&[], false),
    (&[("Accept", "*/*")], false),
    // A link in a mail, or an address that was typed.
    (&[("Sec-Fetch-Site", "none")], false),
    (&[("Sec-Fetch-Site", "cross-site")], false),
    (&[("Referer", "http://evil.example/")], false),
    (&[("Origin", "null")], false),
];

/// Requests whose answers call a function of a page.
fn scripts(client: &Client) -> [Request; 3] {
    let frame = json!([client.message(json!({
        "channel": "/meta/connect", "connectionType": "iframe", "advice": {"timeout": 0},
    }))]);
    let frame = frame.to_string();
    let form = format!("message={}&jsonp=f", percent(&frame));
    let publish = json!([client.message(json!({"channel": "/a", "data": 1}))]);
    [
        Request::jsonp("f", &publish.to_string()),
        Request::jsonp("f", &frame),
        Request::post(form).header("Content-Type", "application/x-www-form-urlencoded"),
    ]
}

async fn statuses(server: &TestServer, request: &Request) -> [u16; 3] {
    // The same head again is answered by what was read of it before.
    let mut http = server.open().await;
    let mut statuses = [0; 3];
    for status in &mut statuses {
        *status = http.exchange(request.clone()).await.status;
    }
    statuses
}

#[tokio::test]
async fn an_answer_that_is_a_script_goes_to_pages_that_say_where_they_come_from() {
    let server = TestServer::start(&[ALLOW]);
    let client = server.cookieless().await;
    for (index, request) in scripts(&client).into_iter().enumerate() {
        for (headers, is_enough) in SAID {
            let mut request = request.clone().header("Referer", "");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let expected = if is_enough { 200 } else { 403 };
            let statuses = statuses(&server, &request).await;
            assert_eq!(statuses, [expected; 3], "{index}: {headers:?}");
        }
    }
    let request = Request::jsonp("f", HANDSHAKE).header("Referer", "");
    let refused = server.open().await.exchange(request).await;
    assert!(refused.reason().contains("bayeux.callback_without_origin"));
    assert_eq!(server.metrics().sessions.value(), 1, "of no other page");
    // Programs send messages by POST, and say nothing.
    let publish = json!([client.message(json!({"channel": "/a", "data": 1}))]);
    let request = Request::post(publish.to_string());
    assert_eq!(statuses(&server, &request).await, [200; 3]);
}

#[tokio::test]
async fn it_goes_to_all_who_say_nothing_if_that_is_allowed() {
    for setting in [
        "bayeux.callback_without_origin=true",
        r#"http.allowed_origins=["*"]"#,
    ] {
        let server = TestServer::start(&[setting]);
        let client = server.cookieless().await;
        for request in scripts(&client) {
            let request = request.header("Referer", "");
            assert_eq!(statuses(&server, &request).await, [200; 3], "{setting}");
        }
    }
}
