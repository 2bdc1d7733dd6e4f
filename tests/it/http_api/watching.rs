//! Figures and messages as they come, for whoever watches; and what an operator is told of the configuration.

use serde_json::{Value, json};

use super::{HASH, KEY, LISTEN, OTHER, OTHER_HASH, ask, json_of, key, post, problem, request};
use crate::support::{Block, Client, Events, Http, Request, TestServer, until};

/// A server with a key that allows this, and the settings.
fn server(allow: &str, set: &[&str]) -> TestServer {
    let key = key(allow);
    TestServer::start(&[&[LISTEN, &key], set].concat())
}

/// Opens a stream, and reads how it begins.
async fn watch(server: &TestServer, path: &str) -> Events {
    let (events, beginning) = Events::open_with(server.api.unwrap(), request("GET", path)).await;
    let content_type = events.response.header("Content-Type");
    assert_eq!(content_type, Some("text/event-stream; charset=utf-8"));
    assert_eq!(beginning.retry.as_deref(), Some("2000"));
    events
}

/// A block as its name and what it says.
fn told(block: &Block) -> (String, Value) {
    (block.event.clone().unwrap(), block.json())
}

async fn next(events: &mut Events) -> (String, Value) {
    told(&events.next().await)
}

async fn subscribed(server: &TestServer, channel: &str) -> Client {
    let mut client = server.client().await;
    client.subscribe(channel).await;
    client
}

#[tokio::test]
async fn figures_come_each_second_behind_those_of_the_past() {
    let server = server("read", &[]);
    let mut client = subscribed(&server, "/a").await;
    let mut events = watch(&server, "/api/v1/figures").await;
    assert_eq!(next(&mut events).await, ("past".to_owned(), json!([])));
    assert_eq!(server.metrics().watchers.value(), 1);
    client.publish("/a", 1).await;
    let (name, figures) = next(&mut events).await;
    assert_eq!(name, "figures");
    assert_eq!(figures["sessions"], 1);
    assert_eq!(figures["channels"], 1);
    let figures = if figures["published"]["total"] == 1 {
        figures
    } else {
        next(&mut events).await.1
    };
    assert_eq!(figures["published"]["total"], 1);
    assert_eq!(figures["delivered"]["total"], 1);
    assert!(
        figures["published"]["rate"].as_f64().unwrap() > 0.0,
        "{figures}"
    );
    assert_eq!(figures["latency"]["count"], 1);
    assert!(figures["latency"]["p50"].is_number());
    assert!(figures["memory"]["budget"].as_u64().unwrap() > 0);
    let again = next(&mut events).await.1;
    assert!(again["at"].as_u64() > figures["at"].as_u64());
    events.reset();
    until(|| server.metrics().watchers.value() == 0).await;
}

#[tokio::test]
async fn a_channel_is_watched_whether_it_has_subscribers_or_not() {
    let server = server("admin", &[]);
    let mut events = watch(&server, "/api/v1/watch/a/**").await;
    for (channel, data) in [("a/b", "{\"x\":\n1}"), ("b", "2"), ("a/b/c", "3")] {
        let path = format!("/api/v1/publish/{channel}");
        json_of(&ask(&server, post(&path, data)).await);
    }
    let shown = |channel: &str, data: Value| {
        let message = json!({"channel": channel, "data": data});
        ("published".to_owned(), message)
    };
    assert_eq!(next(&mut events).await, shown("/a/b", json!({"x": 1})));
    assert_eq!(next(&mut events).await, shown("/a/b/c", json!(3)));
    assert!(events.is_silent().await);
}

#[tokio::test]
async fn a_session_is_watched_until_it_ends() {
    let server = server("admin", &[]);
    let mut watched = subscribed(&server, "/a").await;
    let mut other = subscribed(&server, "/a").await;
    let path = format!("/api/v1/sessions/{}", server.alias(&watched.id));
    let mut events = watch(&server, &format!("{path}/watch")).await;
    other.publish("/b", 0).await;
    other.publish("/a", 1).await;
    watched.publish("/c", 2).await;
    let shown = |name: &str, channel: &str, data: u8| {
        let message = json!({"channel": channel, "data": data});
        (name.to_owned(), message)
    };
    assert_eq!(next(&mut events).await, shown("delivered", "/a", 1));
    assert_eq!(next(&mut events).await, shown("sent", "/c", 2));
    assert_eq!(ask(&server, request("DELETE", &path)).await.status, 204);
    assert_eq!(next(&mut events).await, ("ended".to_owned(), json!({})));
    events.ended().await;
    let gone = ask(&server, request("GET", &format!("{path}/watch"))).await;
    assert_eq!(problem(&gone), (404, "session_unknown".to_owned()));
}

