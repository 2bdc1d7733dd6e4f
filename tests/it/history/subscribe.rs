//! What a subscribe gets of the past, by what it asks for and what there is.

use serde_json::{Value, json};

use super::{publish, server, subscribe, until_data};
use crate::support::{Client, TestServer};

const KEPT: &str = "{pattern = '/s/**', history = {messages = 3}}";

/// Channels on which marks are published, in the order of all that is kept.
const MARKS: &str = "{pattern = '/mark/**', history = {messages = 1}}";

/// What comes of a subscription until a mark that is published then; and what the reply tells of it.
async fn had(server: &TestServer, subscription: &str, position: Value) -> (Vec<Value>, Value) {
    let mut client = server.client().await;
    let mark = format!("/mark/{}", client.id);
    let reply = subscribe(&mut client, json!([subscription, mark]), position).await;
    assert_eq!(reply["successful"], true, "{reply}");
    publish(server, &mark, json!("mark")).await;
    let mut events = until_data(&mut client, &json!("mark")).await;
    events.pop();
    let data = events.into_iter().map(|(_, data, _)| data).collect();
    (data, reply["ext"]["replay"][subscription].clone())
}

/// The numbers of what is kept of a channel or pattern.
async fn ids(server: &TestServer, subscription: &str) -> Vec<u64> {
    let mut client = server.client().await;
    let reply = subscribe(&mut client, json!(subscription), json!(-2)).await;
    let told = &reply["ext"]["replay"][subscription];
    let last = told["last"].as_u64();
    let mut ids = Vec::new();
    while ids.last().copied() != last {
        let events = client.connect().await;
        ids.extend(
            events
                .iter()
                .filter_map(|event| event["ext"]["replay"].as_u64()),
        );
    }
    ids
}

#[tokio::test]
async fn a_subscribe_gets_what_came_after_its_position_or_is_told_what_is_lost() {
    let server = server(&[KEPT, MARKS], &[]);
    for number in 1..=5 {
        publish(&server, "/s/a", json!(number)).await;
    }
    let kept = ids(&server, "/s/a").await;
    assert_eq!(kept.len(), 3);
    let mut client = server.client().await;
    let reply = subscribe(&mut client, json!("/s/a"), json!(-1)).await;
    let epoch = reply["ext"]["replay"]["/s/a"]["epoch"].clone();
    // (what it asks for, what it gets, why not all of it)
    let cases = [
        (json!(-1), json!([]), Value::Null),
        (json!(-2), json!([3, 4, 5]), Value::Null),
        (json!(kept[0]), json!([4, 5]), Value::Null),
        (json!(kept[0].to_string()), json!([4, 5]), Value::Null),
        (json!(kept[2]), json!([]), Value::Null),
        (json!({"/s/a": kept[1]}), json!([5]), Value::Null),
        (
            json!({"id": kept[1], "epoch": epoch}),
            json!([5]),
            Value::Null,
        ),
        (json!({"/s/a/": {"id": kept[1]}}), json!([5]), Value::Null),
        (json!(kept[0] - 1), json!([3, 4, 5]), Value::Null),
        (json!(kept[0] - 2), json!([3, 4, 5]), json!("expired")),
        (json!(5), json!([3, 4, 5]), json!("expired")),
        (
            json!(kept[2] + 1000),
            json!([3, 4, 5]),
            json!("epoch_changed"),
        ),
        (
            json!({"id": kept[1], "epoch": "x"}),
            json!([5]),
            json!("epoch_changed"),
        ),
    ];
    for (position, data, reason) in cases {
        let (got, told) = had(&server, "/s/a", position.clone()).await;
        assert_eq!(json!(got), data, "{position}");
        assert_eq!(told["reason"], reason, "{position}: {told}");
        assert_eq!(told["recovered"], reason.is_null(), "{position}");
        assert_eq!(
            (&told["first"], &told["last"]),
            (&json!(kept[0]), &json!(kept[2]))
        );
    }
}

