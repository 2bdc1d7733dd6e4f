//! What happens, told to an application.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mirant::metrics::Limit;
use serde_json::{Value, json};

use super::application::{Answer, Application, status};
use crate::support::{Posted, TestServer, until, within};

const ALL: &str = "events = ['session_begun', 'session_ended', 'subscribed', 'unsubscribed', 'occupied', 'vacated']";
const SUBSCRIBED: &str = "events = ['subscribed']";
const QUICK: &str = "batch_wait = '1ms', min_backoff = '1ms', max_backoff = '5ms'";

/// The events of requests, each once and in the order of their first arrival.
fn events(requests: &[Posted]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let all = requests.iter().flat_map(|request| {
        let body = request.json();
        body["events"].as_array().unwrap().clone()
    });
    all.filter(|event| seen.insert(event["id"].as_str().unwrap().to_owned()))
        .collect()
}

fn channels(events: &[Value]) -> Vec<&str> {
    let channels = events.iter().map(|event| event["channel"].as_str());
    channels.map(Option::unwrap).collect()
}

/// Waits until all that was noted is settled.
async fn settled(server: &TestServer) {
    until(|| server.metrics().hooks.queued.value() == 0).await;
}

#[tokio::test]
async fn what_happens_arrives_in_order_signed_and_without_a_client_id() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(&format!("{ALL}, {QUICK}"))]);
    let mut client = server.client().await;
    client.subscribe("/chat/1").await;
    client.subscribe("/chat/**").await;
    client.unsubscribe("/chat/1").await;
    client.disconnect().await;
    settled(&server).await;
    let requests = application.requests(1).await;
    let events = events(&requests);
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    let expected = [
        "session_begun",
        "subscribed",
        "occupied",
        "subscribed",
        "occupied",
        "unsubscribed",
        "vacated",
        "session_ended",
        "vacated",
    ];
    let sorted = |names: &[&str]| {
        let mut names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(sorted(&names), sorted(&expected));
    let of_session: Vec<&Value> = events
        .iter()
        .filter(|event| !event["session"].is_null())
        .collect();
    let names: Vec<&Value> = of_session.iter().map(|event| &event["event"]).collect();
    let expected = [
        "session_begun",
        "subscribed",
        "subscribed",
        "unsubscribed",
        "session_ended",
    ];
    assert_eq!(names, expected);
    let alias = of_session[0]["session"].as_str().unwrap();
    assert!(of_session.iter().all(|event| event["session"] == alias));
    assert_eq!(of_session[1]["channel"], "/chat/1");
    assert_eq!(of_session[4]["reason"], "disconnect");
    for request in &requests {
        assert_eq!(request.header("content-type"), "application/json");
        assert!(request.header("user-agent").starts_with("mirant/"));
        assert_eq!(request.json()["dropped"], 0);
        assert!(!format!("{request:?}").contains(&client.id), "{request:?}");
    }
    let ids: BTreeSet<&str> = requests
        .iter()
        .map(|request| request.header("webhook-id"))
        .collect();
    assert_eq!(ids.len(), requests.len());
}

#[tokio::test]
async fn an_application_is_told_what_it_asks_for_and_no_more() {
    let application = Application::new().await;
    let other = Application::new().await;
    let entries = [
        application.entry(&format!(
            "events = ['subscribed', 'session_ended'], channels = ['/chat/**', '/news'], {QUICK}"
        )),
        other.entry(&format!("events = ['occupied'], {QUICK}")),
    ];
    let server = TestServer::start(&[&format!("hook=[{}]", entries.join(", "))]);
    let mut client = server.client().await;
    for channel in [
        "/a", "/chat", "/chat/1", "/chat/**", "/**", "/news", "/news/1",
    ] {
        client.subscribe(channel).await;
    }
    client.disconnect().await;
    settled(&server).await;
    let told = events(&application.requests(1).await);
    assert_eq!(told.last().unwrap()["event"], "session_ended");
    assert_eq!(
        channels(&told[..told.len() - 1]),
        ["/chat/1", "/chat/**", "/news"]
    );
    let told = events(&other.requests(1).await);
    assert_eq!(told.len(), 7);
    assert!(told.iter().all(|event| event["event"] == "occupied"));
}

