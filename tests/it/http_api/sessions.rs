//! What application servers see of channels, sessions and users over HTTP, and what they do about them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LISTEN, ask, json_of, problem};
use crate::authentication::{server, token};
use crate::support::{
    Client, Events, Http, Receiver, Request, Response, TestServer, Way, WebSocket, only,
};

const ALL: &str = "a key that is long enough to be used: admin";
const READ: &str = "a key that is long enough to be used: read";
const SESSIONS: &str = "a key that is long enough to be used: sessions";
const NEWS: &str = "a key that is long enough to be used: news";

/// The setting of these keys.
fn keys() -> String {
    let key = |name: &str, key: &str, rest: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
        let hex: String = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{{ name = '{name}', hash = 'sha256:{hex}', {rest} }}")
    };
    let keys = [
        key("all", ALL, "allow = ['admin']"),
        key("read", READ, "allow = ['read']"),
        key("sessions", SESSIONS, "allow = ['sessions']"),
        key(
            "news",
            NEWS,
            "allow = ['read', 'sessions'], channels = ['/news/**']",
        ),
    ];
    format!("api.key=[{}]", keys.join(", "))
}

/// A server with an API, of which tokens are known.
fn started(settings: &[&str]) -> TestServer {
    let keys = keys();
    server(&[&[LISTEN, &keys], settings].concat())
}

async fn with_key(server: &TestServer, key: &str, request: Request) -> Response {
    let bearer = format!("Bearer {key}");
    ask(server, request.header("Authorization", &bearer)).await
}

async fn get(server: &TestServer, path: &str) -> Value {
    let response = with_key(server, ALL, Request::new("GET", &format!("/api/v1{path}"))).await;
    json_of(&response)
}

async fn delete(server: &TestServer, alias: &str) -> u16 {
    let request = Request::new("DELETE", &format!("/api/v1/sessions/{alias}"));
    with_key(server, ALL, request).await.status
}

async fn disconnect(server: &TestServer, user: &str, body: &str) -> Response {
    let request = Request::post(body).to(&format!("/api/v1/users/{user}/disconnect"));
    with_key(server, ALL, request).await
}

/// Handshakes as a user.
async fn handshake(server: &TestServer, user: &str) -> (Client, Value) {
    let mut client = Client::new(server.address);
    let fields = json!({"ext": {"authentication": {"token": token(user, 600)}}});
    let reply = client.handshake_with(fields).await;
    (client, reply)
}

/// A client of a user, which is connected.
async fn client_of(server: &TestServer, user: &str) -> Client {
    let (mut client, reply) = handshake(server, user).await;
    assert_eq!(reply["successful"], true, "{reply}");
    client.connect().await;
    client
}

fn field<'v>(list: &'v Value, name: &str) -> Vec<&'v str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap()).collect()
}

fn seconds_ago(time: &Value) -> u64 {
    let time = humantime::parse_rfc3339(time.as_str().unwrap()).unwrap();
    let ago = std::time::SystemTime::now().duration_since(time);
    ago.unwrap_or_default().as_secs()
}

#[tokio::test]
async fn a_session_is_listed_with_the_transport_that_its_client_uses() {
    for way in Way::ALL {
        let server = started(&[]);
        let mut receiver = Receiver::new(&server, way, false).await;
        let mut publisher = server.client().await;
        publisher.publish("/flood", json!({"number": 1})).await;
        receiver.receive(1).await;
        let expected = match way {
            Way::LongPolling => "long-polling",
            Way::CallbackPolling => "callback-polling",
            Way::XhrStreaming => "xhr-streaming",
            Way::Multipart => "multipart",
            Way::Iframe => "iframe",
            Way::MessageHttp | Way::Embedded => "message-http",
            Way::WebSocket => "websocket",
            Way::EventSource => "eventsource",
        };
        let list = get(&server, "/sessions").await;
        let transports = field(&list["sessions"], "transport");
        let expected = BTreeSet::from(["long-polling", expected]);
        assert_eq!(BTreeSet::from_iter(transports), expected, "{way:?}");
    }
}

