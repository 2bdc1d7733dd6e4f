//! A webhook decides, whatever way something comes in; without an answer nothing is done.

pub(crate) mod hook;

use std::time::{Duration, Instant};

use mirant::metrics::Limit;
use serde_json::{Value, json};

use crate::one_door::{Kind, Ready, WAYS, Way, state};
use crate::support::program::{Serving, mirant};
use crate::support::{Client, Request, TestServer, ok, until};
use hook::{Answer, Hook, SECRET};

const RESOURCES: &str = "channel=[{ pattern = '/**', resource = true }]";
const BOTH: &str = "webhook.decides=subscribe,publish";
const EACH: &str = "webhook.cache=0s";
const UNAVAILABLE: &str = "503::webhook_unavailable";

fn server(hook: &Hook, more: &[&str]) -> TestServer {
    let mut set = hook.set();
    set.extend(more.iter().map(|&setting| setting.to_owned()));
    let set: Vec<&str> = set.iter().map(|setting| &**setting).collect();
    TestServer::start(&set)
}

fn denied(reason: &str) -> Answer {
    Answer::Json(json!({"allow": false, "reason": reason}))
}

/// What a client hears by its way if it is told this error by others.
fn told(way: Way, error: &str) -> String {
    let [code, arguments, text] = {
        let mut parts = error.splitn(3, ':');
        [(); 3].map(|()| parts.next().unwrap())
    };
    let _ = arguments;
    match way {
        // A response to HEAD has no reason.
        Way::Head => format!("{code} not_here"),
        Way::EventStream
        | Way::ResumedStream
        | Way::Get
        | Way::Wait
        | Way::Watch
        | Way::Put
        | Way::Post
        | Way::Patch
        | Way::Delete
        | Way::EmbeddedResource => format!("{code} {text}"),
        _ => error.to_owned(),
    }
}

/// Says what is wrong with a way in, if something is.
async fn wrong(hook: &Hook, way: Way, kind: Kind, answer: Answer, error: &str) -> Option<String> {
    let server = server(
        hook,
        &[RESOURCES, BOTH, EACH, "bayeux.publish_without_session=true"],
    );
    let put = Request::new("PUT", "/resources/r/a").body("\"old\"");
    server.open().await.exchange(put).await;
    let mut ready = Ready::of(&server, way).await;
    let before = state(&server).await;
    let action = match kind {
        Kind::Subscribe => "subscribe",
        _ => "publish",
    };
    hook.answer(action, answer);
    let attempt = ready.attempt(&server, way, kind).await;
    hook.allow();
    if attempt != Err(told(way, error)) {
        return Some(format!("{attempt:?}"));
    }
    if state(&server).await != before {
        return Some("it is refused, but does something".to_owned());
    }
    hook.questions();
    if let Err(error) = ready.attempt(&server, way, kind).await {
        return Some(format!("it is always refused: {error}"));
    }
    let questions = hook.questions();
    let asked = questions.first().map(|question| question.json());
    let asked = asked.map(|asked| (asked["action"].clone(), asked["channels"].clone()));
    (asked != Some((json!(action), json!(["/r/a"])))).then(|| format!("{questions:?}"))
}

