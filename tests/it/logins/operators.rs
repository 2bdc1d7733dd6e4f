//! Logins to the operator's page: by a password, for what a key of the same rights is for, until they are over.

use serde_json::{Value, json};

use super::hash_of;
use crate::http_api::{KEY, key};
use crate::reload::Rig;
use crate::support::{Events, Http, Http2, Request, Response, TestServer, note_tls, tls_settings};

const ADMIN: &str = "admin.listen=[\"127.0.0.1:0\"]";
const LOGIN: &str = "/api/v1/login";

/// Two users: `ada` may do all, and `bob` may read.
fn users() -> String {
    let (ada, bob) = (hash_of("sesame"), hash_of("simsim"));
    format!(
        "admin.user=[{{ name = 'ada', password_hash = '{ada}', allow = ['admin'] }}, \
         {{ name = 'bob', password_hash = '{bob}', allow = ['read'], channels = ['/a/**'] }}]"
    )
}

fn server(set: &[&str]) -> TestServer {
    TestServer::start(&[&[ADMIN, &users()], set].concat())
}

/// A request as the page sends it.
fn by_page(method: &str, path: &str) -> Request {
    Request::new(method, path).header("X-Requested-With", "mirant")
}

fn with(request: Request, cookie: &str) -> Request {
    request.header("Cookie", &format!("x=y; {cookie}"))
}

fn typed(user: &str, password: &str) -> Request {
    let body = json!({"user": user, "password": password}).to_string();
    by_page("POST", LOGIN).body(body)
}

/// The kind of a problem.
fn kind(response: &Response) -> String {
    let problem: Value = serde_json::from_slice(&response.body).unwrap();
    let kind = problem["type"].as_str().unwrap().to_owned();
    kind.strip_prefix("urn:mirant:").unwrap().to_owned()
}

