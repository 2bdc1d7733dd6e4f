//! Who a client is, by the tokens that it shows: every way in, until when, and what becomes of its session.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::one_door::{Kind, Ready, WAYS, Way};
use crate::support::{
    Client, Embedded, Events, Http, Request, Streamed, TestServer, WebSocket, bear, only, two_way,
    upgrade,
};
use crate::tokens::key_server;

const SECRET: &str = "a secret that is long enough to be one";
const ISSUER: &str = "issuer=[{ secret = { env = 'MIRANT_TEST_TOKEN_SECRET' }, leeway = '0s' }]";
const SOURCES: [&str; 2] = [
    "authentication.cookie=session_token",
    "authentication.query_parameter=token",
];
const RESOURCES: &str = "channel=[{ pattern = '/**', resource = true }]";
const EDITORS: &str = "access=[{ allow = ['handshake', 'subscribe', 'publish'], channels = ['/**'], \
    who = { role = 'editor' } }]";

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs()
}

fn signed(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).expect("a token")
}

/// A token of an editor, which expires in so many seconds.
pub(crate) fn token(user: &str, seconds: i64) -> String {
    with_claims(user, seconds, &json!({}))
}

pub(crate) fn with_claims(user: &str, seconds: i64, more: &Value) -> String {
    let mut claims = json!({
        "sub": user,
        "roles": ["editor"],
        "exp": now().saturating_add_signed(seconds),
    });
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    signed(&claims, SECRET)
}

pub(crate) fn server(settings: &[&str]) -> TestServer {
    let issuer = issuer();
    let mut all = vec![&*issuer, RESOURCES, "bayeux.publish_without_session=true"];
    all.extend(SOURCES);
    all.extend(settings);
    TestServer::start(&all)
}

/// The setting with which a server takes the tokens of these tests.
pub(crate) fn issuer() -> String {
    // It is read when the server is made, and all tests set it to the same.
    ISSUER.replace("{ env = 'MIRANT_TEST_TOKEN_SECRET' }", &secret_file())
}

/// A file with the secret, as the configuration names it; tests run at once, and it is written once.
fn secret_file() -> String {
    static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
        let name = format!("mirant-token-secret-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, SECRET).expect("the file is written");
        path
    });
    format!("{{ file = '{}' }}", FILE.display())
}

/// Tells whether an attempt is one of a session that began before.
fn has_session(way: Way, kind: Kind) -> bool {
    let is_of_messages = kind != Kind::Handshake
        && !matches!(
            way,
            Way::EventStream
                | Way::EmbeddedResource
                | Way::Get
                | Way::Head
                | Way::Wait
                | Way::Watch
                | Way::Put
                | Way::Post
                | Way::Patch
                | Way::Delete
        );
    is_of_messages || way == Way::ResumedStream
}

/// What a head may show, and why a request without a session is refused that shows it.
fn shown() -> Vec<(&'static str, String, Option<&'static str>)> {
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let cookie = |token: &str| format!("Cookie: session_token={token}");
    let good = token("u1", 600);
    let expired = token("u1", -1);
    vec![
        ("nothing", String::new(), Some("403")),
        (
            "another scheme",
            "Authorization: Basic dTE6cA==".to_owned(),
            Some("403"),
        ),
        ("a token", bearer(&good), None),
        (
            "a token, the scheme in small letters",
            bearer(&good).replace("Bearer", "bearer"),
            None,
        ),
        ("a token in a cookie", cookie(&good), None),
        (
            "an expired token",
            bearer(&expired),
            Some("401 token_expired"),
        ),
        (
            "an expired token in a cookie",
            cookie(&expired),
            Some("401 token_expired"),
        ),
        (
            "what is no token",
            bearer("x"),
            Some("401 credentials_malformed"),
        ),
    ]
}