#[tokio::test]
async fn a_position_that_is_not_there_any_more_fails_the_subscribe_where_that_is_configured() {
    let strict = "{pattern = '/s/**', history = {messages = 1}, replay_expired = 'fail'}";
    let server = server(&[strict], &[]);
    let mut client = server.client().await;
    client.subscribe("/s/had").await;
    publish(&server, "/s/a", json!(1)).await;
    publish(&server, "/s/a", json!(2)).await;
    for (subscription, position, error) in [
        (json!("/s/a"), json!(7), "400:/s/a,7:replay_expired"),
        (
            json!(["/s/b", "/s/a"]),
            json!({"/s/a": 8}),
            "400:/s/a,8:replay_expired",
        ),
        (
            json!(["/s/had", "/s/a"]),
            json!({"/s/a": 8}),
            "400:/s/a,8:replay_expired",
        ),
        (
            json!("/s/a"),
            json!({"/s/a": 1.5}),
            "400:/s/a:replay_invalid",
        ),
        (json!("/s/a"), json!([1]), "400:/s/a:replay_invalid"),
    ] {
        let reply = subscribe(&mut client, subscription, position).await;
        assert_eq!(
            (&reply["successful"], &reply["error"]),
            (&json!(false), &json!(error))
        );
        assert_eq!(reply["ext"], Value::Null);
    }
    // It is subscribed to what it was, and to nothing else.
    for channel in ["/s/a", "/s/b", "/s/had"] {
        publish(&server, channel, json!(channel)).await;
    }
    let events = until_data(&mut client, &json!("/s/had")).await;
    assert_eq!(events.len(), 1, "{events:?}");
}

#[tokio::test]
async fn what_has_no_history_is_subscribed_to_and_said_to_have_none() {
    for server in [server(&[KEPT], &[]), server(&[], &[])] {
        let mut client = server.client().await;
        let reply = subscribe(&mut client, json!("/other"), json!(-2)).await;
        assert_eq!(reply["successful"], true);
        let told = &reply["ext"]["replay"]["/other"];
        assert_eq!(
            (&told["recovered"], &told["reason"]),
            (&json!(false), &json!("no_history"))
        );
        publish(&server, "/other", json!(1)).await;
        let events = until_data(&mut client, &json!(1)).await;
        assert_eq!(events, [("/other".to_owned(), json!(1), 0)]);
    }
}

#[tokio::test]
async fn a_pattern_has_one_order_over_all_its_channels() {
    let server = server(&[KEPT], &[]);
    let channels = ["/s/a", "/s/b/c", "/s/d", "/other", "/s/a", "/s/b/c"];
    for (number, channel) in channels.iter().enumerate() {
        publish(&server, channel, json!(number)).await;
    }
    let mut client = server.client().await;
    subscribe(&mut client, json!("/s/**"), json!(-2)).await;
    let events = until_data(&mut client, &json!(5)).await;
    let got: Vec<_> = events
        .iter()
        .map(|(channel, data, _)| (&**channel, data.clone()))
        .collect();
    let expected = [
        (0, "/s/a"),
        (1, "/s/b/c"),
        (2, "/s/d"),
        (4, "/s/a"),
        (5, "/s/b/c"),
    ];
    assert_eq!(
        got,
        expected.map(|(number, channel)| (channel, json!(number)))
    );
    assert!(
        events.is_sorted_by(|one, other| one.2 < other.2),
        "{events:?}"
    );
}