#[tokio::test]
async fn subscribes_and_publishes_are_decided_for_every_way_in() {
    let hook = Hook::new().await;
    let mut problems = Vec::new();
    for (way, kinds) in WAYS {
        for kind in kinds {
            let denial = match kind {
                Kind::Subscribe => "403:/r/a,not you:subscribe_denied",
                Kind::Publish => "403:/r/a,not you:publish_denied",
                Kind::Handshake | Kind::Connect => continue,
            };
            let down = Answer::Raw(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec());
            for (answer, error) in [(denied("not you"), denial), (down, UNAVAILABLE)] {
                let problem = wrong(&hook, way, *kind, answer, error).await;
                problems.extend(problem.map(|problem| format!("{way:?}, {kind:?}: {problem}")));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[tokio::test]
async fn a_question_says_what_is_known_and_never_a_client_id() {
    let hook = Hook::new().await;
    let server = server(&hook, &[BOTH, EACH, "webhook.send_data=true"]);
    let mut client = server.client().await;
    assert_eq!(hook.asked(), 0, "it does not decide about handshakes");
    let subscribe = json!({
        "channel": "/meta/subscribe", "subscription": ["/z/", "/b/**"], "ext": {"x": [1, "ü"]},
    });
    assert_eq!(client.call(subscribe).await["successful"], true);
    assert_eq!(client.publish("/a", "hello").await[0]["successful"], true);
    let questions = hook.questions();
    let asked: Vec<Value> = questions.iter().map(|question| question.json()).collect();
    let subscribed = json!({
        "action": "subscribe", "user": null, "roles": [], "channels": ["/z", "/b/**"],
        "address": "127.0.0.1", "headers": {}, "ext": {"x": [1, "ü"]},
    });
    let published = json!({
        "action": "publish", "user": null, "roles": [], "channels": ["/a"], "data": "hello",
        "address": "127.0.0.1", "headers": {}, "ext": null,
    });
    assert_eq!(asked, [subscribed, published]);
    for question in &questions {
        assert_eq!(question.headers["content-type"], "application/json");
        assert!(question.headers["user-agent"].starts_with("mirant/"));
        assert!(
            !format!("{question:?}").contains(&client.id),
            "{question:?}"
        );
    }
    let ids = questions
        .iter()
        .map(|question| &question.headers["webhook-id"]);
    let ids: std::collections::BTreeSet<_> = ids.collect();
    assert_eq!(ids.len(), 2);
    // What cannot succeed is not asked about.
    client.subscribe("no channel").await;
    client.publish("/meta/x", 1).await;
    client.unsubscribe("/a").await;
    assert_eq!(hook.asked(), 0);
}

#[tokio::test]
async fn what_is_published_is_not_told_unless_that_is_wanted() {
    let hook = Hook::new().await;
    let server = server(&hook, &[BOTH]);
    server.client().await.publish("/a", "a secret").await;
    let questions = hook.questions();
    assert_eq!(questions.len(), 1);
    assert!(!questions[0].text.contains("secret"), "{questions:?}");
}

/// Answers that are none, and what the log says of them.
fn lies() -> Vec<(Answer, &'static str)> {
    let raw = |text: &str| Answer::Raw(text.as_bytes().to_vec());
    let status = |line: &str| {
        raw(&format!(
            "HTTP/1.1 {line}\r\nContent-Length: 14\r\n\r\n{{\"allow\":true}}"
        ))
    };
    let huge = format!("{{\"allow\":true{}}}", " ".repeat(20_000));
    vec![
        (status("500 Internal Server Error"), "its status is 500"),
        (status("404 Not Found"), "its status is 404"),
        (
            status("302 Found\r\nLocation: /elsewhere"),
            "its status is 302",
        ),
        (
            status("307 Temporary Redirect\r\nLocation: /ask?a=b"),
            "its status is 307",
        ),
        (status("201 Created"), "its status is 201"),
        (Answer::Raw(ok("")), "it is no JSON object"),
        (Answer::Raw(ok("yes")), "it is no JSON object"),
        (Answer::Raw(ok("[true]")), "it is no JSON object"),
        (
            Answer::Raw(ok("{\"allow\":\"true\"}")),
            "it is not understood",
        ),
        (
            Answer::Raw(ok("{\"allow\":true,\"reson\":\"\"}")),
            "unknown field `reson`",
        ),
        (Answer::Raw(ok("{\"allow\":true")), "it is not understood"),
        (Answer::Raw(ok(&huge)), "larger than 16384 bytes"),
        (
            raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"allow\":true}"),
            "no answer within",
        ),
        (raw("no HTTP\r\n\r\n"), "invalid HTTP"),
        (Answer::Closed, "connection"),
        (Answer::Held, "no answer within"),
    ]
}

#[tokio::test]
async fn an_answer_that_is_none_refuses_and_the_log_says_why() {
    let hook = Hook::new().await;
    for (answer, why) in lies() {
        let mut command = mirant(&["serve", "--listen", "127.0.0.1:0"]);
        for setting in hook
            .set()
            .iter()
            .chain(&[BOTH.to_owned(), "webhook.timeout=300ms".to_owned()])
        {
            command.args(["--set", setting]);
        }
        let serving = Serving::of(command.stderr(std::process::Stdio::piped()));
        let mut client = Client::new(serving.address());
        client.handshake().await;
        hook.answer("publish", answer.clone());
        let begun = Instant::now();
        let message = json!({"channel": "/a", "data": 1, "ext": {"token": "planted-token"}});
        let reply = client.call(message.clone()).await;
        assert_eq!(reply["error"], UNAVAILABLE, "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{answer:?}");
        hook.allow();
        let reply = client.call(message).await;
        assert_eq!(reply["successful"], true, "{answer:?}: {reply}");
        serving.signal("TERM");
        let log = serving.log();
        let lines = log.lines().filter(|line| line.contains("webhook"));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{log}");
        assert!(
            lines[0].contains("WARN") && lines[0].contains(why),
            "{why}: {log}"
        );
        for planted in [SECRET, "planted-token"] {
            assert!(!log.contains(planted), "{log}");
        }
    }
}

#[tokio::test]
async fn an_answer_holds_for_what_is_the_same_and_nothing_else() {
    let hook = Hook::new().await;
    let server = server(
        &hook,
        &[BOTH, "webhook.cache=1h", "extensions.max_wait=10s"],
    );
    let (mut one, mut other) = (server.client().await, server.client().await);
    for client in [&mut one, &mut other] {
        for _ in 0..3 {
            assert_eq!(client.publish("/a", 1).await[0]["successful"], true);
        }
    }
    assert_eq!(hook.questions().len(), 1);
    let publish = |ext: Value| json!({"channel": "/a", "data": 1, "ext": ext});
    for message in [
        publish(json!({"x": 1})),
        publish(json!({"x": 2})),
        publish(json!({"x": 1})),
    ] {
        assert_eq!(one.call(message).await["successful"], true);
    }
    assert_eq!(hook.questions().len(), 2);
    assert_eq!(one.subscribe("/a").await["successful"], true);
    assert_eq!(hook.questions().len(), 1, "it is another action");
    one.unsubscribe("/a").await;
    hook.answer("publish", denied(""));
    assert_eq!(one.publish("/a", 1).await[0]["successful"], true);
    for _ in 0..2 {
        assert_eq!(
            one.publish("/b", 1).await[0]["error"],
            "403:/b:publish_denied"
        );
    }
    assert_eq!(hook.questions().len(), 1, "a refusal holds too");
    hook.answer("publish", Answer::Closed);
    assert_eq!(one.publish("/c", 1).await[0]["error"], UNAVAILABLE);
    hook.allow();
    assert_eq!(
        one.publish("/c", 1).await[0]["successful"],
        true,
        "no answer does not"
    );
    let figures = server.metrics().render();
    for line in [
        "mirant_webhook_total{outcome=\"allowed\"} 5",
        "mirant_webhook_total{outcome=\"denied\"} 1",
        "mirant_webhook_total{outcome=\"failed\"} 1",
        "mirant_webhook_total{outcome=\"cached\"} 8",
        "mirant_webhook_calls 0",
    ] {
        assert!(
            figures.lines().any(|have| have == line),
            "{line} in\n{figures}"
        );
    }
}

#[tokio::test]
async fn questions_are_bounded_and_those_beyond_are_refused_at_once() {
    let hook = Hook::new().await;
    let bounds = ["webhook.max_concurrent=2", "webhook.max_waiting=2"];
    let server = server(&hook, &[BOTH, EACH, bounds[0], bounds[1]]);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(server.client().await);
    }
    hook.answer("publish", Answer::Held);
    let mut last = clients.pop().unwrap();
    let waiting: Vec<_> = clients
        .into_iter()
        .map(|mut client| tokio::spawn(async move { client.publish("/a", 1).await }))
        .collect();
    until(|| server.metrics().webhook_calls.value() == 4 && hook.asked() == 2).await;
    assert_eq!(last.publish("/a", 1).await[0]["error"], UNAVAILABLE);
    assert_eq!(server.metrics().limit_count(Limit::MaxWebhookWaiting), 1);
    assert_eq!(hook.asked(), 2, "no more than two are under way");
    hook.release(4);
    for publish in waiting {
        assert_eq!(publish.await.unwrap()[0]["successful"], true);
    }
    hook.allow();
    assert_eq!(last.publish("/a", 1).await[0]["successful"], true);
}

#[tokio::test]
async fn who_goes_away_gives_its_question_up() {
    let hook = Hook::new().await;
    let server = server(&hook, &[BOTH, EACH, "webhook.max_concurrent=1"]);
    let mut client = server.client().await;
    hook.answer("publish", Answer::Held);
    let message = client.message(json!({"channel": "/a", "data": 1}));
    let mut http = server.open().await;
    http.send(client.request(message.to_string()).bytes()).await;
    until(|| hook.asked() == 1).await;
    drop(http);
    until(|| server.metrics().webhook_calls.value() == 0).await;
    hook.allow();
    assert_eq!(
        client.publish("/a", 1).await[0]["successful"],
        true,
        "its place is free"
    );
    let figures = server.metrics().render();
    assert!(
        figures.contains("mirant_webhook_total{outcome=\"given_up\"} 1"),
        "{figures}"
    );
}