async fn wrong(
    server: &TestServer,
    way: Way,
    kind: Kind,
    line: &str,
    refusal: Option<&str>,
) -> Option<String> {
    bear(&format!("Authorization: Bearer {}", token("u1", 600)));
    let put = Request::new("PUT", "/resources/r/a").body("\"old\"");
    assert!(server.open().await.exchange(put).await.status < 300);
    let mut ready = if kind == Kind::Handshake {
        Ready::without_session(server, way).await
    } else {
        Ready::of(server, way).await
    };
    if kind == Kind::Handshake && way == Way::WebSocket {
        // Its head is the upgrade's.
        bear(line);
        ready = Ready::without_session(server, way).await;
    }
    bear(line);
    let attempt = ready.attempt(server, way, kind).await;
    let refusal = refusal.filter(|_| !has_session(way, kind));
    match (attempt, refusal) {
        (Ok(()), None) => None,
        // A response to HEAD has no reason.
        (Err(reason), Some(refusal)) if way == Way::Head && reason[..3] == refusal[..3] => None,
        (Err(reason), Some(refusal)) => {
            let (code, name) = refusal.split_once(' ').unwrap_or((refusal, "denied"));
            (!(reason.starts_with(code) && reason.ends_with(name)))
                .then(|| format!("refused by {reason}, not {refusal}"))
        }
        (attempt, refusal) => Some(format!("{attempt:?}, not {refusal:?}")),
    }
}

#[tokio::test]
async fn what_a_head_shows_counts_for_every_way_in() {
    let server = server(&[EDITORS]);
    let mut problems = Vec::new();
    let mut attempts = 0;
    for (what, line, refusal) in shown() {
        for (way, kinds) in WAYS {
            for kind in kinds {
                attempts += 1;
                let problem = wrong(&server, way, *kind, &line, refusal).await;
                problems.extend(problem.map(|it| format!("{what}, {way:?}, {kind:?}: {it}")));
            }
        }
    }
    bear("");
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(attempts > 250, "{attempts}");
}

fn handshake(ext: &Value) -> Value {
    json!({
        "channel": "/meta/handshake", "version": "1.0", "clientId": null,
        "supportedConnectionTypes": ["long-polling", "callback-polling", "websocket"],
        "ext": { "authentication": ext },
    })
}

#[tokio::test]
async fn a_handshake_shows_a_token_in_its_ext_whatever_carries_it() {
    let server = server(&[EDITORS]);
    let cases = [
        (json!({"token": token("u1", 600)}), Value::Null),
        (
            json!({"token": token("u1", -1)}),
            json!("401::token_expired"),
        ),
        (json!({"token": 7}), json!("401::credentials_malformed")),
        (json!({}), json!("401::credentials_malformed")),
        (
            json!({"user": "u1", "password": "p"}),
            json!("401::password_invalid"),
        ),
        (Value::Null, json!("403::handshake_denied")),
    ];
    for (ext, error) in cases {
        let message = handshake(&ext);
        let text = json!([message]).to_string();
        let mut replies = Vec::new();
        replies.push(only(server.post(text.clone()).await.messages()));
        let jsonp = server
            .open()
            .await
            .exchange(Request::jsonp("cb", &text))
            .await;
        replies.push(only(jsonp.messages_for("cb")));
        let mut socket = WebSocket::open(server.address).await;
        replies.push(socket.call(message.clone()).await);
        let mut stream = Embedded::two_way(server.address).await;
        replies.push(only(stream.exchange(Request::post(text)).await.messages()));
        for reply in replies {
            assert_eq!(reply["error"], error, "{ext}: {reply}");
            assert_eq!(reply["successful"], error.is_null(), "{ext}: {reply}");
            let reconnect = if error.is_null() { "retry" } else { "none" };
            assert_eq!(reply["advice"]["reconnect"], reconnect, "{ext}: {reply}");
        }
    }
}

#[tokio::test]
async fn the_message_counts_before_the_head_and_the_bearer_before_the_cookie() {
    let rule = "access=[{ allow = ['handshake'], who = { user = 'u1' } }]";
    let server = server(&[rule]);
    let handshaken = async |line: String, ext: Value| {
        bear(&line);
        let text = json!([handshake(&ext)]).to_string();
        let reply = only(server.post(text).await.messages());
        bear("");
        reply["successful"] == true
    };
    let (one, two) = (token("u1", 600), token("u2", 600));
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    assert!(handshaken(bearer(&one), Value::Null).await);
    assert!(!handshaken(bearer(&two), Value::Null).await);
    assert!(handshaken(bearer(&two), json!({ "token": one })).await);
    assert!(!handshaken(bearer(&one), json!({ "token": two })).await);
    let both = format!("{}\r\nCookie: session_token={two}", bearer(&one));
    assert!(handshaken(both, Value::Null).await);
}