#[tokio::test]
async fn the_last_of_each_channel_comes_first_where_that_is_the_default() {
    let last = "{pattern = '/s/**', history = {messages = 9}, replay_default = 'last'}";
    let all = "{pattern = '/t/**', history = {messages = 9}, replay_default = 'all'}";
    let server = server(&[last, all], &[]);
    for number in 0..6 {
        publish(&server, &format!("/s/{}", number % 3), json!(number)).await;
        publish(&server, &format!("/t/{}", number % 3), json!(number)).await;
    }
    for (subscription, expected) in [
        ("/s/**", json!([3, 4, 5])),
        ("/s/1", json!([4])),
        ("/s/none", json!([])),
        ("/t/1", json!([1, 4])),
    ] {
        let mut client = server.client().await;
        let reply = client.subscribe(subscription).await;
        assert_eq!(reply["ext"], Value::Null);
        let channel = subscription.replace("**", "new");
        publish(&server, &channel, json!("new")).await;
        let mut events = until_data(&mut client, &json!("new")).await;
        events.pop();
        let got: Vec<_> = events.into_iter().map(|(_, data, _)| data).collect();
        assert_eq!(json!(got), expected, "{subscription}");
    }
}

#[tokio::test]
async fn more_than_may_be_replayed_is_told_and_the_newest_come() {
    let many = "{pattern = '/s/**', history = {messages = 100}}";
    let server = server(&[many, MARKS], &["history.max_replay_messages=4"]);
    for number in 0..10 {
        publish(&server, "/s/a", json!(number)).await;
    }
    let (got, told) = had(&server, "/s/a", json!(-2)).await;
    assert_eq!(got, [6, 7, 8, 9].map(|number| json!(number)));
    assert_eq!(
        (&told["recovered"], &told["reason"]),
        (&json!(false), &json!("limit"))
    );
}

#[tokio::test]
async fn a_handshake_says_that_there_are_replays_if_it_is_asked() {
    for (channels, asks, says) in [
        (&[KEPT][..], json!(true), json!({"replay": true})),
        (&[KEPT][..], json!({"/a": -1}), json!({"replay": true})),
        (&[KEPT][..], Value::Null, Value::Null),
        (&[KEPT][..], json!(false), Value::Null),
        (&[][..], json!(true), Value::Null),
    ] {
        let server = server(channels, &[]);
        let mut client = Client::new(server.address);
        let reply = client
            .handshake_with(json!({"ext": {"replay": asks}}))
            .await;
        assert_eq!(reply["ext"], says, "{asks}");
    }
}

#[tokio::test]
async fn numbers_stand_where_the_pattern_says_and_the_rest_stays_as_it_was_sent() {
    let server = server(
        &[
            "{pattern = '/ext', history = {messages = 9}}",
            "{pattern = '/data', history = {messages = 9}, replay_id = 'data'}",
            "{pattern = '/none', history = {messages = 9}, replay_id = 'none'}",
        ],
        &[],
    );
    for channel in ["/ext", "/data", "/none"] {
        let mut live = server.client().await;
        live.subscribe(channel).await;
        let rest = r#""data":{"n":1.10,"event":{ }},"ext":{"a":1e2},"x":[1.0]"#;
        server
            .post(format!(r#"[{{"channel":"{channel}",{rest}}}]"#))
            .await;
        let text = first_event(&mut live).await;
        let mut late = server.client().await;
        let reply = subscribe(&mut late, json!(channel), json!(-2)).await;
        assert_eq!(first_event(&mut late).await, text, "{channel}");
        let id = &reply["ext"]["replay"][channel]["last"];
        let rest = match channel {
            "/ext" => rest.replace(r#"{"a""#, &format!(r#"{{"replay":{id},"a""#)),
            "/data" => rest.replace("{ }", &format!(r#"{{"replayId":{id} }}"#)),
            _ => rest.to_owned(),
        };
        assert_eq!(text, format!(r#"{{"channel":"{channel}",{rest}}}"#));
    }
}

/// The first event that comes, as it is written.
async fn first_event(client: &mut Client) -> String {
    client.poll().await;
    let response = client.poll_connection().await.response().await;
    let text = response.text();
    let end = text.find(r#",{"successful""#).expect("an event");
    text[1..end].to_owned()
}
