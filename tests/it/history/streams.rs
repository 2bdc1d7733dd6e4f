//! Event streams that go on in history: the session is gone, and nothing is lost or repeated, or it is said.

use serde_json::{Value, json};

use super::publish;
use crate::support::{Events, Request, TestServer, until};

const KEPT: &str = "{pattern = '/s/**', history = {messages = 3}}";

/// A server whose sessions are gone soon.
fn server(channels: &[&str]) -> TestServer {
    let channels = format!("channel=[{}]", channels.join(", "));
    TestServer::start(&[
        "bayeux.max_interval=100ms",
        "bayeux.publish_without_session=true",
        &channels,
    ])
}

/// Waits until no session is left.
async fn forgotten(server: &TestServer) {
    until(|| server.metrics().sessions.value() == 0).await;
}

/// The data of the next events.
async fn data(events: &mut Events, count: usize) -> Vec<Value> {
    let mut data = Vec::new();
    for _ in 0..count {
        data.push(events.next().await.json()["data"].clone());
    }
    data
}

/// The position in an event's id: a number, and the name of the numbers.
fn past(id: &str) -> (u64, &str) {
    let (_, past) = id.split_once('~').expect(id);
    let (number, epoch) = past.split_once('.').expect(id);
    (number.parse().expect(id), epoch)
}

#[tokio::test]
async fn a_stream_goes_on_after_its_session_is_gone_with_all_it_missed_once() {
    let server = server(&[KEPT]);
    let target = "/events?channel=/s/a&channel=/s/b/**";
    let (mut events, beginning) = Events::open(server.address, target).await;
    publish(&server, "/s/a", json!(1)).await;
    publish(&server, "/s/b/c", json!(2)).await;
    let first = events.next().await;
    assert_eq!(
        first.json()["ext"]["replay"],
        past(first.id.as_deref().unwrap()).0
    );
    assert_eq!(data(&mut events, 1).await, [json!(2)]);
    events.reset();
    forgotten(&server).await;
    publish(&server, "/s/a", json!(3)).await;
    publish(&server, "/other", json!(0)).await;
    // (the last id it had, what it gets): also one that has had no event.
    let cases = [
        (beginning.id.unwrap(), vec![1, 2, 3]),
        (first.id.unwrap(), vec![2, 3]),
    ];
    for (id, missed) in cases {
        let (mut events, beginning) = Events::after(server.address, target, &id).await;
        assert_eq!(beginning.event, None, "{id}");
        assert_eq!(past(beginning.id.as_deref().unwrap()), past(&id));
        assert_eq!(
            json!(data(&mut events, missed.len()).await),
            json!(missed),
            "{id}"
        );
        assert!(events.is_silent().await, "{id}");
        // Once more, this time in the session.
        let last = format!("lastEventId={}", beginning.id.unwrap());
        let (mut again, _) = Events::open(server.address, &format!("{target}&{last}")).await;
        assert_eq!(
            json!(data(&mut again, missed.len()).await),
            json!(missed),
            "{id}"
        );
        assert!(again.is_silent().await, "{id}");
        again.reset();
        forgotten(&server).await;
    }
}