#[tokio::test]
async fn events_go_together_once_a_batch_is_full() {
    let application = Application::new().await;
    let more = format!("{SUBSCRIBED}, max_batch = 3, batch_wait = '1h'");
    let mut server = TestServer::start(&[&application.set(&more)]);
    let mut client = server.client().await;
    let names: Vec<String> = (0..7).map(|index| format!("/c/{index}")).collect();
    for name in &names {
        client.subscribe(&**name).await;
    }
    let requests = application.requests(2).await;
    assert_eq!(channels(&events(&requests)), names[..6]);
    // What waits for others goes when the server stops.
    server.stop();
    server.stopped().await;
    assert_eq!(
        channels(&events(&application.requests(1).await)),
        names[6..]
    );
}

#[tokio::test]
async fn each_secret_signs() {
    let secrets = [
        "planted-new-secret",
        "planted-old-secret",
        "planted-oldest-secret",
    ];
    let application = Application::with(&secrets).await;
    let server = TestServer::start(&[&application.set(&format!("{SUBSCRIBED}, {QUICK}"))]);
    server.client().await.subscribe("/a").await;
    let requests = application.requests(1).await;
    assert_eq!(
        requests[0].header("webhook-signature").split(' ').count(),
        3
    );
}

#[tokio::test]
async fn what_fails_comes_again_as_it_was_and_in_order() {
    let application = Application::new().await;
    let more = format!("{SUBSCRIBED}, max_batch = 5, {QUICK}");
    let server = TestServer::start(&[&application.set(&more)]);
    let mut count = 0;
    application.answer(move |_| {
        count += 1;
        match count % 6 {
            0 => status("200 OK"),
            1 => status("500 No"),
            2 => status("503 No\r\nRetry-After: 0"),
            3 => Answer::Closed,
            4 => Answer::Raw(b"no HTTP\r\n\r\n".to_vec()),
            _ => status("408 Request Timeout"),
        }
    });
    let mut client = server.client().await;
    let names: Vec<String> = (0..40).map(|index| format!("/c/{index}")).collect();
    for name in &names {
        client.subscribe(&**name).await;
    }
    settled(&server).await;
    let requests = application.requests(48).await;
    let told = events(&requests);
    assert_eq!(channels(&told), names);
    let mut batches: Vec<(&str, &str)> = requests
        .iter()
        .map(|request| (request.header("webhook-id"), &*request.text))
        .collect();
    batches.dedup();
    let ids: BTreeSet<&str> = batches.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), batches.len(), "a batch stays what it is");
    assert_eq!(requests.len(), 6 * batches.len());
}

#[tokio::test]
async fn an_application_may_die_in_the_middle() {
    let mut application = Application::new().await;
    let more = format!("{SUBSCRIBED}, max_batch = 4, {QUICK}");
    let server = TestServer::start(&[&application.set(&more)]);
    let mut client = server.client().await;
    let mut told = Vec::new();
    let names: Vec<String> = (0..60).map(|index| format!("/c/{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        match index % 20 {
            // It has what it does not answer.
            5 => application.answer(|_| Answer::Held(Box::new(status("200 OK")))),
            10 => {
                until(|| application.asked() > 0).await;
                application.kill().await;
            }
            15 => {
                application.agree();
                application.revive().await;
            }
            _ => {}
        }
        client.subscribe(&**name).await;
    }
    settled(&server).await;
    told.extend(application.requests(1).await);
    assert_eq!(channels(&events(&told)), names);
    assert!(server.metrics().hooks.retries.value() > 0);
}

#[tokio::test]
async fn a_full_queue_drops_the_oldest_and_says_how_many() {
    let application = Application::new().await;
    let more = format!("{SUBSCRIBED}, max_batch = 2, max_queue = 3, {QUICK}");
    let server = TestServer::start(&[&application.set(&more)]);
    application.answer(|_| Answer::Held(Box::new(status("200 OK"))));
    let mut client = server.client().await;
    client.subscribe("/first").await;
    let first = application.requests(1).await;
    assert_eq!(channels(&events(&first)), ["/first"]);
    for index in 0..8 {
        client.subscribe(format!("/c/{index}")).await;
    }
    assert_eq!(server.metrics().limit_count(Limit::MaxHookQueue), 5);
    application.agree();
    application.release(1);
    settled(&server).await;
    let requests = application.requests(2).await;
    assert_eq!(channels(&events(&requests)), ["/c/5", "/c/6", "/c/7"]);
    let dropped: Vec<Value> = requests
        .iter()
        .map(|request| request.json()["dropped"].clone())
        .collect();
    assert_eq!(dropped, [5, 0]);
}