#[tokio::test]
async fn a_query_shows_a_token_to_event_streams_only() {
    let server = server(&[EDITORS]);
    let token = token("u1", 600);
    let (_stream, _) =
        Events::open(server.address, &format!("/events?channel=/a&token={token}")).await;
    let get = |target: String| Request::new("GET", &target);
    let refused = [
        (get("/events?channel=/a".to_owned()), 403),
        (get("/events?channel=/a&token=".to_owned()), 403),
        (get("/events?channel=/a&token=x".to_owned()), 401),
        (get(format!("/resources/r/a?token={token}")), 403),
    ];
    for (request, status) in refused {
        let response = server.open().await.exchange(request).await;
        assert_eq!(response.status, status, "{response:?}");
        let challenge = response.header("WWW-Authenticate");
        assert_eq!(challenge.is_some(), status == 401, "{response:?}");
    }
    let text = json!([handshake(&Value::Null)]).to_string();
    let posted = Request::post(text).to(&format!("/cometd?token={token}"));
    let reply = only(server.open().await.exchange(posted).await.messages());
    assert_eq!(reply["error"], "403::handshake_denied");
}

#[tokio::test]
async fn embedded_requests_have_the_token_of_the_outer_one() {
    let server = server(&[EDITORS]);
    bear(&format!("Authorization: Bearer {}", token("u1", 600)));
    let outer = two_way().header("Transfer-Encoding", "chunked");
    let mut stream = Embedded::open(server.address, outer).await;
    bear("");
    let put = Request::new("PUT", "/resources/r/a").body("1");
    assert_eq!(stream.exchange(put.clone()).await.status, 201);
    let own = format!("Bearer {}", token("u1", -1));
    let response = stream.exchange(put.header("Authorization", &own)).await;
    assert_eq!(
        (response.status, &*response.reason()),
        (401, "token_expired")
    );
    let text = json!([handshake(&Value::Null)]).to_string();
    let reply = only(stream.exchange(Request::post(text)).await.messages());
    assert_eq!(reply["successful"], true, "{reply}");
}

/// A client whose token expires in so many seconds.
async fn of(server: &TestServer, user: &str, seconds: i64) -> Client {
    let mut client = Client::new(server.address);
    let ext = json!({"authentication": {"token": token(user, seconds)}});
    let reply = client.handshake_with(json!({ "ext": ext })).await;
    assert_eq!(reply["successful"], true, "{reply}");
    client
}