#[tokio::test]
async fn a_stream_is_told_what_is_lost_and_why() {
    let strict = "{pattern = '/t', history = {messages = 1}, replay_expired = 'fail'}";
    let server = server(&[KEPT, strict]);
    let target = "/events?channel=/s/a&channel=/t";
    publish(&server, "/s/a", json!(0)).await;
    let (events, beginning) = Events::open(server.address, target).await;
    events.reset();
    let id = beginning.id.unwrap();
    forgotten(&server).await;
    publish(&server, "/t", json!(1)).await;
    let renamed = id.rsplit_once('.').unwrap().0.to_owned() + ".other";
    let unknown = id.split_once('~').unwrap().0.to_owned();
    // (channels, what it says it had, what is lost and why, what it gets)
    let cases = [
        (target, &*id, json!({}), vec![1]),
        (
            target,
            &*renamed,
            json!({"/s/a": "epoch_changed", "/t": "epoch_changed"}),
            vec![1],
        ),
        (
            "/events?channel=/s/a&channel=/other",
            &*id,
            json!({"/other": "no_history"}),
            vec![],
        ),
        (
            "/events?channel=/other",
            &*id,
            json!({"/other": "no_history"}),
            vec![],
        ),
        // Nobody knows where it is.
        (target, &*unknown, json!(null), vec![]),
        (target, "nonsense", json!(null), vec![]),
    ];
    for (target, id, lost, missed) in cases {
        let (mut events, beginning) = Events::after(server.address, target, id).await;
        let found: Value = match beginning.event.as_deref() {
            None => json!({}),
            Some(_) if beginning.json()["replay"].is_null() => json!(null),
            Some(name) => {
                assert_eq!(name, "gap");
                assert!(beginning.json()["error"].is_string());
                let replay = beginning.json()["replay"].clone();
                let lost = replay.as_object().expect("channels").iter();
                lost.map(|(channel, told)| (channel.clone(), told["reason"].clone()))
                    .collect()
            }
        };
        assert_eq!(found, lost, "{target} {id}");
        assert_eq!(
            json!(data(&mut events, missed.len()).await),
            json!(missed),
            "{id}"
        );
        assert!(events.is_silent().await, "{target} {id}");
        events.reset();
        forgotten(&server).await;
    }
    for number in 2..=5 {
        publish(&server, "/t", json!(number)).await;
        publish(&server, "/s/a", json!(number)).await;
    }
    let (mut events, beginning) = Events::after(server.address, target, &id).await;
    let told = &beginning.json()["replay"];
    assert_eq!(
        (&told["/s/a"]["reason"], &told["/t"]["reason"]),
        (&json!("expired"), &json!("expired"))
    );
    assert_eq!(
        data(&mut events, 4).await,
        [3, 4, 5, 5].map(|number| json!(number))
    );
}

#[tokio::test]
async fn a_first_connection_may_say_from_where_on() {
    let last = "{pattern = '/l', history = {messages = 5}, replay_default = 'last'}";
    let server = server(&[KEPT, last]);
    for number in 1..=4 {
        publish(&server, "/s/a", json!(number)).await;
        publish(&server, "/l", json!(number)).await;
    }
    let (mut all, beginning) = Events::open(server.address, "/events?channel=/s/a&since=all").await;
    assert_eq!(beginning.event, None);
    let first = all.next().await.id.unwrap();
    let (number, epoch) = past(&first);
    // (the query, what it gets)
    let cases = [
        ("/s/a&since=all".to_owned(), vec![2, 3, 4]),
        ("/s/a&since=last".to_owned(), vec![4]),
        ("/s/a&since=new".to_owned(), vec![]),
        ("/s/a".to_owned(), vec![]),
        (format!("/s/a&since={number}"), vec![3, 4]),
        (format!("/s/a&since={epoch}:{number}"), vec![3, 4]),
        ("/l".to_owned(), vec![4]),
        ("/l&since=new".to_owned(), vec![]),
        ("/other&since=all".to_owned(), vec![]),
        // Who has come further goes on there.
        (format!("/s/a&since=all&lastEventId={first}"), vec![3, 4]),
    ];
    for (query, expected) in cases {
        let target = format!("/events?channel={query}");
        let (mut events, beginning) = Events::open(server.address, &target).await;
        assert_eq!(beginning.event, None, "{query}");
        assert_eq!(
            json!(data(&mut events, expected.len()).await),
            json!(expected),
            "{query}"
        );
        assert!(events.is_silent().await, "{query}");
        if query.ends_with(&first) {
            break;
        }
    }
    for since in ["", "5x", "-1", "%FF", "e:"] {
        let target = format!("/events?channel=/s/a&since={since}");
        let response = server
            .open()
            .await
            .exchange(Request::new("GET", &target))
            .await;
        assert_eq!(response.status, 400, "{since}");
        assert!(response.text().contains("since=all"), "{since}");
    }
}

#[tokio::test]
async fn a_stream_of_nothing_that_is_kept_has_plain_ids() {
    let server = server(&[KEPT]);
    let (mut events, beginning) = Events::open(server.address, "/events?channel=/other").await;
    publish(&server, "/other", json!(1)).await;
    let first = events.next().await.id.unwrap();
    for id in [beginning.id.unwrap(), first] {
        assert!(!id.contains('~'), "{id}");
    }
}