#[tokio::test]
async fn what_is_refused_is_not_sent_again() {
    let application = Application::new().await;
    let server = TestServer::start(&[&application.set(&format!("{SUBSCRIBED}, {QUICK}"))]);
    let mut client = server.client().await;
    for (index, line) in ["400 Bad Request", "404 No", "302 Found\r\nLocation: /a"]
        .iter()
        .enumerate()
    {
        application.answer(|_| status(line));
        client.subscribe(format!("/lost/{index}")).await;
        settled(&server).await;
    }
    application.agree();
    client.subscribe("/a").await;
    settled(&server).await;
    let requests = application.requests(4).await;
    assert_eq!(requests.len(), 4);
    assert_eq!(requests[3].json()["dropped"], 3);
    assert_eq!(server.metrics().hooks.retries.value(), 0);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let application = Application::new().await;
    let more =
        format!("{SUBSCRIBED}, batch_wait = '1ms', min_backoff = '1ms', max_backoff = '20s'");
    let server = TestServer::start(&[&application.set(&more)]);
    let mut is_first = true;
    application.answer(move |_| match std::mem::take(&mut is_first) {
        true => status("429 Too Many Requests\r\nRetry-After: 1"),
        false => status("204 No Content"),
    });
    let mut client = server.client().await;
    let begun = Instant::now();
    client.subscribe("/a").await;
    let requests = application.requests(2).await;
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(requests[0].text, requests[1].text);
}

#[tokio::test]
async fn an_answer_may_be_huge_and_says_what_its_status_is() {
    let application = Application::new().await;
    let server = TestServer::start(&[
        &application.set(&format!("{SUBSCRIBED}, {QUICK}, max_answer_size = '1KiB'"))
    ]);
    let mut count = 0;
    application.answer(move |_| {
        count += 1;
        let line = if count == 1 { "500 No" } else { "200 OK" };
        let body = "a".repeat(100_000);
        Answer::Raw(format!("HTTP/1.1 {line}\r\nContent-Length: 100000\r\n\r\n{body}").into_bytes())
    });
    server.client().await.subscribe("/a").await;
    settled(&server).await;
    assert_eq!(application.requests(2).await.len(), 2);
}

#[tokio::test]
async fn a_server_that_stops_tries_once_more() {
    let mut application = Application::new().await;
    let more = format!(
        "{SUBSCRIBED}, batch_wait = '1ms', max_batch = 2, min_backoff = '1h', max_backoff = '1h'"
    );
    let mut server = TestServer::start(&[&application.set(&more)]);
    application.kill().await;
    let mut client = server.client().await;
    for index in 0..5 {
        client.subscribe(format!("/c/{index}")).await;
    }
    until(|| server.metrics().hooks.requests.value() == 1).await;
    application.revive().await;
    server.stop();
    server.stopped().await;
    let told = events(&application.requests(1).await);
    assert_eq!(channels(&told), ["/c/0", "/c/1", "/c/2", "/c/3", "/c/4"]);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_an_application_that_hangs() {
    let application = Application::new().await;
    let hook = application.set(&format!("{SUBSCRIBED}, {QUICK}"));
    let mut server = TestServer::start(&[&hook, "http.shutdown_timeout=200ms"]);
    application.answer(|_| Answer::Held(Box::new(status("200 OK"))));
    server.client().await.subscribe("/a").await;
    application.requests(1).await;
    server.stop();
    within(server.stopped()).await;
    assert_eq!(server.metrics().hooks.queued.value(), 1);
}

#[tokio::test]
async fn what_a_slow_application_is_told_is_bounded_in_time() {
    let application = Application::new().await;
    let server =
        TestServer::start(
            &[&application.set(&format!("{SUBSCRIBED}, {QUICK}, timeout = '100ms'"))],
        );
    let mut is_first = true;
    application.answer(move |_| match std::mem::take(&mut is_first) {
        true => Answer::Held(Box::new(status("200 OK"))),
        false => status("200 OK"),
    });
    server.client().await.subscribe("/a").await;
    settled(&server).await;
    let requests = application.requests(2).await;
    assert_eq!(requests[0].text, requests[1].text);
    assert_eq!(
        json!(requests[0].header("webhook-id")),
        requests[1].header("webhook-id")
    );
}