#[tokio::test]
async fn of_a_session_only_channels_are_watched_that_the_key_covers() {
    let keys = format!(
        "api.key=[{{ name = 'app', hash = '{HASH}', allow = ['read', 'sessions'], channels = ['/a/**'] }}]"
    );
    let server = TestServer::start(&[LISTEN, &keys]);
    let mut client = server.client().await;
    client.subscribe(json!(["/a/1", "/b"])).await;
    let path = format!("/api/v1/sessions/{}/watch", server.alias(&client.id));
    let mut events = watch(&server, &path).await;
    client.publish("/b", 1).await;
    client.publish("/a/1", 2).await;
    for name in ["sent", "delivered"] {
        let message = json!({"channel": "/a/1", "data": 2});
        assert_eq!(next(&mut events).await, (name.to_owned(), message));
    }
    let elsewhere = ask(&server, request("GET", "/api/v1/watch/b")).await;
    assert_eq!(problem(&elsewhere), (403, "channel_not_allowed".to_owned()));
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_what_is_missing() {
    let server = server("admin", &["api.max_watched_bytes=\"64KiB\""]);
    let narrow = Http::open_narrow(server.api.unwrap()).await;
    let (mut events, _) = Events::over(narrow, request("GET", "/api/v1/watch/a")).await;
    let data = format!("\"{}\"", "x".repeat(4000));
    let sent = 4000;
    let mut publisher = Http::open(server.api.unwrap()).await;
    for _ in 0..sent / 10 {
        let message = format!(r#"{{"channel":"/a","data":{data}}}"#);
        let batch = vec![message; 10].join(",");
        let response = publisher
            .exchange(post("/api/v1/publish", format!("[{batch}]")))
            .await;
        assert_eq!(response.status, 200);
    }
    json_of(&ask(&server, post("/api/v1/publish/a", "\"last\"")).await);
    let (mut seen, mut missed) = (0, 0);
    loop {
        let (name, json) = next(&mut events).await;
        match &*name {
            "missed" => missed += json["missed"].as_u64().unwrap(),
            _ if json["data"] == "last" => break,
            _ => seen += 1,
        }
    }
    assert!(missed > 0);
    assert_eq!(seen + missed, sent);
}

#[tokio::test]
async fn so_many_watch_at_once_and_are_told_when_the_server_stops() {
    let mut server = server("admin", &["api.max_watchers=1"]);
    let mut first = watch(&server, "/api/v1/watch/a").await;
    let second = ask(&server, request("GET", "/api/v1/figures")).await;
    assert_eq!(problem(&second), (503, "unavailable".to_owned()));
    assert_eq!(second.header("Retry-After"), Some("5"));
    server.stop();
    first.ended().await;
}

#[tokio::test]
async fn each_needs_a_key_that_is_for_it() {
    let keys = format!(
        "api.key=[{{ name = 'app', hash = '{HASH}', allow = ['publish'] }}, \
         {{ name = 'other', hash = '{OTHER_HASH}', allow = ['sessions'] }}]"
    );
    let server = TestServer::start(&[LISTEN, &keys]);
    let alias = "0000000000000000000001";
    for (method, path) in [
        ("GET", "/api/v1/figures".to_owned()),
        ("GET", "/api/v1/watch/a".to_owned()),
        ("GET", format!("/api/v1/sessions/{alias}/watch")),
        ("GET", "/api/v1/configuration".to_owned()),
        ("POST", "/api/v1/explain".to_owned()),
        ("GET", "/api/v1/nodes".to_owned()),
        ("POST", "/api/v1/reload".to_owned()),
        ("GET", "/api/v1/history".to_owned()),
    ] {
        let without = ask(&server, Request::new(method, &path)).await;
        assert_eq!(problem(&without), (401, "key_missing".to_owned()), "{path}");
        for key in [KEY, OTHER] {
            let bearer = format!("Bearer {key}");
            let shown = Request::new(method, &path).header("Authorization", &bearer);
            let refused = ask(&server, shown).await;
            assert_eq!(problem(&refused), (403, "not_allowed".to_owned()), "{path}");
        }
    }
    let own = json_of(&ask(&server, request("GET", "/api/v1/key")).await);
    assert_eq!(own["name"], "app");
    assert_eq!(own["allow"], json!(["publish"]));
    assert_eq!(own["channels"], json!(["/**"]));
}

#[tokio::test]
async fn the_configuration_is_shown_without_what_is_secret() {
    let server = server(
        "admin",
        &[
            "user=[{ name = 'u1', password_hash = '$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$x1DvfIb5bKdZuPIqmpSlXUBnnVxXKDBzsOJrDJX7kns' }]",
            "bayeux.max_queue=77",
        ],
    );
    let response = ask(&server, request("GET", "/api/v1/configuration")).await;
    let all = json_of(&response);
    assert_eq!(all["bayeux"]["max_queue"], 77);
    assert_eq!(all["user"][0]["name"], "u1");
    assert_eq!(all["user"][0]["password_hash"], "…");
    assert_eq!(all["api"]["key"][0]["hash"], "…");
    let text = response.text();
    assert!(
        !text.contains("argon2id") && !text.contains("a85ffefc"),
        "{text}"
    );
}

#[tokio::test]
async fn it_is_explained_which_rule_decides() {
    let rules = "access=[\
        { allow = ['handshake'], who = 'anyone' }, \
        { deny = ['publish'], channels = ['/a/**'], who = { role = 'guest' }, reason = 'guests' }, \
        { allow = ['publish'], channels = ['/a/**'], who = 'authenticated' }]";
    let server = server("admin", &[rules]);
    let explain = |body: Value| {
        let request = post("/api/v1/explain", body.to_string());
        let server = &server;
        async move { json_of(&ask(server, request).await) }
    };
    let guest = json!({"action": "publish", "channel": "/a/b", "user": "u", "roles": ["guest"]});
    let refused = explain(guest).await;
    assert_eq!(refused["allowed"], false);
    assert_eq!(refused["verdict"], "refused by access[1] (guests)");
    assert_eq!(refused["rules"][0]["says"], "is about other actions");
    assert_eq!(refused["rules"][1]["decides"], true);
    assert_eq!(refused["rules"][1]["rule"]["reason"], "guests");
    let user = json!({"action": "publish", "channel": "/a/b", "user": "u"});
    assert_eq!(explain(user).await["verdict"], "allowed by access[2]");
    let anyone = json!({"action": "subscribe", "channel": "/a/**"});
    let anyone = explain(anyone).await;
    assert_eq!(anyone["verdict"], "refused: no [[access]] allows it");
    assert_eq!(anyone["webhook"], false);
    for (body, kind) in [
        ("{\"action\":\"x\"}", "body"),
        ("{\"action\":\"publish\",\"channel\":\"/a/*\"}", "channel"),
        ("{\"action\":\"handshake\",\"channel\":\"/a\"}", "channel"),
    ] {
        let wrong = ask(&server, post("/api/v1/explain", body)).await;
        assert_eq!(problem(&wrong), (400, kind.to_owned()), "{body}");
    }
}

#[tokio::test]
async fn history_and_nodes_are_told() {
    let server = server(
        "admin",
        &["channel=[{ pattern = '/kept', history = { messages = 9 } }]"],
    );
    for data in ["1", "2"] {
        json_of(&ask(&server, post("/api/v1/publish/kept", data)).await);
    }
    let of = |path: &'static str| {
        let server = &server;
        async move { json_of(&ask(server, request("GET", path)).await) }
    };
    let kept = of("/api/v1/history?channel=/kept").await;
    assert_eq!(kept["kept"], true);
    assert_eq!(kept["failing"], Value::Null);
    assert!(kept["first"].as_u64() < kept["last"].as_u64(), "{kept}");
    assert!(kept["epoch"].is_string());
    let none = ask(&server, request("GET", "/api/v1/history?channel=/a")).await;
    assert_eq!(problem(&none), (404, "no_history".to_owned()));
    let nodes = of("/api/v1/nodes").await;
    assert_eq!(nodes, json!({"clustered": false, "up": false, "nodes": []}));
}
