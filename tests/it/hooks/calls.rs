//! Calls that an application answers.

use mirant::memory::Kind;
use mirant::metrics::Limit;
use serde_json::{Value, json};

use super::application::{Answer, Application, status};
use crate::authentication::{self, with_claims};
use crate::support::{Client, Receiver, TestServer, Way, WebSocket, ok, only, until};

const CALLS: &str = "calls = ['/service/**'], min_backoff = '1ms', max_backoff = '5ms'";
const FAILED: &str = "502:/service/x:backend_failed";

/// Calls, and waits for the answer.
async fn call(client: &mut Client, channel: &str, data: impl Into<Value>) -> Value {
    let message = json!({"channel": channel, "id": "77", "data": data.into()});
    let mut messages = client.send([message]).await;
    let ack = messages.pop().unwrap();
    assert_eq!(ack["successful"], true, "{ack}");
    assert_eq!(ack.get("data"), None, "{ack}");
    let answer = match messages.pop() {
        Some(answer) => answer,
        None => only(client.events().await),
    };
    assert_eq!(
        (&answer["channel"], &answer["id"]),
        (&json!(channel), &json!("77"))
    );
    answer
}

#[tokio::test]
async fn a_call_says_what_is_known_and_its_answer_reaches_the_caller_only() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(CALLS)]);
    let mut other = server.client().await;
    other.subscribe("/**").await;
    let mut client = server.client().await;
    let answer = call(&mut client, "/service/orders/new", json!({"a": [1, "ü"]})).await;
    assert_eq!(answer["successful"], true);
    assert_eq!(answer["data"], json!({"a": [1, "ü"]}));
    let requests = application.requests(1).await;
    let body = requests[0].json();
    let asked = &body["call"];
    assert_eq!(asked["channel"], "/service/orders/new");
    assert_eq!(asked["data"], json!({"a": [1, "ü"]}));
    assert_eq!(asked["address"], "127.0.0.1");
    assert_eq!(asked["user"], Value::Null);
    assert_eq!(asked["roles"], json!([]));
    assert!(
        asked["session"]
            .as_str()
            .is_some_and(|alias| alias.len() == 22)
    );
    assert_eq!(asked["id"], requests[0].header("webhook-id"));
    assert!(!requests[0].text.contains(&client.id), "{body}");
    assert_eq!(other.queued().await, [] as [Value; 0]);
}

#[tokio::test]
async fn data_stays_as_it_is_both_ways() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(CALLS)]);
    let odd = r#"{"b" : 1.50e+0,"a":[ 1 ,"\u00fc\/"],"b":2}"#;
    application.answer(move |request| {
        let is_same = request.text.contains(&format!("\"data\":{odd}"));
        assert!(is_same, "{}", request.text);
        Answer::Raw(ok(&format!("{{ \"reply\" : {odd} }}")))
    });
    let mut client = server.client().await;
    let body = json!([client.message(json!({"channel": "/service/x", "data": "DATA"}))]);
    let body = body.to_string().replace("\"DATA\"", odd);
    client.post(body).await;
    until(|| server.metrics().hooks.calls.value() == 0).await;
    let mut connect = client.tab();
    connect.id.clone_from(&client.id);
    let text = connect
        .post(json!([{"channel": "/meta/connect", "clientId": client.id, "connectionType": "long-polling",
            "advice": {"timeout": 0}}]).to_string())
        .await;
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    assert!(text.contains(&format!("\"data\":{odd}")), "{text}");
}

#[tokio::test]
async fn answers_arrive_by_every_transport() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(CALLS)]);
    // JSON may have lines.
    application.answer(|request| {
        let number = request.json()["call"]["data"].clone();
        Answer::Raw(ok(&format!(
            "{{\"reply\":\r\n {{\n\"number\":{number}}}\n}}"
        )))
    });
    for way in Way::ALL {
        for acknowledges in [false, way.may_acknowledge()] {
            let mut receiver = Receiver::new(&server, way, acknowledges).await;
            for number in 1..=3 {
                receiver.publish("/service/x", json!(number)).await;
                receiver.receive(number).await;
            }
            assert_eq!(receiver.numbers, [1, 2, 3], "{:?}", receiver.name());
        }
    }
}

#[tokio::test]
async fn nothing_to_say_is_an_answer_too() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(CALLS)]);
    application.answer(|_| status("204 No Content"));
    let answer = call(&mut server.client().await, "/service/x", 1).await;
    assert_eq!(
        (&answer["successful"], answer.get("data")),
        (&json!(true), Some(&Value::Null))
    );
}