#[tokio::test]
async fn sessions_that_begin_by_streams_are_listed_too() {
    let server = started(&[]);
    let _events = Events::open(server.address, "/events?channel=/a").await;
    let _socket = WebSocket::client(server.address).await;
    let list = get(&server, "/sessions?address=127.0.0.0/8").await;
    let mut transports = field(&list["sessions"], "transport");
    transports.sort_unstable();
    assert_eq!(transports, ["eventsource", "websocket"]);
    assert_eq!(field(&list["sessions"], "address"), ["127.0.0.1"; 2]);
    let none = get(&server, "/sessions?address=10.0.0.0/8").await;
    assert_eq!(none, json!({"sessions": [], "next": null}));
    let one = get(&server, "/sessions?transport=eventsource&address=127.0.0.1").await;
    assert_eq!(field(&one["sessions"], "transport"), ["eventsource"]);
}

#[tokio::test]
async fn sessions_come_in_pages_and_by_user() {
    let server = started(&[]);
    let mut clients = Vec::new();
    for user in ["u1", "u2", "u1", "u1", "u/3"] {
        clients.push(client_of(&server, user).await);
    }
    clients.push(server.client().await);
    let all = get(&server, "/sessions").await;
    let all = field(&all["sessions"], "session");
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted(), "{all:?}");
    assert!(clients.iter().all(|client| !all.contains(&&*client.id)));
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&server, &format!("/sessions?limit=4{after}")).await;
        let sessions = field(&page["sessions"], "session");
        paged.extend(sessions.iter().map(|&alias| alias.to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        assert_eq!(sessions.len(), 4);
        after = format!("&after={next}");
    }
    assert_eq!(paged, all);
    for (user, count) in [("u1", 3), ("u2", 1), ("u%2F3", 1), ("nobody", 0)] {
        let page = get(&server, &format!("/sessions?user={user}")).await;
        assert_eq!(field(&page["sessions"], "session").len(), count, "{user}");
    }
    clients.remove(0).disconnect().await;
    let page = get(&server, "/sessions?user=u1").await;
    assert_eq!(field(&page["sessions"], "user"), ["u1"; 2]);
}

#[tokio::test]
async fn one_session_tells_what_it_has() {
    let server = started(&[]);
    let mut client = client_of(&server, "u1").await;
    client.subscribe(json!(["/news/1", "/chat/**"])).await;
    let mut publisher = server.client().await;
    for number in 0..3 {
        publisher.publish("/chat/1", number).await;
    }
    let list = get(&server, "/sessions?user=u1").await;
    let alias = field(&list["sessions"], "session")[0].to_owned();
    let mut session = get(&server, &format!("/sessions/{alias}")).await;
    for name in ["since", "last_seen"] {
        assert!(seconds_ago(&session[name].take()) < 60);
    }
    let expected = json!({
        "session": alias, "user": "u1", "roles": ["editor"], "address": "127.0.0.1",
        "transport": "long-polling", "since": null, "last_seen": null,
        "subscriptions": ["/chat/**", "/news/1"], "subscribed": 2, "queued": 3,
        "unacknowledged": 0,
    });
    assert_eq!(session, expected);
    let path = format!("/api/v1/sessions/{alias}");
    let of_news = with_key(&server, NEWS, Request::new("GET", &path)).await;
    let of_news = json_of(&of_news);
    assert_eq!(of_news["subscriptions"], json!(["/news/1"]));
    client.disconnect().await;
    let gone = with_key(&server, ALL, Request::new("GET", &path)).await;
    assert_eq!(problem(&gone), (404, "session_unknown".to_owned()));
}

#[tokio::test]
async fn what_is_not_acknowledged_is_told() {
    let server = started(&[]);
    let mut client = Client::new(server.address);
    client.handshake_with(json!({"ext": {"ack": true}})).await;
    client.connect_with(json!({"ext": {"ack": -1}})).await;
    client.subscribe("/a").await;
    client.publish("/a", 1).await;
    let taken = client.connect_with(json!({"ext": {"ack": 1}})).await;
    assert_eq!(taken.len(), 2, "{taken:?}");
    client.publish("/a", 2).await;
    let list = get(&server, "/sessions").await;
    let alias = field(&list["sessions"], "session")[0].to_owned();
    let session = get(&server, &format!("/sessions/{alias}")).await;
    let counts = (&session["queued"], &session["unacknowledged"]);
    assert_eq!(counts, (&json!(1), &json!(1)));
}