/// Logs in; the cookie.
async fn login(http: &mut Http, user: &str, password: &str) -> String {
    let response = http.exchange(typed(user, password)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    format!("mirant_operator={}", response.cookie().unwrap())
}

async fn status(http: &mut Http, request: Request) -> u16 {
    http.exchange(request).await.status
}

#[tokio::test]
async fn a_login_is_good_for_what_a_key_is() {
    let server = server(&[&key("admin")]);
    let mut http = Http::open(server.admin.unwrap()).await;
    let state = http.exchange(by_page("GET", LOGIN)).await;
    assert_eq!(state.text(), r#"{"passwords":true,"user":null}"#);
    let response = http.exchange(typed("ada", "sesame")).await;
    let details: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(
        (&details["name"], &details["allow"]),
        (&json!("ada"), &json!(["admin"]))
    );
    let set = response.header("Set-Cookie").unwrap().to_owned();
    let (cookie, attributes) = set.split_once("; ").unwrap();
    assert_eq!(
        attributes,
        "Path=/api/v1; Max-Age=43200; HttpOnly; SameSite=Strict"
    );
    let state = http.exchange(with(by_page("GET", LOGIN), cookie)).await;
    assert_eq!(state.text(), r#"{"passwords":true,"user":"ada"}"#);
    let question = r#"{"action": "handshake"}"#;
    let asked = [
        ("GET", "/api/v1/key", ""),
        ("GET", "/api/v1/sessions", ""),
        ("GET", "/api/v1/channels", ""),
        ("GET", "/api/v1/history", ""),
        ("GET", "/api/v1/configuration", ""),
        ("GET", "/api/v1/nodes", ""),
        ("POST", "/api/v1/publish/a", "1"),
        ("POST", "/api/v1/users/u1/disconnect", ""),
        ("POST", "/api/v1/explain", question),
    ];
    for (method, path, body) in asked {
        let by_key = Request::new(method, path).header("Authorization", &format!("Bearer {KEY}"));
        let by_login = with(by_page(method, path), cookie);
        for request in [by_key, by_login] {
            let response = http.exchange(request.body(body)).await;
            assert_eq!(response.status, 200, "{method} {path}: {}", response.text());
        }
    }
    for path in ["/api/v1/figures", "/api/v1/watch/a"] {
        let request = with(by_page("GET", path), cookie);
        let (events, _) = Events::open_with(server.admin.unwrap(), request).await;
        assert_eq!(events.response.status, 200, "{path}");
    }
}

#[tokio::test]
async fn it_counts_only_for_the_page_and_only_there() {
    let server = server(&["api.listen=[\"127.0.0.1:0\"]", &key("admin")]);
    let mut http = Http::open(server.admin.unwrap()).await;
    let cookie = login(&mut http, "ada", "sesame").await;
    let own = "/api/v1/key";
    // As a page of the same host and another port would have it sent.
    let foreign = http.exchange(with(Request::new("GET", own), &cookie)).await;
    assert_eq!(
        (foreign.status, kind(&foreign)),
        (401, "key_missing".to_owned())
    );
    let body = r#"{"user": "ada", "password": "sesame"}"#;
    for request in [
        Request::new("POST", LOGIN).body(body),
        with(Request::new("DELETE", LOGIN), &cookie),
    ] {
        let response = http.exchange(request).await;
        assert_eq!(
            (response.status, kind(&response)),
            (400, "parameter".to_owned())
        );
        assert!(response.header("Set-Cookie").is_none());
    }
    // Behind that of another program, which has the same name.
    let others = format!("mirant_operator=x; {cookie}");
    assert_eq!(
        status(&mut http, with(by_page("GET", own), &others)).await,
        200
    );
    // A key that is shown beside it decides.
    let both = with(by_page("GET", own), &cookie).header("Authorization", "Bearer x");
    assert_eq!(status(&mut http, both).await, 401);
    let mut api = Http::open(server.api.unwrap()).await;
    assert_eq!(
        status(&mut api, with(by_page("GET", own), &cookie)).await,
        401
    );
    assert_eq!(status(&mut api, typed("ada", "sesame")).await, 404);
}

#[tokio::test]
async fn it_may_do_what_its_entry_allows() {
    let server = server(&[]);
    let mut http = Http::open(server.admin.unwrap()).await;
    let cookie = login(&mut http, "bob", "simsim").await;
    assert_eq!(
        status(&mut http, with(by_page("GET", "/api/v1/channels"), &cookie)).await,
        200
    );
    for (method, path, lacks) in [
        ("GET", "/api/v1/sessions", "\"sessions\" in allow"),
        ("POST", "/api/v1/publish/a/b", "\"publish\" in allow"),
        ("GET", "/api/v1/watch/b", "channels that cover /b"),
    ] {
        let response = http.exchange(with(by_page(method, path), &cookie)).await;
        assert_eq!(response.status, 403, "{path}");
        let text = response.text();
        let expected = format!("this needs a user whose [[admin.user]] entry has {lacks}");
        assert!(text.contains(&expected.replace('"', "\\\"")), "{text}");
    }
}

#[tokio::test]
async fn who_guesses_is_slowed_down() {
    let server = server(&["authentication.wrong_passwords=2"]);
    let mut http = Http::open(server.admin.unwrap()).await;
    for (user, password) in [
        ("ada", "simsim"),
        ("nobody", "sesame"),
        ("ada", &*"x".repeat(300)),
    ] {
        let response = http.exchange(typed(user, password)).await;
        assert_eq!(
            (response.status, kind(&response)),
            (401, "password_wrong".to_owned())
        );
        assert!(response.header("Set-Cookie").is_none());
    }
    let malformed = by_page("POST", LOGIN).body(r#"{"user": "ada", "pasword": "sesame"}"#);
    let response = http.exchange(malformed).await;
    assert_eq!((response.status, kind(&response)), (400, "body".to_owned()));
    assert!(!response.text().contains("sesame"));
    assert_eq!(status(&mut http, typed("ada", "wrong")).await, 401);
    let response = http.exchange(typed("ada", "sesame")).await;
    assert_eq!(
        (response.status, kind(&response)),
        (429, "too_many_attempts".to_owned())
    );
    assert!(response.header("Retry-After").is_some());
    login(&mut http, "bob", "simsim").await;
}

#[tokio::test]
async fn it_ends_when_its_user_leaves_and_when_there_are_too_many() {
    let server = server(&["admin.max_logins=2"]);
    let admin = server.admin.unwrap();
    let mut http = Http::open(admin).await;
    let own = |cookie: &str| with(by_page("GET", "/api/v1/key"), cookie);
    let cookie = login(&mut http, "ada", "sesame").await;
    let mut figures = Http::open(admin).await;
    let request = with(by_page("GET", "/api/v1/figures"), &cookie);
    figures.send(request.bytes()).await;
    assert!(figures.some().await.starts_with(b"HTTP/1.1 200"));
    let left = http.exchange(with(by_page("DELETE", LOGIN), &cookie)).await;
    assert_eq!(left.status, 204);
    let forgotten = left.header("Set-Cookie").unwrap();
    assert!(
        forgotten.starts_with("mirant_operator=; Path=/api/v1; Max-Age=0;"),
        "{forgotten}"
    );
    let response = http.exchange(own(&cookie)).await;
    assert_eq!(
        (response.status, kind(&response)),
        (401, "login_over".to_owned())
    );
    // Whoever watches has not to ask again for that to count.
    figures.rest().await;
    let first = login(&mut http, "ada", "sesame").await;
    let second = login(&mut http, "bob", "simsim").await;
    assert_eq!(status(&mut http, own(&first)).await, 200);
    let third = login(&mut http, "ada", "sesame").await;
    for (cookie, expected) in [(&first, 401), (&second, 200), (&third, 200)] {
        assert_eq!(status(&mut http, own(cookie)).await, expected);
    }
    let metrics = http.exchange(Request::new("GET", "/metrics")).await;
    let line = "mirant_limit_reached_total{limit=\"admin.max_logins\"} 1";
    assert!(metrics.text().lines().any(|one| one == line));
}

#[tokio::test]
async fn a_reload_decides_about_those_who_have_logged_in() {
    let entry = |name: &str, password: &str, allow: &str| {
        let hash = hash_of(password);
        format!("[[admin.user]]\nname = '{name}'\npassword_hash = '{hash}'\nallow = ['{allow}']\n")
    };
    let bob = entry("bob", "simsim", "admin");
    let rig = Rig::start("operators", &(entry("ada", "sesame", "admin") + &bob));
    let mut http = Http::open(rig.admin).await;
    let ada = login(&mut http, "ada", "sesame").await;
    let bobs = login(&mut http, "bob", "simsim").await;
    let nodes = |cookie: &str| with(by_page("GET", "/api/v1/nodes"), cookie);
    assert_eq!(status(&mut http, nodes(&ada)).await, 200);
    // Another password, or less that is allowed, counts at once; who is as before stays.
    let changed = rig.change(&(entry("ada", "another", "admin") + &bob));
    assert_eq!(changed, "changed: admin.user\n");
    assert_eq!(status(&mut http, nodes(&ada)).await, 401);
    assert_eq!(status(&mut http, typed("ada", "sesame")).await, 401);
    let ada = login(&mut http, "ada", "another").await;
    assert_eq!(status(&mut http, nodes(&bobs)).await, 200);
    rig.change(&bob.replace("'admin'", "'read'"));
    assert_eq!(status(&mut http, nodes(&ada)).await, 401);
    assert_eq!(status(&mut http, nodes(&bobs)).await, 403);
}

#[tokio::test]
async fn over_tls_the_cookie_never_leaves_without_it() {
    let tls = tls_settings();
    let listen = "admin.listen=[\"tls:127.0.0.1:0\"]";
    let server = TestServer::start(&[listen, &users(), &tls[0], &tls[1]]);
    let admin = server.admin.unwrap();
    note_tls(admin);
    let by_http1 = Http::open(admin)
        .await
        .exchange(typed("ada", "sesame"))
        .await;
    let mut http2 = Http2::secure(admin).await;
    let by_http2 = http2.exchange(&typed("ada", "sesame")).await;
    for response in [by_http1, by_http2] {
        let set = response.header("Set-Cookie").unwrap();
        assert!(
            set.contains("; Secure; HttpOnly;"),
            "{}: {set}",
            response.version
        );
    }
}
