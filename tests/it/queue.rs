//! A session's queue at its bounds, its own and a channel's, by every policy.

use mirant::metrics::{Dropped, Limit};
use serde_json::{Value, json};

use crate::support::{Client, TestServer, only};

async fn flooded(server: &TestServer, events: i64) -> Client {
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    for n in 0..events {
        publisher.publish("/a", n).await;
    }
    subscriber
}

fn data(events: &[Value]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event["data"].as_i64().unwrap())
        .collect()
}

#[tokio::test]
async fn the_queue_holds_max_queue_events() {
    let server = TestServer::start(&["bayeux.max_queue=3"]);
    let mut client = flooded(&server, 3).await;
    assert_eq!(data(&client.queued().await), [0, 1, 2]);
    assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 0);
}

#[tokio::test]
async fn by_default_the_session_ends_at_the_bound_and_its_client_is_told() {
    let server = TestServer::start(&["bayeux.max_queue=3"]);
    let mut client = flooded(&server, 4).await;
    let reply = only(client.connect().await);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 1);
    let ended = r#"mirant_sessions_ended_total{reason="max_queue"} 1"#;
    assert!(server.metrics().render().contains(ended));
}

#[tokio::test]
async fn drop_oldest_makes_room() {
    let server = TestServer::start(&["bayeux.max_queue=3", "bayeux.max_queue_policy=drop_oldest"]);
    let mut client = flooded(&server, 8).await;
    assert_eq!(data(&client.queued().await), [5, 6, 7]);
    assert_eq!(server.metrics().dropped_count(Dropped::Oldest), 5);
    assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 5);
}

