//! Application servers that are connected as clients: who may take calls, who has them, and how they end.

use mirant::memory::Kind;
use serde_json::{Value, json};

use crate::authentication::{token, with_claims};
use crate::support::{Client, TestServer, WebSocket, only, until};

const ROLE: &str = "backends.role=backend";
const ECHO: &str = "/service/rpc/echo";

/// A server whose sessions live long enough for a slow machine, if a test does not say otherwise.
fn server(set: &[&str]) -> TestServer {
    let patient = ["bayeux.max_interval=5m", "backends.max_interval=5m"];
    crate::authentication::server(&[&patient, set].concat())
}

/// A token of an application server.
fn backend_token(name: &str) -> String {
    with_claims(name, 600, &json!({"roles": ["backend"]}))
}

/// An application server that takes the calls on these channels.
async fn backend(server: &TestServer, patterns: &str) -> WebSocket {
    let mut backend = WebSocket::client_with(server.address, &backend_token("app")).await;
    backend.subscribe(patterns).await;
    backend
}

/// A client of a user.
async fn client(server: &TestServer, user: &str) -> Client {
    let mut client = Client::new(server.address);
    let token = token(user, 600);
    let ext = json!({"ext": {"authentication": {"token": token}}});
    client.handshake_with(ext).await;
    client.connect().await;
    client
}

/// Makes a call, whose message is acknowledged.
async fn call(client: &mut Client, id: &str, data: Value) {
    let reply = client
        .call(json!({"channel": ECHO, "id": id, "data": data}))
        .await;
    assert_eq!(
        reply,
        json!({"channel": ECHO, "id": id, "successful": true})
    );
}

/// Makes a call that fails at once; why.
async fn refused(client: &mut Client, id: &str) -> String {
    let message = json!({"channel": ECHO, "id": id, "data": 0});
    let [answer, reply] = <[Value; 2]>::try_from(client.send([message]).await).expect("two");
    assert_eq!((&answer["id"], &reply["id"]), (&json!(id), &json!(id)));
    assert_eq!(reply["successful"], true);
    error(&answer).to_owned()
}

/// The answer to a call, as its client waits for it.
async fn answer(client: &mut Client) -> Value {
    let mut messages = client.connect().await;
    assert_eq!(messages.pop().unwrap()["channel"], "/meta/connect");
    only(messages)
}

/// Answers a call.
async fn reply(backend: &mut WebSocket, call: &Value, data: Value) {
    let ext = json!({"call": {"id": call["ext"]["call"]["id"]}});
    let message = json!({"channel": call["channel"], "data": data, "ext": ext});
    let reply = backend.call(message).await;
    assert_eq!(reply["successful"], true);
}

/// Why a call failed.
fn error(answer: &Value) -> &str {
    assert_eq!(answer["successful"], false, "{answer}");
    assert_eq!(answer["data"]["error"], answer["error"], "{answer}");
    answer["error"].as_str().expect("an error")
}

#[tokio::test]
async fn a_call_is_answered_to_its_caller_who_need_not_know_by_whom() {
    let server = server(&[ROLE]);
    let mut backend = backend(&server, "/service/rpc/**").await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "77", json!([1, 2])).await;
    let received = backend.message().await;
    assert_eq!(received["channel"], ECHO);
    assert_eq!(received["data"], json!([1, 2]));
    let told = &received["ext"]["call"];
    assert_eq!(told["user"], "u1");
    let alias = told["session"].as_str().expect("an alias");
    assert!(alias.len() == 22 && alias != caller.id, "{alias}");
    reply(&mut backend, &received, json!("three")).await;
    assert_eq!(
        answer(&mut caller).await,
        json!({"channel": ECHO, "id": "77", "data": "three", "successful": true})
    );
    call(&mut caller, "78", json!(0)).await;
    let again = backend.message().await;
    assert_eq!(
        again["ext"]["call"]["session"], alias,
        "it is always the same"
    );
    assert_ne!(again["ext"]["call"]["id"], told["id"]);
}

