//! A webhook decides about handshakes, whatever way they come; without an answer there is no session.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{WAYS, client_of, handshake, problem, shake, shake_with};
use crate::one_door::Way;
use crate::support::{Events, Http, Request, Response, TestServer, bear, only, until};
use crate::webhook::hook::{Answer, Hook};

const UNAVAILABLE: &str = "503::webhook_unavailable";
const RULES: &str = "access=[\
    { allow = ['publish'], channels = ['/news'], who = { role = 'editor' } }, \
    { deny = ['subscribe'], channels = ['/granted/no'], who = 'anyone' }]";

fn server(hook: &Hook, more: &[&str]) -> TestServer {
    let mut set = hook.set();
    set.extend(more.iter().map(|&setting| setting.to_owned()));
    let set: Vec<&str> = set.iter().map(|setting| &**setting).collect();
    TestServer::start(&set)
}

/// Opens an event stream, and reads the head of what answers it.
async fn stream(address: SocketAddr, channel: &str) -> Response {
    let mut http = Http::open(address).await;
    let request = Request::new("GET", &format!("/events?channel={channel}"));
    http.send(request.bytes()).await;
    http.response().await
}

#[tokio::test]
async fn who_is_allowed_is_who_the_answer_says_and_has_what_it_grants() {
    let hook = Hook::new().await;
    let server = server(&hook, &[RULES]);
    let answer = json!({
        "allow": true, "user": "u1", "roles": ["editor"], "ext": {"hello": {"n": [1, "ü"]}},
        "grants": {"subscribe": ["/granted/**"], "publish": ["/granted/x"]},
    });
    hook.answer("handshake", Answer::Json(answer));
    for way in WAYS {
        let reply = shake(server.address, way, &Value::Null).await;
        assert_eq!(problem(&reply, &Value::Null, "retry"), None, "{way:?}");
        assert_eq!(reply["ext"], json!({"hello": {"n": [1, "ü"]}}), "{way:?}");
        let mut client = client_of(server.address, &reply);
        for (channel, error) in [
            ("/news", Value::Null),
            ("/granted/x", Value::Null),
            ("/granted/y", json!("403:/granted/y:publish_denied")),
        ] {
            let reply = only(client.publish(channel, 1).await);
            assert_eq!(reply["error"], error, "{way:?}: {reply}");
        }
        for (channel, error) in [
            ("/granted/y", Value::Null),
            ("/granted/no", json!("403:/granted/no:subscribe_denied")),
            ("/news", json!("403:/news:subscribe_denied")),
        ] {
            let reply = client.subscribe(channel).await;
            assert_eq!(reply["error"], error, "{way:?}: {reply}");
        }
    }
    let sessions = server.metrics().sessions.value();
    for (channel, status) in [("/granted/y", 200), ("/granted/no", 403), ("/news", 403)] {
        let response = stream(server.address, channel).await;
        assert_eq!(response.status, status, "{channel}: {response:?}");
    }
    let (mut events, _) = Events::open(server.address, "/events?channel=/granted/x").await;
    let reply = shake(server.address, Way::LongPolling, &Value::Null).await;
    let mut publisher = client_of(server.address, &reply);
    publisher.publish("/granted/x", "news").await;
    assert!(events.next().await.text().contains("news"));
    assert!(server.metrics().sessions.value() > sessions);
}