#[tokio::test]
async fn what_an_answer_publishes_comes_before_it() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(&format!("{CALLS}, max_publishes = 2"))]);
    let publishes = |count: usize, channel: &str| {
        let publish = json!({"channel": channel, "data": {"n": 1}});
        Answer::Json(json!({"publish": vec![publish; count], "reply": "done"}))
    };
    application.answer(move |_| publishes(2, "/news"));
    let mut socket = WebSocket::client(server.address).await;
    socket.subscribe("/news").await;
    let message = json!({"channel": "/service/x", "id": "5", "data": 1});
    socket.call(message.clone()).await;
    let news = [socket.message().await, socket.message().await];
    assert!(
        news.iter()
            .all(|event| event["channel"] == "/news" && event["data"]["n"] == 1)
    );
    assert_eq!(socket.message().await["data"], "done");
    for (count, channel) in [
        (3, "/news"),
        (1, "/service/x"),
        (1, "/meta/connect"),
        (1, "/news/*"),
    ] {
        application.answer(move |_| publishes(count, channel));
        socket.call(message.clone()).await;
        let answer = socket.message().await;
        assert_eq!(answer["successful"], false, "{answer}");
        assert!(answer.to_string().contains(FAILED), "{answer}");
    }
    assert!(socket.is_silent().await);
}

#[tokio::test]
async fn what_is_no_answer_is_an_error_to_the_caller() {
    let application = Application::new().await;
    let hook = application.set(&format!(
        "{CALLS}, timeout = '300ms', max_answer_size = '1KiB'"
    ));
    let server = TestServer::start(&[&hook]);
    let mut client = server.client().await;
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let json = |text: &str| Answer::Raw(ok(text));
    let timed_out = "504:/service/x:backend_timed_out";
    let cases = [
        (
            Answer::Json(json!({"error": "out of stock"})),
            "500:/service/x,out of stock:call_failed",
        ),
        (status("500 No"), FAILED),
        (status("404 No"), FAILED),
        (status("503 No\r\nRetry-After: 0"), FAILED),
        (status("302 Found\r\nLocation: /hook?a=b"), FAILED),
        (json("no JSON"), FAILED),
        (json("[1]"), FAILED),
        (json("{\"replay\":1}"), FAILED),
        (
            json(&format!("{{\"reply\":\"{}\"}}", "a".repeat(2000))),
            FAILED,
        ),
        (raw("no HTTP\r\n\r\n"), FAILED),
        (Answer::Closed, FAILED),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
            timed_out,
        ),
        (Answer::Held(Box::new(Answer::Closed)), timed_out),
    ];
    for (answer, error) in cases {
        let shown = format!("{answer:?}");
        application.answer(move |_| answer.clone());
        let answer = call(&mut client, "/service/x", 1).await;
        assert_eq!(answer["successful"], false, "{shown}: {answer}");
        assert!(answer.to_string().contains(error), "{shown}: {answer}");
        assert_eq!(
            application.requests(1).await.len(),
            1,
            "{shown}: it is not sent again"
        );
    }
    application.agree();
    assert_eq!(call(&mut client, "/service/x", 1).await["successful"], true);
}

#[tokio::test]
async fn a_call_is_sent_again_only_if_there_was_no_connection() {
    let mut application = Application::new().await;
    let hook =
        application.set("calls = ['/service/x'], min_backoff = '300ms', max_backoff = '301ms'");
    let server = TestServer::start(&[&hook]);
    let mut client = server.client().await;
    application.kill().await;
    client.publish("/service/x", "hello").await;
    until(|| server.metrics().hooks.requests.value() == 1).await;
    application.revive().await;
    assert_eq!(only(client.events().await)["data"], "hello");
    application.kill().await;
    let answer = call(&mut client, "/service/x", 1).await;
    assert!(answer.to_string().contains(FAILED), "{answer}");
    assert_eq!(application.requests(1).await.len(), 1);
}

#[tokio::test]
async fn so_many_calls_are_under_way_so_many_wait_and_others_fail_at_once() {
    let application = Application::new().await;
    let hook = application.set(&format!("{CALLS}, max_concurrent = 2, max_waiting = 3"));
    let server = TestServer::start(&[&hook]);
    application.answer(|request| {
        let data = request.json()["call"]["data"].clone();
        Answer::Held(Box::new(Answer::Json(json!({"reply": data}))))
    });
    let mut socket = WebSocket::client(server.address).await;
    for id in 0..7 {
        let message = json!({"channel": "/service/x", "id": id.to_string(), "data": id});
        socket.send(message).await;
    }
    let mut failed = Vec::new();
    while failed.len() < 2 {
        let message = socket.message().await;
        if message["successful"] == false {
            assert!(
                message
                    .to_string()
                    .contains("503:/service/x:too_many_calls"),
                "{message}"
            );
            failed.push(message["id"].clone());
        }
    }
    assert_eq!(failed, ["5", "6"]);
    assert_eq!(server.metrics().limit_count(Limit::MaxHookWaiting), 2);
    assert_eq!(server.metrics().hooks.calls.value(), 5);
    until(|| application.asked() == 2).await;
    application.release(5);
    let mut answered = Vec::new();
    while answered.len() < 5 {
        let message = socket.message().await;
        answered.extend(message["data"].as_u64());
    }
    answered.sort_unstable();
    assert_eq!(answered, [0, 1, 2, 3, 4]);
    assert_eq!(application.most_under_way(), 2);
    until(|| server.metrics().hooks.calls.value() == 0).await;
}