#[tokio::test]
async fn channels_are_listed_with_their_subscribers_and_rates() {
    let server = started(&["channel=[{ pattern = '/chat/**', presence = true }]"]);
    let mut clients = Vec::new();
    for user in ["u2", "u1", "u2"] {
        let mut client = client_of(&server, user).await;
        client.subscribe(json!(["/chat/1", "/news/1"])).await;
        clients.push(client);
    }
    let mut anonymous = server.client().await;
    anonymous.subscribe(json!(["/chat/1", "/chat/**"])).await;
    for _ in 0..5 {
        anonymous.publish("/chat/1", 1).await;
    }
    let list = get(&server, "/channels").await;
    let expected = json!({"next": null, "channels": [
        {"channel": "/chat/**", "subscribers": 1, "rate": 0.5},
        {"channel": "/chat/1", "subscribers": 4, "rate": 0.5},
        {"channel": "/news/1", "subscribers": 3, "rate": 0.0},
    ]});
    assert_eq!(list, expected);
    let page = get(&server, "/channels?limit=1&after=/chat/**").await;
    assert_eq!(field(&page["channels"], "channel"), ["/chat/1"]);
    assert_eq!(page["next"], "/chat/1");
    let of_chat = get(&server, "/channels?pattern=/chat/*").await;
    assert_eq!(field(&of_chat["channels"], "channel"), ["/chat/1"]);
    let of_news = with_key(&server, NEWS, Request::new("GET", "/api/v1/channels")).await;
    let of_news = json_of(&of_news);
    assert_eq!(field(&of_news["channels"], "channel"), ["/news/1"]);

    let chat = get(&server, "/channels/chat/1").await;
    let expected = json!({
        "channel": "/chat/1", "subscribers": 4, "rate": 0.5,
        "presence": {
            "users": [{"user": "u1", "sessions": 1}, {"user": "u2", "sessions": 2}],
            "anonymous": 1, "truncated": false,
        },
    });
    assert_eq!(chat, expected);
    let first = get(&server, "/channels/chat/1?limit=1").await;
    let users = &first["presence"];
    assert_eq!(field(&users["users"], "user"), ["u1"]);
    assert_eq!(users["truncated"], true);
    let news = get(&server, "/channels/news/1").await;
    assert_eq!(news["presence"], Value::Null, "its options do not allow it");
    let all = get(&server, "/channels/chat/**").await;
    assert_eq!(all["presence"]["anonymous"], 1);
    for client in &mut clients {
        client.disconnect().await;
    }
    let gone = with_key(&server, ALL, Request::new("GET", "/api/v1/channels/news/1")).await;
    assert_eq!(problem(&gone), (404, "channel_unknown".to_owned()));
}

#[tokio::test]
async fn a_client_whose_session_is_ended_hears_of_it_and_may_come_back() {
    let server = started(&[]);
    let mut client = client_of(&server, "u1").await;
    client.subscribe("/a").await;
    client.poll().await;
    server.holds(1).await;
    let list = get(&server, "/sessions").await;
    let alias = field(&list["sessions"], "session")[0].to_owned();
    assert_eq!(delete(&server, &alias).await, 204);
    let reply = only(client.polled().await);
    assert_eq!(reply["successful"], false, "{reply}");
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(delete(&server, &alias).await, 404, "it has ended");
    assert_eq!(get(&server, "/channels").await["channels"], json!([]));
    let metrics = server.metrics().render();
    let line = "mirant_sessions_ended_total{reason=\"administrator\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
    assert_eq!(client.handshake().await["successful"], true);

    let mut socket = WebSocket::client(server.address).await;
    socket.hold("c").await;
    server.holds(1).await;
    let list = get(&server, "/sessions?transport=websocket").await;
    let alias = field(&list["sessions"], "session")[0].to_owned();
    assert_eq!(delete(&server, &alias).await, 204);
    let reply = socket.message().await;
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");

    let (mut events, _) = Events::open(server.address, "/events?channel=/a").await;
    let list = get(&server, "/sessions?transport=eventsource").await;
    let alias = field(&list["sessions"], "session")[0].to_owned();
    assert_eq!(delete(&server, &alias).await, 204);
    events.ended().await;
}