fn assert_expired(reply: &Value) {
    assert_eq!(reply["channel"], "/meta/connect", "{reply}");
    assert_eq!(reply["successful"], false, "{reply}");
    assert_eq!(reply["error"], "401::token_expired", "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_whoever_waits_is_told() {
    let server = server(&[EDITORS]);
    let mut polling = of(&server, "u1", 2).await;
    let mut away = of(&server, "u1", 2).await;
    let mut later = of(&server, "u1", 600).await;
    let mut socket = WebSocket::open(server.address).await;
    let shaken = socket
        .call(handshake(&json!({"token": token("u1", 2)})))
        .await;
    shaken["clientId"]
        .as_str()
        .unwrap()
        .clone_into(&mut socket.id);
    bear(&format!("Authorization: Bearer {}", token("u1", 2)));
    let (mut events, _) = Events::open(server.address, "/events?channel=/a").await;
    bear("");
    let connect = json!({"channel": "/meta/connect", "connectionType": "xhr-streaming"});
    let mut streaming = of(&server, "u1", 2).await;
    streaming.connect().await;
    let body = json!([streaming.message(connect)]).to_string();
    let mut stream = Streamed::open(server.address, streaming.request(body)).await;
    for client in [&mut polling, &mut later] {
        client.connect().await;
        client.poll().await;
    }
    socket.call(json!({"channel": "/meta/connect"})).await;
    socket.hold("1").await;
    assert_expired(&only(polling.polled().await));
    assert_expired(&socket.message().await);
    assert!(stream.rest().await.contains("401::token_expired"));
    events.ended().await;
    assert_expired(&only(away.connect().await));
    let again = only(away.connect().await);
    assert_eq!(again["error"], "402::session_unknown", "it was told once");
    let mut publisher = of(&server, "u1", 600).await;
    later.subscribe("/a").await;
    publisher.publish("/a", 1).await;
    assert_eq!(later.polled().await[0]["data"], 1, "it goes on");
    let figures = server.metrics().render();
    let ended = "mirant_sessions_ended_total{reason=\"identity_expired\"} 5";
    assert!(figures.contains(ended), "{figures}");
}

#[tokio::test]
async fn a_newer_token_of_the_same_user_keeps_the_session() {
    let server = server(&[EDITORS]);
    let renewal = |token: String| json!({"authentication": {"token": token}});
    let mut ended = of(&server, "u1", 3).await;
    let mut by_message = of(&server, "u1", 3).await;
    let mut by_head = of(&server, "u1", 3).await;
    let mut by_connect = of(&server, "u1", 3).await;
    let publish = |ext: Value| json!({"channel": "/a", "data": 1, "ext": ext});
    for (token, error) in [
        (token("u2", 600), json!("403::user_changed")),
        (token("u1", -1), json!("401::token_expired")),
        ("x".to_owned(), json!("401::credentials_malformed")),
        // It lasts less long, and changes nothing.
        (with_claims("u1", 1, &json!({"roles": []})), Value::Null),
        (token("u1", 600), Value::Null),
    ] {
        let reply = by_message.call(publish(renewal(token))).await;
        assert_eq!(reply["error"], error, "{reply}");
    }
    for token in [token("u2", 600), token("u1", -1), token("u1", 600)] {
        bear(&format!("Authorization: Bearer {token}"));
        let reply = by_head.call(publish(json!({}))).await;
        assert_eq!(reply["error"], Value::Null, "{reply}");
        bear("");
    }
    let fields = json!({"ext": renewal(token("u1", 600)), "advice": {"timeout": 0}});
    assert_eq!(by_connect.connect_with(fields).await[0]["successful"], true);
    ended.connect().await;
    ended.poll().await;
    assert_expired(&only(ended.polled().await));
    for client in [&mut by_message, &mut by_head, &mut by_connect] {
        assert_eq!(client.call(publish(json!({}))).await["successful"], true);
    }
}

#[tokio::test]
async fn an_anonymous_session_stays_so() {
    let server = server(&[]);
    let mut client = server.client().await;
    let ext = json!({"authentication": {"token": token("u1", 600)}});
    let publish = json!({"channel": "/a", "data": 1, "ext": ext});
    assert_eq!(client.call(publish).await["error"], "403::user_changed");
    let plain = client.call(json!({"channel": "/a", "data": 1})).await;
    assert_eq!(plain["successful"], true);
}

#[tokio::test]
async fn a_session_loses_what_its_newer_token_does_not_allow() {
    let rules = "access=[{ allow = ['handshake'], who = 'anyone' }, \
        { allow = ['subscribe', 'publish'], channels = ['/room/{claim.room}'], who = 'authenticated' }, \
        { allow = ['subscribe', 'publish'], channels = ['/all'], who = 'anyone' }]";
    let server = server(&[rules]);
    let shows = |rooms: Value, seconds| json!({"authentication": {"token": with_claims("u1", seconds, &json!({ "room": rooms }))}});
    let mut client = Client::new(server.address);
    let ext = shows(json!(["a", "b"]), 300);
    client.handshake_with(json!({ "ext": ext })).await;
    for channel in ["/room/a", "/room/b", "/all"] {
        assert_eq!(client.subscribe(channel).await["error"], Value::Null);
    }
    client.connect().await;
    let publish = |channel: &str| json!({"channel": channel, "data": channel});
    let mut renewing = publish("/room/b");
    renewing["ext"] = shows(json!("b"), 600);
    let messages = client.send([renewing]).await;
    let reply = messages
        .iter()
        .find(|message| message["channel"] == "/room/b");
    assert_eq!(
        reply.unwrap()["ext"],
        Value::Null,
        "nobody else sees the token"
    );
    let is_published = |message: &&Value| message["successful"] == true;
    assert_eq!(
        messages.iter().filter(is_published).count(),
        1,
        "{messages:?}"
    );
    let refused = client.call(publish("/room/a")).await;
    assert_eq!(refused["error"], "403:/room/a:publish_denied");
    let mut publisher = Client::new(server.address);
    let ext = shows(json!(["a", "b"]), 600);
    publisher.handshake_with(json!({ "ext": ext })).await;
    for channel in ["/room/a", "/room/b", "/all"] {
        publisher.publish(channel, "news").await;
    }
    let mut received = messages;
    received.extend(client.connect().await);
    let lost: Vec<_> = received
        .iter()
        .filter(|message| message["channel"] == "/meta/subscribe")
        .collect();
    assert_eq!(
        lost,
        [&json!({
            "channel": "/meta/subscribe", "successful": false, "subscription": "/room/a",
            "error": "403:/room/a:subscribe_denied",
        })]
    );
    let news: Vec<_> = received
        .iter()
        .filter(|message| message["data"] == "news")
        .map(|message| message["channel"].as_str().unwrap())
        .collect();
    assert_eq!(news, ["/room/b", "/all"]);
    assert!(
        server
            .metrics()
            .render()
            .contains("mirant_lost_subscriptions_total 1")
    );
}

#[tokio::test]
async fn a_websocket_shows_what_its_upgrade_shows() {
    let server = server(&[EDITORS]);
    for (line, error) in [
        (format!("Bearer {}", token("u1", 600)), Value::Null),
        (
            format!("Bearer {}", token("u1", -1)),
            json!("401::token_expired"),
        ),
    ] {
        let request = upgrade().header("Authorization", &line);
        let mut socket = WebSocket::open_with(server.address, request).await;
        let reply = socket.call(handshake(&Value::Null)).await;
        assert_eq!(reply["error"], error, "{reply}");
    }
}

/// A head that repeats shows what it says, not what an earlier one said.
#[tokio::test]
async fn another_token_on_the_same_connection_is_another_client() {
    let rule = "access=[{ allow = ['handshake'], who = { user = 'u1' } }]";
    let server = server(&[rule]);
    let mut http: Http = server.open().await;
    let body = json!([handshake(&Value::Null)]).to_string();
    let (one, two) = (token("u1", 600), token("u2", 600));
    for (token, is_allowed) in [
        (&one, true),
        (&one, true),
        (&one, true),
        (&two, false),
        (&one, true),
    ] {
        let request =
            Request::post(body.clone()).header("Authorization", &format!("Bearer {token}"));
        let reply = only(http.exchange(request).await.messages());
        assert_eq!(reply["successful"], is_allowed);
    }
}

#[tokio::test]
async fn a_connect_and_a_disconnect_do_not_fail_for_what_they_show() {
    let server = server(&[EDITORS]);
    let mut client = of(&server, "u1", 600).await;
    let ext = json!({"authentication": {"token": token("u1", -1)}});
    let replies = client.connect_with(json!({ "ext": ext.clone() })).await;
    assert_eq!(only(replies)["successful"], true);
    let publish = json!({"channel": "/a", "data": 1, "ext": ext.clone()});
    assert_eq!(client.call(publish).await["error"], "401::token_expired");
    let leave = json!({"channel": "/meta/disconnect", "ext": ext});
    assert_eq!(client.call(leave).await["successful"], true);
}

#[tokio::test]
async fn without_a_session_each_message_is_whose_token_it_shows() {
    let rules = "access=[{ allow = ['publish'], channels = ['/{user}'], who = 'authenticated' }]";
    let server = server(&[rules]);
    let ext = |token: String| json!({"authentication": {"token": token}});
    let (one, two) = (token("u1", 600), token("u2", 600));
    let batch = json!([
        {"channel": "/u1", "data": 1, "ext": ext(one.clone())},
        {"channel": "/u2", "data": 2, "ext": ext(two)},
        {"channel": "/u1", "data": 3, "ext": ext(one)},
        {"channel": "/u1", "data": 4},
    ]);
    let errors = async |line: String| {
        bear(&line);
        let replies = server.post(batch.to_string()).await.messages();
        bear("");
        let errors = replies.iter().map(|reply| reply["error"].clone());
        errors.collect::<Vec<Value>>()
    };
    let other = json!("401::credentials_malformed");
    let plain = [
        Value::Null,
        other.clone(),
        Value::Null,
        json!("403:/u1:publish_denied"),
    ];
    assert_eq!(errors(String::new()).await, plain);
    let borne = [Value::Null, other, Value::Null, Value::Null];
    let line = format!("Authorization: Bearer {}", token("u1", 600));
    assert_eq!(errors(line).await, borne);
}

#[tokio::test]
async fn waits_for_a_resource_end_with_the_token() {
    let server = server(&[EDITORS]);
    bear(&format!("Authorization: Bearer {}", token("u1", 3)));
    let put = Request::new("PUT", "/resources/r/a").body("1");
    assert_eq!(server.open().await.exchange(put).await.status, 201);
    let wait = Request::new("GET", "/resources/r/a")
        .header("When-Modified-After", "Fri, 31 Dec 9999 23:59:59 GMT");
    let mut http = server.open().await;
    http.send(wait.bytes()).await;
    let watch = wait.header("Accept", "message/http");
    let mut stream = Embedded::open(server.address, watch).await;
    bear("");
    assert_eq!(http.response().await.status, 204);
    stream.ended().await;
}

#[tokio::test]
async fn a_websocket_whose_head_has_expired_is_closed_with_its_session() {
    let server = server(&[EDITORS]);
    let bearer = format!("Bearer {}", token("u1", 2));
    let request = upgrade().header("Authorization", &bearer);
    let mut socket = WebSocket::open_with(server.address, request).await;
    socket.handshake().await;
    socket.call(json!({"channel": "/meta/connect"})).await;
    socket.hold("1").await;
    assert_expired(&socket.message().await);
    socket.closed().await;
}

/// A token that the key `sig-1` of tests/keys/keycloak.json has signed.
fn of_keycloak(kid: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/rsa.pem");
    let pem = std::fs::read(path).expect("a key");
    let key = EncodingKey::from_rsa_pem(&pem).expect("a key");
    let header = Header {
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::RS256)
    };
    let claims = json!({
        "preferred_username": "alice", "exp": now() + 600,
        "realm_access": {"roles": ["editor"]},
    });
    encode(&header, &claims, &key).expect("a token")
}