#[tokio::test]
async fn handlers_of_the_server_come_first_and_other_channels_are_not_its_own() {
    let application = Application::new().await;
    let hook = application.set("calls = ['/service/a', '/service/echo']");
    let server = TestServer::start(&[&hook, "services.echo=/service/echo"]);
    let mut client = server.client().await;
    assert_eq!(call(&mut client, "/service/echo", 1).await["data"], 1);
    client.publish("/service/b", 1).await;
    assert_eq!(application.asked(), 0);
    assert_eq!(call(&mut client, "/service/a", 1).await["data"], 1);
    assert_eq!(application.asked(), 1);
}

/// A client that has shown a token.
async fn logged_in(server: &TestServer, user: &str, roles: &[&str]) -> Client {
    let mut client = Client::new(server.address);
    let token = with_claims(user, 600, &json!({"roles": roles}));
    let ext = json!({"ext": {"authentication": {"token": token}}});
    client.handshake_with(ext).await;
    client.connect().await;
    client
}

#[tokio::test]
async fn a_call_says_who_makes_it() {
    let application = Application::new().await;
    let server = authentication::server(&[&application.set(CALLS)]);
    let mut client = logged_in(&server, "u1", &["a", "b"]).await;
    call(&mut client, "/service/x", 1).await;
    let asked = application.requests(1).await[0].json()["call"].clone();
    assert_eq!(
        (&asked["user"], &asked["roles"]),
        (&json!("u1"), &json!(["a", "b"]))
    );
}

#[tokio::test]
async fn connected_application_servers_come_first() {
    let application = Application::new().await;
    let server = authentication::server(&[&application.set(CALLS), "backends.role=backend"]);
    let mut backend = logged_in(&server, "app", &["backend"]).await;
    backend.subscribe("/service/x").await;
    let mut client = server.client().await;
    client.publish("/service/x", "hello").await;
    assert_eq!(only(backend.events().await)["data"], "hello");
    assert_eq!(application.asked(), 0);
    // Without one it is the application's turn, but not for what it may have begun.
    backend.disconnect().await;
    let error = only(client.events().await);
    assert_eq!(error["error"], "503:/service/x:backend_gone");
    assert_eq!(call(&mut client, "/service/x", "hi").await["data"], "hi");
    assert_eq!(application.asked(), 1);
}

#[tokio::test]
async fn ten_thousand_calls_may_wait_and_are_counted_as_memory() {
    const CLIENTS: usize = 100;
    const CALLS_OF_EACH: usize = 100;
    let application = Application::new().await;
    let bounds = "max_concurrent = 50, max_waiting = 9950, timeout = '5m'";
    let server = TestServer::start(&[
        &application.set(&format!("{CALLS}, {bounds}")),
        "websocket.ping_interval=0s",
        "bayeux.max_interval=5m",
    ]);
    application.answer(|request| {
        let data = request.json()["call"]["data"].clone();
        Answer::Held(Box::new(Answer::Json(json!({"reply": data}))))
    });
    let mut sockets = Vec::new();
    for _ in 0..CLIENTS {
        let mut socket = WebSocket::client(server.address).await;
        for id in 0..CALLS_OF_EACH {
            socket
                .send(json!({"channel": "/service/x", "id": id.to_string(), "data": id}))
                .await;
        }
        sockets.push(socket);
    }
    // However long all of them take, a hundredth of them does not take long.
    let calls = || usize::try_from(server.metrics().hooks.calls.value()).unwrap();
    for clients in 1..=CLIENTS {
        until(|| calls() >= clients * CALLS_OF_EACH).await;
    }
    let memory = &server.metrics().memory;
    assert!(
        memory.of(Kind::Waits) >= 10_000 * 1024,
        "{}",
        memory.of(Kind::Waits)
    );
    let answer = call(&mut server.client().await, "/service/x", 1).await;
    assert_eq!(answer["error"], "503:/service/x:too_many_calls");
    application.release(CLIENTS * CALLS_OF_EACH);
    for clients in (0..CLIENTS).rev() {
        until(|| calls() <= clients * CALLS_OF_EACH).await;
    }
    for mut socket in sockets {
        let mut answered = 0;
        while answered < CALLS_OF_EACH {
            let messages = socket.messages().await;
            answered += messages
                .iter()
                .filter(|message| message.get("data").is_some())
                .count();
        }
    }
    assert_eq!(application.most_under_way(), 50);
}