#[tokio::test]
async fn a_user_is_disconnected_and_kept_away_by_every_way() {
    let server = started(&[]);
    let mut held = client_of(&server, "u1").await;
    held.poll().await;
    server.holds(1).await;
    let _other = client_of(&server, "u1").await;
    let mut stays = client_of(&server, "u2").await;
    let bearer = format!("Bearer {}", token("u1", 600));
    let response = disconnect(&server, "u1", r#"{"refuse":"10m"}"#).await;
    let done = json_of(&response);
    assert_eq!(done, json!({"sessions": 2, "refused": "10m"}));
    let reply = only(held.polled().await);
    assert_eq!(reply["advice"]["reconnect"], "handshake", "{reply}");

    let (_, reply) = handshake(&server, "u1").await;
    let error = reply["error"].as_str().unwrap();
    let [code, wait, text] = <[&str; 3]>::try_from(error.split(':').collect::<Vec<_>>()).unwrap();
    assert_eq!((code, text), ("403", "user_refused"), "{reply}");
    let wait: u64 = wait.parse().unwrap();
    assert!((590_000..=600_000).contains(&wait), "{error}");
    assert_eq!(reply["advice"]["reconnect"], "retry");
    assert!(reply["advice"]["interval"].as_u64().unwrap() >= 590_000);

    let mut socket = WebSocket::open(server.address).await;
    let fields = json!({"channel": "/meta/handshake", "version": "1.0",
        "supportedConnectionTypes": ["websocket"],
        "ext": {"authentication": {"token": token("u1", 600)}}});
    let reply = socket.call(fields).await;
    assert!(
        reply["error"].as_str().unwrap().starts_with("403:"),
        "{reply}"
    );

    let stream = Request::new("GET", "/events?channel=/a")
        .header("Accept", "text/event-stream")
        .header("Authorization", &bearer);
    let response = server.open().await.exchange(stream).await;
    assert_eq!(response.status, 403);
    let retry: u64 = response.header("Retry-After").unwrap().parse().unwrap();
    assert!((590..=600).contains(&retry));
    let read = Request::new("GET", "/resources/a").header("Authorization", &bearer);
    assert_eq!(server.open().await.exchange(read).await.status, 403);
    let publish = Request::post(r#"{"channel":"/a","data":1}"#).header("Authorization", &bearer);
    let reply = only(server.open().await.exchange(publish).await.messages());
    assert!(
        reply["error"].as_str().unwrap().ends_with("user_refused"),
        "{reply}"
    );

    let other = stays.subscribe("/a").await;
    assert_eq!(other["successful"], true, "others are not concerned");
    assert!(server.metrics().refused_users.value() >= 5);

    let response = disconnect(&server, "u1", r#"{"refuse":"0s"}"#).await;
    let done = json_of(&response);
    assert_eq!(done, json!({"sessions": 0, "refused": null}));
    let (_, reply) = handshake(&server, "u1").await;
    assert_eq!(reply["successful"], true, "{reply}");
    let response = disconnect(&server, "u1", "").await;
    let done = json_of(&response);
    assert_eq!(done, json!({"sessions": 1, "refused": null}));
    let (_, reply) = handshake(&server, "u1").await;
    assert_eq!(reply["successful"], true, "it was not refused");
}

#[tokio::test]
async fn refused_users_are_bounded() {
    let server = started(&["bayeux.max_refused_users=1", "bayeux.max_refusal=1h"]);
    assert_eq!(
        disconnect(&server, "u1", r#"{"refuse":"1h"}"#).await.status,
        200
    );
    let client = client_of(&server, "u2").await;
    let full = disconnect(&server, "u2", r#"{"refuse":"1h"}"#).await;
    assert_eq!(problem(&full), (503, "unavailable".to_owned()));
    assert!(full.text().contains("bayeux.max_refused_users"));
    let list = get(&server, "/sessions?user=u2").await;
    assert_eq!(field(&list["sessions"], "user"), ["u2"], "nothing was done");
    for body in [
        r#"{"refuse":"61m"}"#,
        r#"{"refuse":1}"#,
        r#"{"refused":"1m"}"#,
        "x",
    ] {
        let response = disconnect(&server, "u1", body).await;
        assert_eq!(problem(&response), (400, "body".to_owned()), "{body}");
    }
    drop(client);
}

#[tokio::test]
async fn what_a_key_is_not_for_is_refused_and_so_is_what_makes_no_sense() {
    let server = started(&[]);
    let requests = [
        ("GET", "/channels", "read"),
        ("GET", "/channels/news/1", "read"),
        ("GET", "/sessions", "sessions"),
        ("GET", "/sessions/0123456789ABCDEFGHIJKL", "sessions"),
        ("DELETE", "/sessions/0123456789ABCDEFGHIJKL", "sessions"),
        ("POST", "/users/u1/disconnect", "sessions"),
    ];
    for (method, path, right) in requests {
        let request = || Request::new(method, &format!("/api/v1{path}"));
        let other = if right == "read" { SESSIONS } else { READ };
        let refused = with_key(&server, other, request()).await;
        assert_eq!(problem(&refused), (403, "not_allowed".to_owned()), "{path}");
        let own = if right == "read" { READ } else { SESSIONS };
        let allowed = with_key(&server, own, request()).await;
        assert!([200, 404].contains(&allowed.status), "{path}: {allowed:?}");
        let without = ask(&server, request()).await;
        assert_eq!(problem(&without), (401, "key_missing".to_owned()), "{path}");
    }
    let cases = [
        ("/channels?limit=0", "parameter"),
        ("/channels?limit=1001", "parameter"),
        ("/channels?limit=x", "parameter"),
        ("/channels?pattern=chat", "parameter"),
        ("/channels/a//b", "channel"),
        ("/sessions?limit=1001", "parameter"),
        ("/sessions?transport=smoke", "parameter"),
        ("/sessions?address=10.0.0.0/33", "parameter"),
        ("/sessions?after=x", "parameter"),
        ("/sessions/x", "parameter"),
    ];
    for (path, kind) in cases {
        let response = with_key(&server, ALL, Request::new("GET", &format!("/api/v1{path}"))).await;
        assert_eq!(problem(&response), (400, kind.to_owned()), "{path}");
    }
    let elsewhere = with_key(
        &server,
        NEWS,
        Request::new("GET", "/api/v1/channels/chat/1"),
    )
    .await;
    assert_eq!(problem(&elsewhere), (403, "channel_not_allowed".to_owned()));
    let wider = with_key(&server, NEWS, Request::new("GET", "/api/v1/channels/**")).await;
    assert_eq!(problem(&wider), (403, "channel_not_allowed".to_owned()));
}

#[tokio::test]
async fn a_session_is_seen_when_its_client_speaks() {
    let server = started(&[]);
    let mut client = server.client().await;
    let list = get(&server, "/sessions").await;
    let before = list["sessions"][0]["last_seen"].clone();
    // What is told is in whole seconds: until another has begun.
    let mut http = Http::open(server.api.unwrap()).await;
    let bearer = format!("Bearer {ALL}");
    let mut last_seen = before.clone();
    while last_seen == before {
        client.publish("/a", 1).await;
        let request = Request::new("GET", "/api/v1/sessions").header("Authorization", &bearer);
        let list = json_of(&http.exchange(request).await);
        assert_eq!(list["sessions"][0]["since"], before);
        last_seen = list["sessions"][0]["last_seen"].clone();
    }
    assert!(last_seen.as_str() > before.as_str(), "{last_seen} {before}");
}
