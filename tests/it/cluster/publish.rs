//! What is published at one node reaches the subscribers at all of them, in one order.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http_api::{key, post};
use crate::support::{Client, Http, Link, Request, TestCluster, TestServer, until, within};

const NODES: usize = 3;
const LESS_PATIENT: &str = "cluster.call_timeout=1s";

/// The data of the events among messages.
fn data(messages: &[Value]) -> Vec<Value> {
    let events = messages
        .iter()
        .filter(|message| message.get("data").is_some());
    events.map(|event| event["data"].clone()).collect()
}

/// Receives until there are so many events.
async fn receive(client: &mut Client, count: usize) -> Vec<Value> {
    let mut all = Vec::new();
    while all.len() < count {
        all.extend(data(&client.connect().await));
    }
    all
}

async fn published(client: &mut Client, channel: &str, data: Value) -> Value {
    let mut replies = client.publish(channel, data).await;
    replies.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_subscribers_see_one_order() {
    const EACH: usize = 40;
    let cluster = TestCluster::start(NODES, &[]).await;
    let mut subscribers = Vec::new();
    for node in &cluster.nodes {
        for pattern in ["/a/b", "/a/*", "/**"] {
            let mut client = node.client().await;
            assert_eq!(client.subscribe(pattern).await["successful"], true);
            subscribers.push(client);
        }
    }
    let publishers = cluster
        .nodes
        .iter()
        .enumerate()
        .map(|(at, node)| async move {
            let mut client = node.client().await;
            for number in 0..EACH {
                let reply = published(&mut client, "/a/b", json!([at, number])).await;
                assert_eq!(reply["successful"], true, "{reply}");
            }
        });
    futures_util::future::join_all(publishers).await;
    let mut orders = Vec::new();
    for subscriber in &mut subscribers {
        orders.push(receive(subscriber, NODES * EACH).await);
    }
    for order in &orders {
        assert_eq!(order, &orders[0]);
    }
    for at in 0..NODES {
        let own = orders[0].iter().filter(|data| data[0] == at);
        let numbers: Vec<_> = own.map(|data| data[1].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..EACH as u64).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_gets_only_what_it_has_subscribers_of() {
    let cluster = TestCluster::start(2, &[]).await;
    let [here, there] = &cluster.nodes[..] else {
        unreachable!()
    };
    let mut subscriber = there.client().await;
    subscriber.subscribe("/wanted").await;
    let mut publisher = here.client().await;
    for _ in 0..5 {
        published(&mut publisher, "/unwanted", json!(1)).await;
    }
    published(&mut publisher, "/wanted", json!(2)).await;
    assert_eq!(receive(&mut subscriber, 1).await, [json!(2)]);
    assert_eq!(there.metrics().cluster.received.value(), 1);
    assert_eq!(here.metrics().cluster.received.value(), 0);
    // The last subscriber of a channel takes the interest away.
    subscriber.unsubscribe("/wanted").await;
    let mut other = there.client().await;
    other.subscribe("/other").await;
    published(&mut publisher, "/wanted", json!(3)).await;
    published(&mut publisher, "/other", json!(4)).await;
    assert_eq!(receive(&mut other, 1).await, [json!(4)]);
    assert_eq!(there.metrics().cluster.received.value(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_and_resources_are_the_same_at_every_node() {
    let channel = "channel=[{ pattern = '/a', history = { messages = 10 } }, { pattern = '/r', resource = true }]";
    let cluster = TestCluster::start(2, &[channel]).await;
    let [here, there] = &cluster.nodes[..] else {
        unreachable!()
    };
    let mut publisher = here.client().await;
    for number in 1..=3 {
        published(&mut publisher, "/a", json!(number)).await;
    }
    let mut late = there.client().await;
    let subscribe = json!({
        "channel": "/meta/subscribe", "subscription": "/a", "ext": {"replay": {"/a": -2}},
    });
    assert_eq!(
        late.send([subscribe]).await.last().unwrap()["successful"],
        true
    );
    assert_eq!(receive(&mut late, 3).await, [json!(1), json!(2), json!(3)]);

    published(&mut publisher, "/r", json!({"state": 1})).await;
    let get = || Request::new("GET", "/resources/r");
    let is_there = async {
        while there.open().await.exchange(get()).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(is_there).await;
    let put = Request::new("PUT", "/resources/r").body(r#"{"state":2}"#);
    let put = put.header("Content-Type", "application/json");
    assert_eq!(there.open().await.exchange(put).await.status, 200);
    let is_there = async {
        while here.open().await.exchange(get()).await.text() != r#"{"state":2}"# {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(is_there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_deleted_is_so_at_every_node_whenever_it_hears_of_it() {
    let channel = "channel=[{ pattern = '/r/*', resource = true, history = { messages = 10 } }]";
    let mut cluster = TestCluster::start(1, &[channel]).await;
    let way = Link::to(cluster.redis.address).await;
    // Another node reaches Redis by a way that can be cut.
    let cut_off = cluster.node(&[&format!("cluster.redis=redis://{}", way.address)]);
    until(|| cut_off.metrics().cluster.is_there()).await;
    let here = &cluster.nodes[0];
    let request = |method, path: &str| {
        let request = Request::new(method, path).header("Content-Type", "application/json");
        if method == "PUT" {
            request.body("1")
        } else {
            request
        }
    };
    let ask = async |node: &TestServer, method, path: &str| {
        node.open().await.exchange(request(method, path)).await
    };
    for path in ["/resources/r/a", "/resources/r/b"] {
        assert_eq!(ask(here, "PUT", path).await.status, 201);
        let is_there = async { while ask(&cut_off, "GET", path).await.status != 200 {} };
        within(is_there).await;
    }
    let mut subscriber = cut_off.client().await;
    subscriber.subscribe("/r/b").await;
    way.cut();
    until(|| cut_off.metrics().cluster.is_away()).await;
    assert_eq!(ask(here, "DELETE", "/resources/r/a").await.status, 204);
    assert_eq!(ask(here, "DELETE", "/resources/r/b").await.status, 204);
    assert_eq!(ask(here, "PUT", "/resources/r/b").await.status, 201);
    // It is `null` for nobody, whoever has missed that it was deleted.
    way.mend();
    until(|| cut_off.metrics().cluster.is_there()).await;
    assert_eq!(receive(&mut subscriber, 1).await, [json!(1)]);
    let late = cluster.node(&[]);
    until(|| late.metrics().cluster.is_there()).await;
    let gone = ask(here, "GET", "/resources/r/a").await;
    for node in [&cut_off, &late] {
        let is_gone = async { while ask(node, "GET", "/resources/r/a").await.status != 410 {} };
        within(is_gone).await;
        let answer = ask(node, "GET", "/resources/r/a").await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (410, gone.header("etag"))
        );
        assert_eq!(ask(node, "GET", "/resources/r/b").await.text(), "1");
    }
    // Who asks for the past hears nothing of it, and of nothing from before.
    let mut publisher = here.client().await;
    for pattern in ["/r/a", "/r/b"] {
        let mut client = late.client().await;
        let subscribe = json!({
            "channel": "/meta/subscribe", "subscription": pattern, "ext": {"replay": {pattern: -2}},
        });
        client.send([subscribe]).await;
        published(&mut publisher, pattern, json!("new")).await;
        let expected = if pattern == "/r/a" {
            vec![]
        } else {
            vec![json!(1)]
        };
        let expected = [expected, vec![json!("new")]].concat();
        assert_eq!(receive(&mut client, expected.len()).await, expected);
    }
    drop((cut_off, late));
    cluster.redis.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_publishes_are_refused_and_nobody_is_sent_away() {
    let (key, api) = (key("publish"), r#"api.listen=["127.0.0.1:0"]"#);
    let set = [LESS_PATIENT, "bayeux.timeout=1m", api, &key];
    let mut cluster = TestCluster::start(2, &set).await;
    let mut waiting = cluster.nodes[1].client().await;
    waiting.subscribe("/a").await;
    waiting.poll().await;
    cluster.nodes[1].holds(1).await;
    cluster.redis.kill();
    let mut publisher = cluster.nodes[0].client().await;
    let reply = published(&mut publisher, "/a", json!("refused")).await;
    assert_eq!(reply["successful"], false, "{reply}");
    assert!(
        reply["error"].as_str().unwrap().starts_with("503:"),
        "{reply}"
    );
    assert!(
        reply["error"]
            .as_str()
            .unwrap()
            .ends_with(":cluster_unavailable"),
        "{reply}"
    );
    assert_ne!(reply["advice"]["reconnect"], "handshake", "{reply}");
    let mut http = Http::open(cluster.nodes[0].api.unwrap()).await;
    let response = http.exchange(post("/api/v1/publish/a", "2")).await;
    let problem: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(problem["type"], "urn:mirant:unavailable", "{problem}");
    assert_eq!(problem["status"], 503, "{problem}");
    assert_eq!(response.header("Retry-After"), Some("1"));
    assert_eq!(publisher.subscribe("/b").await["successful"], true);
    cluster.nodes[1].holds(1).await;
    cluster.redis.start_again().await;
    // What is accepted before the other node is there again may be missing at that.
    let publishing = async {
        loop {
            published(&mut publisher, "/a", json!("accepted")).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let messages = tokio::select! {
        messages = waiting.polled() => messages,
        () = publishing => unreachable!("it goes on"),
    };
    assert_eq!(messages.last().unwrap()["successful"], true, "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_a_node_may_go_on_for_itself() {
    let local = "cluster.when_away=local";
    let (key, api) = (key("publish"), r#"api.listen=["127.0.0.1:0"]"#);
    let mut cluster = TestCluster::start(1, &[LESS_PATIENT, local, api, &key]).await;
    let node = &cluster.nodes[0];
    let mut subscriber = node.client().await;
    subscriber.subscribe("/a").await;
    cluster.redis.kill();
    until(|| node.metrics().cluster.is_away()).await;
    let mut publisher = node.client().await;
    let reply = published(&mut publisher, "/a", json!(1)).await;
    assert_eq!(reply["successful"], true, "{reply}");
    assert_eq!(reply["ext"]["cluster"], "local", "{reply}");
    assert_eq!(receive(&mut subscriber, 1).await, [json!(1)]);
    assert_eq!(node.metrics().cluster.local.value(), 1);
    let mut http = Http::open(node.api.unwrap()).await;
    let response = http.exchange(post("/api/v1/publish/a", "2")).await;
    let receipt: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(receipt["accepted"], true, "{receipt}");
    assert_eq!(receipt["cluster"], "local", "{receipt}");
    assert_eq!(receive(&mut subscriber, 1).await, [json!(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_under_a_key_is_not_published_by_another_node_nor_is_anything_else() {
    let (key, api) = (key("publish"), r#"api.listen=["127.0.0.1:0"]"#);
    let kept = "channel=[{ pattern = '/kept', history = { messages = 10 } }]";
    let cluster = TestCluster::start(2, &[api, &key, kept]).await;
    let mut subscriber = cluster.nodes[0].client().await;
    subscriber.subscribe("/**").await;
    let ask = async |node: usize, key: &str, body: &Value| {
        let request = post("/api/v1/publish", body.to_string()).header("Idempotency-Key", key);
        let mut http = Http::open(cluster.nodes[node].api.unwrap()).await;
        let response = http.exchange(request).await;
        let json: Value = serde_json::from_slice(&response.body).unwrap();
        (response.status, json)
    };
    let one = |channel: &str, data: u64| json!({"channel": channel, "data": data});
    let list = |numbers: &[u64]| {
        let messages = numbers.iter();
        Value::from(messages.map(|data| one("/a", *data)).collect::<Vec<_>>())
    };
    for (key, first, other) in [
        ("one", one("/a", 1), one("/a", 9)),
        ("kept", one("/kept", 2), one("/kept", 9)),
        ("list", list(&[3, 4]), list(&[3, 4, 9])),
    ] {
        let (status, receipt) = ask(0, key, &first).await;
        assert_eq!(status, 200, "{receipt}");
        assert_eq!(ask(1, key, &first).await, (200, receipt), "{key}");
        for node in [0, 1] {
            let (status, problem) = ask(node, key, &other).await;
            assert_eq!(status, 422, "{key} at {node}: {problem}");
            assert_eq!(problem["type"], "urn:mirant:idempotency_key_reused");
        }
        // A node that has not seen the first knows it all the same.
        let (status, problem) = ask(1, &format!("{key} only here"), &other).await;
        assert_eq!(status, 200, "{problem}");
        let (status, problem) = ask(0, &format!("{key} only here"), &first).await;
        assert_eq!(status, 422, "{key}: {problem}");
    }
    let numbers = [1, 9, 2, 9, 3, 4, 3, 4, 9].map(|number| json!(number));
    assert_eq!(receive(&mut subscriber, numbers.len()).await, numbers);
    assert!(subscriber.queued().await.is_empty());
}