#[tokio::test]
async fn a_session_ends_when_its_answer_says_so() {
    let hook = Hook::new().await;
    let server = server(&hook, &[]);
    let answer = json!({"allow": true, "user": "u1", "expires": 3});
    hook.answer("handshake", Answer::Json(answer));
    let (mut events, _) = Events::open(server.address, "/events?channel=/a").await;
    let mut clients = Vec::new();
    for way in WAYS {
        let reply = shake(server.address, way, &Value::Null).await;
        let mut client = client_of(server.address, &reply);
        client.connect().await;
        client.poll().await;
        clients.push((way, client));
    }
    for (way, mut client) in clients {
        let reply = only(client.polled().await);
        assert_eq!(reply["error"], "401::token_expired", "{way:?}: {reply}");
        let advice = &reply["advice"]["reconnect"];
        assert_eq!(advice, "handshake", "{way:?}: {reply}");
    }
    events.ended().await;
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn who_is_denied_is_told_why_and_not_to_come_back() {
    let hook = Hook::new().await;
    let server = server(&hook, &[]);
    for (reason, error) in [
        (json!("not you"), "403:not you:handshake_denied"),
        (Value::Null, "403::handshake_denied"),
    ] {
        let answer = json!({"allow": false, "reason": reason});
        hook.answer("handshake", Answer::Json(answer));
        for way in WAYS {
            let reply = shake(server.address, way, &Value::Null).await;
            assert_eq!(problem(&reply, &json!(error), "none"), None, "{way:?}");
        }
        let response = stream(server.address, "/a").await;
        let told = (response.status, &*response.reason());
        assert_eq!(told, (403, "handshake_denied"));
        assert_eq!(response.header("Retry-After"), None);
    }
    assert_eq!(server.metrics().sessions.value(), 0);
}

/// Answers that are none.
fn lies() -> [Answer; 7] {
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    [
        Answer::Closed,
        Answer::Held,
        raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
        raw("no HTTP\r\n\r\n"),
        Answer::Json(json!({"allow": "true", "user": "u1"})),
        Answer::Json(json!({"allow": true})),
        Answer::Json(json!({"allow": true, "user": "u1", "ext": {"ack": true}})),
    ]
}

async fn no_answer(address: SocketAddr) -> Vec<String> {
    let mut problems = Vec::new();
    for way in WAYS {
        let begun = Instant::now();
        let reply = shake(address, way, &Value::Null).await;
        let problem = problem(&reply, &json!(UNAVAILABLE), "retry");
        problems.extend(problem.map(|problem| format!("{way:?}: {problem}")));
        if reply["advice"]["interval"] != 7000 || begun.elapsed() > Duration::from_secs(5) {
            problems.push(format!("{way:?}: {reply} after {:?}", begun.elapsed()));
        }
    }
    let response = stream(address, "/a").await;
    let is_told = response.status == 503
        && response.reason() == "webhook_unavailable"
        && response.header("Retry-After") == Some("7");
    if !is_told {
        problems.push(format!("{response:?}"));
    }
    problems
}

#[tokio::test]
async fn without_an_answer_there_is_no_session_and_clients_come_back() {
    let hook = Hook::new().await;
    let server = server(&hook, &["webhook.timeout=200ms", "webhook.retry=7s"]);
    for answer in lies() {
        hook.answer("handshake", answer.clone());
        let problems = no_answer(server.address).await;
        assert!(problems.is_empty(), "{answer:?}: {problems:#?}");
        assert_eq!(server.metrics().sessions.value(), 0, "{answer:?}");
    }
    hook.allow();
    let reply = shake(server.address, Way::LongPolling, &Value::Null).await;
    assert_eq!(reply["successful"], true, "{reply}");
}

#[tokio::test]
async fn a_webhook_that_is_down_lets_nobody_in() {
    let hook = Hook::new().await;
    // Nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("webhook.url=http://{}/", free.local_addr().unwrap());
    drop(free);
    let server = server(&hook, &[&url, "webhook.retry=7s"]);
    let problems = no_answer(server.address).await;
    assert!(problems.is_empty(), "{problems:#?}");
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn it_is_told_the_headers_and_cookies_that_are_named_and_no_client_id() {
    const ID: &str = "abcdefghijklmnopqrstuv";
    let named = ["webhook.headers=x-tenant", "webhook.cookies=sid"];
    let lines = format!(
        "X-Tenant: t1\r\nX-Other: hidden\r\nAuthorization: Bearer hidden\r\n\
         Cookie: sid=s1; other=hidden; BAYEUX_BROWSER={ID}"
    );
    let told = json!({"x-tenant": "t1", "cookie": "sid=s1"});
    for (set, headers) in [(&named[..], told), (&[], json!({}))] {
        let hook = Hook::new().await;
        let server = server(&hook, set);
        bear(&lines);
        for way in WAYS {
            let ext = json!({"login": {"code": "c1"}});
            let mut message = handshake(&ext);
            message["clientId"] = json!(ID);
            let reply = shake_with(server.address, way, message).await;
            assert_eq!(reply["successful"], true, "{way:?}: {reply}");
            check(&hook, &headers, &ext, way);
        }
        assert_eq!(stream(server.address, "/a").await.status, 200);
        check(&hook, &headers, &Value::Null, Way::EventStream);
        bear("");
    }

    fn check(hook: &Hook, headers: &Value, ext: &Value, way: Way) {
        let questions = hook.questions();
        assert_eq!(questions.len(), 1, "{way:?}: {questions:?}");
        let expected = json!({
            "action": "handshake", "address": "127.0.0.1", "headers": headers, "ext": ext,
        });
        assert_eq!(questions[0].json(), expected, "{way:?}");
        let all = format!("{questions:?}");
        assert!(
            !all.contains("hidden") && !all.contains(ID),
            "{way:?}: {all}"
        );
    }
}

#[tokio::test]
async fn who_goes_away_before_the_answer_leaves_nothing() {
    let hook = Hook::new().await;
    let bounds = ["webhook.max_concurrent=1", "extensions.max_waiting=1"];
    let server = server(&hook, &bounds);
    let text = json!([handshake(&Value::Null)]).to_string();
    let requests = [
        Request::post(text.clone()),
        Request::jsonp("cb", &text),
        Request::new("GET", "/events?channel=/a"),
    ];
    let metrics = server.metrics();
    for request in requests {
        hook.answer("handshake", Answer::Held);
        hook.questions();
        let mut http = server.open().await;
        http.send(request.bytes()).await;
        until(|| hook.asked() == 1).await;
        assert_eq!(metrics.waiting_batches.value(), 1);
        http.reset();
        until(|| metrics.waiting_batches.value() == 0).await;
        assert_eq!(metrics.webhook_calls.value(), 0);
        assert_eq!(metrics.sessions.value(), 0);
    }
    hook.allow();
    let reply = shake(server.address, Way::LongPolling, &Value::Null).await;
    assert_eq!(reply["successful"], true, "its place is free: {reply}");
}