/// What a client gets that subscribed to everything and was away while events, named by channel and
/// number, were published; nothing if its session has ended.
async fn left_of(server: &TestServer, published: &str) -> Option<String> {
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/**").await;
    for name in published.split(' ') {
        let (channel, number) = name.split_at(name.len() - 1);
        publisher.publish(channel, number).await;
    }
    let messages = subscriber
        .connect_with(json!({"advice": {"timeout": 0}}))
        .await;
    let (reply, events) = messages.split_last().unwrap();
    if reply["error"] == "402::session_unknown" {
        assert_eq!(reply["advice"]["reconnect"], "handshake");
        return None;
    }
    let name = |event: &Value| {
        let (channel, number) = (event["channel"].as_str(), event["data"].as_str());
        channel.unwrap().to_owned() + number.unwrap()
    };
    Some(events.iter().map(name).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn each_policy_at_the_session_s_bound() {
    let cases = [
        ("end", "/a0 /b1 /a2 /c3", None, 0),
        ("drop_oldest", "/a0 /b1 /a2 /c3", Some("/b1 /a2 /c3"), 1),
        ("drop_newest", "/a0 /b1 /a2 /c3", Some("/a0 /b1 /a2"), 1),
        ("conflate", "/a0 /b1 /a2 /c3", Some("/b1 /a2 /c3"), 1),
        ("conflate", "/a0 /b1 /a2 /a3", Some("/b1 /a3"), 2),
        ("conflate", "/a0 /b1 /c2 /a3 /c4", Some("/b1 /a3 /c4"), 2),
        ("conflate", "/a0 /b1 /c2 /d3", None, 0),
    ];
    for (policy, published, expected, dropped) in cases {
        let policy_option = format!("bayeux.max_queue_policy={policy}");
        let server = TestServer::start(&["bayeux.max_queue=3", &policy_option]);
        let left = left_of(&server, published).await;
        assert_eq!(left.as_deref(), expected, "{policy} {published}");
        let text = server.metrics().render();
        if policy != "end" {
            let line = format!("mirant_dropped_total{{policy=\"{policy}\"}} {dropped}\n");
            assert!(text.contains(&line), "{line} {text}");
        }
        let ended = u64::from(expected.is_none());
        let line = format!("mirant_sessions_ended_total{{reason=\"max_queue\"}} {ended}\n");
        assert!(text.contains(&line), "{line} {text}");
        assert!(server.metrics().limit_count(Limit::MaxQueue) > 0);
        assert_eq!(server.metrics().limit_count(Limit::MaxChannelQueue), 0);
    }
}

#[tokio::test]
async fn each_policy_at_a_channel_s_bound() {
    let published = "/a/x0 /b1 /a/x2 /a/y3 /a/x4 /b5";
    let cases = [
        ("end", None, 0),
        ("drop_oldest", Some("/b1 /a/x2 /a/y3 /a/x4 /b5"), 1),
        ("drop_newest", Some("/a/x0 /b1 /a/x2 /a/y3 /b5"), 1),
        ("conflate", Some("/b1 /a/y3 /a/x4 /b5"), 2),
    ];
    for (policy, expected, dropped) in cases {
        let of_channel =
            format!(r#"channel=[{{pattern="/a/**", max_queue=2, max_queue_policy="{policy}"}}]"#);
        let of_server = [
            r#"channel=[{pattern="/a/**", max_queue=2}]"#.to_owned(),
            format!("bayeux.max_queue_policy={policy}"),
        ];
        for options in [vec![of_channel], of_server.to_vec()] {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let server = TestServer::start(&options);
            let left = left_of(&server, published).await;
            assert_eq!(left.as_deref(), expected, "{options:?}");
            let text = server.metrics().render();
            if policy != "end" {
                let line = format!("mirant_dropped_total{{policy=\"{policy}\"}} {dropped}\n");
                assert!(text.contains(&line), "{line} {text}");
            }
            let line = "mirant_limit_reached_total{limit=\"channel.max_queue\"} 1\n";
            assert!(text.contains(line), "{text}");
            assert_eq!(server.metrics().limit_count(Limit::MaxQueue), 0);
        }
    }
}

#[tokio::test]
async fn who_is_late_gets_the_latest_of_every_ticker_and_all_of_the_rest() {
    let server = TestServer::start(&[
        "bayeux.max_queue=60",
        r#"channel=[{pattern="/prices/*", max_queue=1, max_queue_policy="drop_oldest"}]"#,
    ]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/**").await;
    for round in 0..10 {
        for channel in 0..30 {
            let channel = format!("/prices/{channel}");
            publisher.publish(&channel, round).await;
        }
        publisher.publish("/news", round).await;
    }
    let events = subscriber.queued().await;
    let of_ticker = |event: &&Value| {
        event["channel"]
            .as_str()
            .is_some_and(|name| name != "/news")
    };
    let tickers: Vec<&Value> = events.iter().filter(of_ticker).collect();
    assert!(
        tickers.iter().all(|event| event["data"] == 9),
        "{tickers:?}"
    );
    assert_eq!(tickers.len(), 30);
    let news: Vec<Value> = events
        .iter()
        .filter(|event| !of_ticker(event))
        .cloned()
        .collect();
    assert_eq!(data(&news), (0..10).collect::<Vec<_>>());
    assert_eq!(
        events[9..39],
        tickers.into_iter().cloned().collect::<Vec<_>>()
    );
    assert_eq!(server.metrics().dropped_count(Dropped::Oldest), 9 * 30);
}

#[tokio::test]
async fn of_a_lazy_ticker_only_the_latest_goes_with_the_first_event_that_is_not_lazy() {
    let server = TestServer::start(&[
        r#"channel=[{pattern="/a", lazy=true, lazy_timeout="10m", max_queue=1, max_queue_policy="conflate"}]"#,
    ]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/**").await;
    subscriber.poll().await;
    server.holds(1).await;
    for n in 0..5 {
        publisher.publish("/a", n).await;
    }
    assert_eq!(server.metrics().held_connects.value(), 1);
    publisher.publish("/b", 5).await;
    let mut messages = subscriber.polled().await;
    messages.pop();
    assert_eq!(data(&messages), [4, 5]);
}

#[tokio::test]
async fn a_held_connect_takes_lazy_events_once_no_more_may_be_queued() {
    let server = TestServer::start(&[
        "bayeux.max_queue=2",
        "bayeux.max_queue_policy=drop_newest",
        r#"channel=[{pattern="/a", lazy=true, lazy_timeout="10m"}]"#,
    ]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    subscriber.poll().await;
    server.holds(1).await;
    for n in 0..3 {
        publisher.publish("/a", n).await;
    }
    let mut messages = subscriber.polled().await;
    messages.pop();
    assert_eq!(data(&messages), [0, 1]);
}

#[tokio::test]
async fn an_event_that_was_dropped_does_not_count_as_delivered() {
    let server = TestServer::start(&["bayeux.max_queue=3", "bayeux.max_queue_policy=drop_newest"]);
    let mut client = flooded(&server, 8).await;
    assert_eq!(data(&client.queued().await), [0, 1, 2]);
    assert_eq!(server.metrics().delivered.value(), 3);
    assert_eq!(server.metrics().dropped_count(Dropped::Newest), 5);
}

#[tokio::test]
async fn the_bound_is_of_bytes_too() {
    let server = TestServer::start(&[
        "bayeux.max_queue_bytes=70",
        "bayeux.max_queue_policy=drop_oldest",
    ]);
    let event = json!({"channel": "/a", "data": 0}).to_string();
    assert_eq!(70 / event.len(), 2, "two fit");
    let mut client = flooded(&server, 3).await;
    let queued = data(&client.queued().await);
    assert_eq!(queued.last(), Some(&2));
    assert!(queued.len() < 3 && server.metrics().dropped_count(Dropped::Oldest) > 0);
}

#[tokio::test]
async fn a_publisher_whose_own_queue_is_full_is_ended_with_its_reply() {
    let server = TestServer::start(&["bayeux.max_queue=2"]);
    let mut client = server.client().await;
    client.subscribe("/a").await;
    let message = json!({"channel": "/a", "data": 1});
    let replies = client
        .send([message.clone(), message.clone(), message.clone(), message])
        .await;
    assert_eq!(
        replies.len(),
        4,
        "no event is left, every message has its reply"
    );
    assert_eq!(server.metrics().sessions.value(), 0);
}

#[tokio::test]
async fn a_response_carries_max_response_size_and_the_next_the_rest() {
    let server = TestServer::start(&["bayeux.max_response_size=1KiB"]);
    let (mut client, mut publisher) = (server.client().await, server.client().await);
    client.subscribe("/a").await;
    let text = "x".repeat(400);
    for n in 0..5 {
        publisher.publish("/a", json!([n, text])).await;
    }
    let mut sizes = Vec::new();
    let mut order = Vec::new();
    while order.len() < 5 {
        let events = client.queued().await;
        sizes.push(events.len());
        order.extend(
            events
                .iter()
                .map(|event| event["data"][0].as_i64().unwrap()),
        );
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(order, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_held_connect_whose_session_ends_at_the_bound_is_told_to_handshake() {
    let server = TestServer::start(&[
        "bayeux.max_queue=2",
        r#"channel=[{pattern="/a", lazy=true, lazy_timeout="10m"}]"#,
    ]);
    let (mut subscriber, mut publisher) = (server.client().await, server.client().await);
    subscriber.subscribe("/a").await;
    subscriber.poll().await;
    server.holds(1).await;
    for n in 0..3 {
        publisher.publish("/a", n).await;
    }
    let reply = only(subscriber.polled().await);
    assert_eq!(reply["error"], "402::session_unknown");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
    assert_eq!(server.metrics().held_connects.value(), 0);
}