fn with_keys_at(url: &str) -> TestServer {
    let issuer = format!(
        "issuer=[{{ jwks = {{ url = '{url}' }}, user_claim = 'preferred_username', \
         roles_claim = 'realm_access.roles' }}]"
    );
    TestServer::start(&[&*issuer, EDITORS])
}

#[tokio::test]
async fn the_keys_of_an_identity_provider_are_fetched_once_for_all_who_wait() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/keycloak.json");
    let (url, asked) = key_server(std::fs::read_to_string(path).expect("keys"));
    let server = with_keys_at(&url);
    let text = json!([handshake(&json!({"token": of_keycloak("sig-1")}))]).to_string();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut http = server.open().await;
        http.send(Request::post(text.clone()).bytes()).await;
        clients.push(http);
    }
    for mut http in clients {
        let reply = only(http.response().await.messages());
        assert_eq!(reply["successful"], true, "{reply}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    let unknown = json!([handshake(&json!({"token": of_keycloak("none")}))]).to_string();
    let reply = only(server.post(unknown).await.messages());
    assert_eq!(reply["error"], "401::token_key_unknown", "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "retry", "the keys may be new");
}

#[tokio::test]
async fn without_the_keys_clients_are_told_when_to_come_back() {
    let server = with_keys_at("http://127.0.0.1:1/");
    let token = of_keycloak("sig-1");
    let text = json!([handshake(&json!({ "token": token }))]).to_string();
    let reply = only(server.post(text).await.messages());
    assert_eq!(reply["error"], "503::token_keys_unavailable", "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "retry", "{reply}");
    assert!(reply["advice"]["interval"].as_u64() > Some(0), "{reply}");
    let request = Request::new("GET", "/events?channel=/a");
    let request = request.header("Authorization", &format!("Bearer {token}"));
    let response = server.open().await.exchange(request).await;
    assert_eq!(response.status, 503, "{response:?}");
    assert!(response.header("Retry-After").is_some(), "{response:?}");
    assert_eq!(server.metrics().sessions.value(), 0);
}