#[tokio::test]
async fn data_keeps_its_bytes_there_and_back() {
    let server = server(&[ROLE]);
    let mut backend = backend(&server, ECHO).await;
    let mut caller = WebSocket::client(server.address).await;
    let odd = r#"{"n":1.0e+02, "n":12345678901234567890,"s":"\u00e9\/"}"#;
    let text = |id: &str, ext: &str| {
        format!(r#"[{{"channel":"{ECHO}","clientId":"{id}","id":7.0,"data":{odd}{ext}}}]"#)
    };
    caller.text(&text(&caller.id.clone(), "")).await;
    assert_eq!(caller.message().await["successful"], true);
    let received = backend.next_text().await;
    let received = std::str::from_utf8(&received).expect("UTF-8");
    assert!(
        received.contains(&format!(r#""data":{odd},"ext""#)),
        "{received}"
    );
    let parsed: Value = serde_json::from_str(received).expect("JSON");
    let call = &parsed[0]["ext"]["call"];
    assert_eq!(call["user"], Value::Null);
    let ext = format!(r#","ext":{{"call":{{"id":{}}}}}"#, call["id"]);
    backend.text(&text(&backend.id.clone(), &ext)).await;
    let answered = caller.next_text().await;
    let answered = std::str::from_utf8(&answered).expect("UTF-8");
    assert_eq!(
        answered,
        format!(r#"[{{"channel":"{ECHO}","data":{odd},"id":7.0,"successful":true}}]"#)
    );
}

#[tokio::test]
async fn a_failure_is_the_caller_s_too() {
    let server = server(&[ROLE]);
    let mut backend = backend(&server, ECHO).await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "1", json!(0)).await;
    let received = backend.message().await;
    let ext = json!({"call": {"id": received["ext"]["call"]["id"], "successful": false}});
    backend
        .call(json!({"channel": ECHO, "data": {"error": "sold out"}, "ext": ext}))
        .await;
    assert_eq!(
        answer(&mut caller).await,
        json!({
            "channel": ECHO, "id": "1", "data": {"error": "sold out"}, "successful": false,
            "error": "500:/service/rpc/echo:call_failed",
        })
    );
}

#[tokio::test]
async fn only_who_has_the_role_takes_calls() {
    let server = server(&[ROLE]);
    let mut caller = client(&server, "u1").await;
    let mut spy = client(&server, "u2").await;
    let reply = spy.subscribe(json!(["/service/**", ECHO, "/**"])).await;
    assert_eq!(reply["successful"], true);
    let none = "503:/service/rpc/echo:no_backend";
    assert_eq!(refused(&mut caller, "1").await, none);
    let mut backend = backend(&server, "/service/other/*").await;
    assert_eq!(refused(&mut caller, "2").await, none);
    backend.subscribe("/service/rpc/*").await;
    call(&mut caller, "3", json!(0)).await;
    let received = backend.message().await;
    // Neither can another answer it.
    let ext = json!({"call": {"id": received["ext"]["call"]["id"]}});
    let forged = json!({"channel": ECHO, "data": "forged", "ext": ext});
    let mut other = WebSocket::client_with(server.address, &backend_token("other")).await;
    assert_eq!(other.call(forged.clone()).await["successful"], true);
    assert_eq!(spy.call(forged).await["successful"], true);
    // What the spy has published is a call like others.
    assert_eq!(backend.message().await["data"], "forged");
    self::reply(&mut backend, &received, json!("real")).await;
    assert_eq!(answer(&mut caller).await["data"], "real");
    assert_eq!(spy.queued().await, [] as [Value; 0]);
}

#[tokio::test]
async fn without_a_role_nothing_is_new() {
    let server = server(&[]);
    let mut backend = backend(&server, "/service/**").await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "1", json!(0)).await;
    assert_eq!(caller.queued().await, [] as [Value; 0]);
    assert!(backend.is_silent().await);
}

#[tokio::test]
async fn built_in_handlers_come_first() {
    let server = server(&[ROLE, "services.echo=/service/rpc/echo"]);
    let mut backend = backend(&server, "/service/**").await;
    let mut caller = client(&server, "u1").await;
    let messages = caller.publish(ECHO, "x").await;
    assert_eq!(messages[0]["data"], "x", "{messages:?}");
    assert!(backend.is_silent().await);
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_not_waited_for() {
    let server = server(&[ROLE, "backends.call_timeout=50ms"]);
    let mut backend = backend(&server, ECHO).await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "1", json!(0)).await;
    let received = backend.message().await;
    let late = answer(&mut caller).await;
    assert_eq!(error(&late), "504:/service/rpc/echo:backend_timed_out");
    // What comes now is nobody's.
    reply(&mut backend, &received, json!("late")).await;
    assert_eq!(caller.queued().await, [] as [Value; 0]);
    let text = server.metrics().render();
    for line in [
        "mirant_calls 0",
        "mirant_backends 1",
        "mirant_calls_total{outcome=\"timed_out\"} 1",
        "mirant_calls_total{outcome=\"late\"} 1",
    ] {
        assert!(text.lines().any(|have| have == line), "{line} in\n{text}");
    }
}

#[tokio::test]
async fn the_calls_of_one_that_goes_away_go_to_another_and_then_fail_at_once() {
    let server = server(&[ROLE, "backends.max_interval=2s"]);
    let mut one = backend(&server, ECHO).await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "1", json!("a")).await;
    let first = one.message().await;
    let mut other = backend(&server, "/service/**").await;
    // It says so.
    let reply = one.call(json!({"channel": "/meta/disconnect"})).await;
    assert_eq!(reply["successful"], true);
    let second = other.message().await;
    assert_eq!(first, second);
    // It does not, and its session expires.
    other.reset();
    let gone = answer(&mut caller).await;
    assert_eq!(error(&gone), "503:/service/rpc/echo:backend_gone");
    assert_eq!(server.metrics().calls.value(), 0);
    assert_eq!(server.metrics().backends.value(), 0);
}

#[tokio::test]
async fn the_one_with_the_fewest_calls_has_the_next() {
    let server = server(&[ROLE]);
    let (mut one, mut other) = (backend(&server, ECHO).await, backend(&server, ECHO).await);
    let mut caller = client(&server, "u1").await;
    for id in ["1", "2"] {
        call(&mut caller, id, json!(id)).await;
    }
    let (first, _) = (one.message().await, other.message().await);
    reply(&mut one, &first, json!(0)).await;
    assert_eq!(answer(&mut caller).await["id"], first["data"]);
    call(&mut caller, "3", json!("3")).await;
    assert_eq!(one.message().await["data"], "3");
    one.call(json!({"channel": "/meta/unsubscribe", "subscription": ECHO}))
        .await;
    call(&mut caller, "4", json!("4")).await;
    assert_eq!(other.message().await["data"], "4", "one takes no more");
}

#[tokio::test]
async fn there_are_so_many_calls_at_once() {
    let server = server(&[
        ROLE,
        "backends.max_calls=3",
        "backends.max_calls_per_session=2",
    ]);
    let mut backend = backend(&server, ECHO).await;
    let (mut caller, mut other) = (client(&server, "u1").await, client(&server, "u2").await);
    for id in ["1", "2"] {
        call(&mut caller, id, json!(0)).await;
    }
    let first = backend.message().await;
    let full = "503:/service/rpc/echo:too_many_calls";
    assert_eq!(refused(&mut caller, "3").await, full);
    call(&mut other, "1", json!(0)).await;
    assert_eq!(refused(&mut other, "2").await, full);
    reply_behind_others(&mut backend, &first).await;
    assert_eq!(answer(&mut caller).await["id"], "1");
    call(&mut caller, "4", json!(0)).await;
    assert_eq!(
        caller.queued().await,
        [] as [Value; 0],
        "there is room again"
    );
}

/// Answers a call; other calls may come before the reply.
async fn reply_behind_others(backend: &mut WebSocket, call: &Value) {
    let ext = json!({"call": {"id": call["ext"]["call"]["id"]}});
    backend
        .send(json!({"channel": call["channel"], "data": 0, "ext": ext}))
        .await;
    while backend.message().await["successful"] != true {}
}

/// A backend that does not read by itself.
async fn lazy_backend(server: &TestServer, channel: &str) -> Client {
    let mut backend = Client::new(server.address);
    let ext = json!({"ext": {"authentication": {"token": backend_token("app")}}});
    backend.handshake_with(ext).await;
    backend.connect().await;
    assert_eq!(backend.subscribe(channel).await["successful"], true);
    backend
}

#[tokio::test]
async fn no_client_ends_a_backend_by_many_calls() {
    for policy in ["end", "drop_oldest", "drop_newest", "conflate"] {
        let policy = format!("bayeux.max_queue_policy={policy}");
        let settings = [
            ROLE,
            "bayeux.max_queue=10",
            "backends.max_interval=1m",
            &*policy,
        ];
        let server = server(&settings);
        let mut backend = lazy_backend(&server, ECHO).await;
        let mut caller = client(&server, "u1").await;
        for id in 0..5 {
            call(&mut caller, &id.to_string(), json!(id)).await;
        }
        let full = "503:/service/rpc/echo:too_many_calls";
        assert_eq!(refused(&mut caller, "5").await, full, "{policy}");
        let calls = backend.queued().await;
        let data: Vec<&Value> = calls.iter().map(|call| &call["data"]).collect();
        assert_eq!(data, [0, 1, 2, 3, 4], "{policy}");
        call(&mut caller, "6", json!(6)).await;
        assert_eq!(only(backend.queued().await)["data"], 6, "{policy}");
    }
}

#[tokio::test]
async fn no_client_ends_a_backend_by_much_that_happens() {
    let server = server(&[
        ROLE,
        "backends.events_channel=/service/events",
        "backends.max_interval=1m",
        "backends.max_events=50",
        "bayeux.max_queue=8",
    ]);
    let mut backend = lazy_backend(&server, "/service/events").await;
    let mut client = client(&server, "u1").await;
    for _ in 0..30 {
        let channels: Vec<String> = (0..50).map(|number| format!("/c/{number}")).collect();
        client.subscribe(json!(channels)).await;
        client.unsubscribe(json!(channels)).await;
    }
    let mut heard = 0;
    let mut dropped = 0;
    while heard + dropped < 30 * 50 * 4 {
        for message in backend.queued().await {
            heard += message["data"]["events"].as_array().expect("events").len() as u64;
            dropped += message["data"]["dropped"].as_u64().unwrap_or(0);
        }
        client.subscribe("/more").await;
        client.unsubscribe("/more").await;
    }
    assert!(dropped > 0, "there was more than may wait");
}

#[tokio::test]
async fn ten_thousand_calls_wait_at_once() {
    const CALLS: usize = 10_000;
    let server = server(&[
        ROLE,
        "backends.max_calls_per_session=10000",
        "bayeux.max_queue=40000",
        "bayeux.max_queue_bytes=64MiB",
        "backends.call_timeout=10m",
    ]);
    let mut backend = backend(&server, ECHO).await;
    let mut caller = WebSocket::client(server.address).await;
    for batch in 0..100 {
        let messages: Vec<Value> = (0..100)
            .map(|number| {
                let id = (batch * 100 + number).to_string();
                json!({"channel": ECHO, "clientId": caller.id, "id": id, "data": "x".repeat(100)})
            })
            .collect();
        caller.text(&Value::from(messages).to_string()).await;
        let mut acknowledged = 0;
        while acknowledged < 100 {
            acknowledged += caller.messages().await.len();
        }
    }
    until(|| server.metrics().calls.value() == 10_000).await;
    let mut received = Vec::new();
    while received.len() < CALLS {
        received.append(&mut backend.messages().await);
    }
    let counted = Kind::ALL.map(|kind| server.metrics().memory.of(kind));
    let each = counted.iter().sum::<u64>() / CALLS as u64;
    assert!(each < 1536, "a call takes {each} bytes");
    let mut ids: Vec<usize> = Vec::new();
    for calls in received.chunks(100) {
        let answers: Vec<Value> = calls
            .iter()
            .map(|call| {
                let ext = json!({"call": {"id": call["ext"]["call"]["id"]}});
                json!({"channel": ECHO, "clientId": backend.id, "data": 0, "ext": ext})
            })
            .collect();
        backend.text(&Value::from(answers).to_string()).await;
        assert_eq!(backend.messages().await.len(), calls.len());
        let so_many = ids.len() + calls.len();
        while ids.len() < so_many {
            let answers = caller.messages().await.into_iter();
            ids.extend(answers.filter_map(|answer| answer["id"].as_str()?.parse::<usize>().ok()));
        }
    }
    ids.sort_unstable();
    assert_eq!(ids, (0..CALLS).collect::<Vec<_>>());
    assert_eq!(server.metrics().calls.value(), 0);
}

#[tokio::test]
async fn who_loses_the_role_takes_no_more_and_its_calls_are_another_s() {
    let server = server(&[ROLE]);
    let mut backend = backend(&server, ECHO).await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "0", json!(0)).await;
    backend.message().await;
    let token = with_claims("app", 700, &json!({"roles": ["editor"]}));
    let renewal = json!({
        "channel": "/meta/subscribe", "subscription": "/x",
        "ext": {"authentication": {"token": token}},
    });
    assert_eq!(backend.call(renewal).await["successful"], true);
    let gone = answer(&mut caller).await;
    assert_eq!(error(&gone), "503:/service/rpc/echo:backend_gone");
    let none = "503:/service/rpc/echo:no_backend";
    assert_eq!(refused(&mut caller, "1").await, none);
}

#[tokio::test]
async fn rules_say_which_calls_a_backend_may_take() {
    let server = server(&[
        ROLE,
        "access=[{ allow = ['handshake'], who = 'authenticated' }, \
         { allow = ['subscribe', 'publish'], channels = ['/service/rpc/*'], who = { role = 'backend' } }, \
         { allow = ['publish'], channels = ['/service/rpc/*'], who = { role = 'editor' } }]",
    ]);
    let mut backend = WebSocket::client_with(server.address, &backend_token("app")).await;
    let all = json!({"channel": "/meta/subscribe", "subscription": "/service/**"});
    assert_eq!(
        backend.call(all).await["error"],
        "403:/service/**:subscribe_denied"
    );
    backend.subscribe("/service/rpc/*").await;
    let mut caller = client(&server, "u1").await;
    call(&mut caller, "1", json!(0)).await;
    let received = backend.message().await;
    reply(&mut backend, &received, json!(1)).await;
    assert_eq!(answer(&mut caller).await["data"], 1);
}

#[tokio::test]
async fn a_backend_publishes_under_a_name_and_nobody_else_does() {
    let server = server(&[ROLE]);
    let mut backend = backend(&server, ECHO).await;
    let (mut one, mut other) = (client(&server, "u1").await, client(&server, "u2").await);
    other.subscribe("/game").await;
    let ext = json!({"sender": "referee", "x": 1});
    let message = json!({"channel": "/game", "data": 1, "ext": ext});
    assert_eq!(backend.call(message.clone()).await["successful"], true);
    assert_eq!(only(other.queued().await)["ext"], ext);
    assert_eq!(one.call(message).await["successful"], true);
    assert_eq!(only(other.queued().await)["ext"], json!({"x": 1}));
}

#[tokio::test]
async fn without_relayed_ext_the_name_is_all_that_is_told() {
    let server = server(&[ROLE, "bayeux.relay_ext=false"]);
    let mut backend = backend(&server, ECHO).await;
    let mut other = client(&server, "u2").await;
    other.subscribe("/game").await;
    let ext = json!({"sender": "referee", "x": 1});
    backend
        .call(json!({"channel": "/game", "data": 1, "ext": ext}))
        .await;
    assert_eq!(
        only(other.queued().await)["ext"],
        json!({"sender": "referee"})
    );
}

#[tokio::test]
async fn backends_hear_of_sessions_and_channels() {
    let server = server(&[ROLE, "backends.events_channel=/service/events"]);
    let mut backend = backend(&server, "/service/events").await;
    let mut client = client(&server, "u1").await;
    client.subscribe("/chat/1").await;
    client.disconnect().await;
    let mut heard = Vec::new();
    let is_last = |event: &Value| event["event"] == "vacated" && event["channel"] == "/chat/1";
    while !heard.iter().any(is_last) {
        let message = backend.message().await;
        assert_eq!(message["channel"], "/service/events");
        let events = message["data"]["events"].as_array().expect("events");
        heard.extend(events.iter().cloned());
    }
    let of_client: Vec<&Value> = heard
        .iter()
        .filter(|event| event["user"] == "u1" || event["channel"] == "/chat/1")
        .collect();
    let words: Vec<String> = of_client
        .iter()
        .map(|event| {
            let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", word("event"), word("channel"), word("reason"))
        })
        .collect();
    assert_eq!(
        words,
        [
            "session_begun  ",
            "occupied /chat/1 ",
            "subscribed /chat/1 ",
            "session_ended  disconnect",
            "vacated /chat/1 ",
        ]
    );
    assert_eq!(of_client[0]["session"].as_str().map(str::len), Some(22));
    // Nobody else says such things.
    let mut liar = self::client(&server, "u2").await;
    let events = "/service/events";
    let reply = only(liar.publish(events, json!({"events": []})).await);
    assert_eq!(reply["error"], "403:/service/events:publish_denied");
}
