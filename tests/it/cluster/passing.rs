//! Long-polling and callback-polling: each request reaches its session by whatever node it comes to.

use serde_json::{Value, json};

use crate::support::{Client, Embedded, Request, TestCluster, WebSocket, until, upgrade};

const NODES: usize = 3;

/// The data of the events among messages.
fn data(messages: &[Value]) -> Vec<&Value> {
    let messages = messages.iter().map(|message| &message["data"]);
    messages.filter(|data| !data.is_null()).collect()
}

async fn publish(cluster: &TestCluster, number: u64) {
    let mut publisher = cluster.nodes[0].client().await;
    let replies = publisher.publish("/a", number).await;
    assert_eq!(replies.last().unwrap()["successful"], true, "{replies:?}");
}

/// A client whose session is at the first node, subscribed to `/a`, and connected to the second.
async fn client(cluster: &TestCluster) -> Client {
    let mut client = cluster.nodes[0].client().await;
    assert_eq!(client.subscribe("/a").await["successful"], true);
    client.go_to(&cluster.nodes[1]);
    client
}

/// How many requests the nodes have passed on.
fn passed(cluster: &TestCluster) -> u64 {
    let nodes = cluster.nodes.iter();
    nodes
        .map(|node| node.metrics().cluster.passed_total.value())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_of_a_session_may_come_to_another_node() {
    let cluster = TestCluster::start(NODES, &[]).await;
    let mut client = Client::new(cluster.nodes[0].address);
    assert_eq!(client.handshake().await["successful"], true);
    client.go_to(&cluster.nodes[1]);
    let reply = client.connect().await.pop().unwrap();
    assert_eq!(reply["successful"], true, "{reply}");
    client.go_to(&cluster.nodes[2]);
    assert_eq!(client.subscribe("/a").await["successful"], true);
    for number in 0..10 {
        let node = &cluster.nodes[usize::try_from(number).unwrap() % NODES];
        client.go_to(node);
        client.poll().await;
        until(|| {
            let held = cluster.nodes[0].metrics().held_connects.value();
            held == 1
        })
        .await;
        publish(&cluster, number).await;
        let messages = client.polled().await;
        assert_eq!(data(&messages), [&json!(number)], "{messages:?}");
    }
    assert!(client.queued().await.is_empty());
    client.go_to(&cluster.nodes[1]);
    assert_eq!(client.unsubscribe("/a").await["successful"], true);
    client.go_to(&cluster.nodes[2]);
    assert_eq!(client.disconnect().await["successful"], true);
    assert!(passed(&cluster) > 8, "{}", passed(&cluster));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_from_another_node_loses_nothing() {
    let cluster = TestCluster::start(NODES, &[]).await;
    let owner = &cluster.nodes[0];
    let mut client = client(&cluster).await;
    client.poll().await;
    owner.holds(1).await;
    assert_eq!(cluster.nodes[1].metrics().held_connects.value(), 0);
    client.take_poll().reset();
    owner.holds(0).await;
    assert_eq!(owner.metrics().lost_connects.value(), 1);
    publish(&cluster, 1).await;
    client.go_to(&cluster.nodes[2]);
    assert_eq!(data(&client.events().await), [&json!(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_moves_a_session_who_may_not_use_it() {
    let cluster = TestCluster::start(NODES, &[]).await;
    let mut client = client(&cluster).await;
    let other = cluster.nodes[0].client().await;
    let cookie = |client: &Client| format!("BAYEUX_BROWSER={}", client.cookie.clone().unwrap());
    let subscribe = async |node: usize, cookie: &str| {
        let upgrade = upgrade().header("Cookie", cookie);
        let mut socket = WebSocket::open_with(cluster.nodes[node].address, upgrade).await;
        socket.id = client.id.clone();
        socket
            .call(json!({"channel": "/meta/subscribe", "subscription": "/b"}))
            .await
    };
    let moved = || [1, 2].map(|node| cluster.nodes[node].metrics().cluster.moved.value());
    let reply = subscribe(1, &cookie(&other)).await;
    assert_eq!(reply["error"], "402::session_unknown", "{reply}");
    assert_eq!(moved(), [0, 0]);
    let reply = subscribe(1, &cookie(&client)).await;
    assert_eq!(reply["successful"], true, "{reply}");
    assert_eq!(moved(), [1, 0]);
    // Without a cookie it could be the first that a page opens, but that was there.
    let reply = subscribe(2, "").await;
    assert_eq!(reply["error"], "402::session_unknown", "{reply}");
    assert_eq!(moved(), [1, 0]);
    publish(&cluster, 1).await;
    assert_eq!(data(&client.events().await), [&json!(1)]);
}

/// Whichever node it is connected to.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_only_reads_is_answered() {
    let cluster = TestCluster::start(NODES, &[]).await;
    let mut client = client(&cluster).await;
    for node in [0, 1] {
        client.go_to(&cluster.nodes[node]);
        client.poll().await;
        cluster.nodes[0].holds(1).await;
        let mut http = client.take_poll();
        http.half_close().await;
        let response = http.response().await;
        assert_eq!(response.status, 200);
        let replies: Value = serde_json::from_str(response.text()).unwrap();
        assert_eq!(replies[0]["successful"], true, "{replies}");
        assert_eq!(replies.as_array().unwrap().len(), 1, "{replies}");
        cluster.nodes[0].holds(0).await;
    }
    publish(&cluster, 1).await;
    assert_eq!(data(&client.events().await), [&json!(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_at_one_node_displaces_that_at_another() {
    let cluster = TestCluster::start(NODES, &[]).await;
    let mut client = client(&cluster).await;
    client.poll().await;
    cluster.nodes[0].holds(1).await;
    let mut displaced = client.take_poll();
    client.go_to(&cluster.nodes[2]);
    client.poll().await;
    assert_eq!(displaced.response().await.status, 409);
    publish(&cluster, 1).await;
    assert_eq!(data(&client.polled().await), [&json!(1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_coded_and_shared_where_the_client_is() {
    let set = [
        "http.gzip_threshold=1",
        "http.allowed_origins=['https://a.example']",
    ];
    let cluster = TestCluster::start(NODES, &set).await;
    let client = client(&cluster).await;
    let mut http = cluster.nodes[1].open().await;
    // Many replies are smaller when they are compressed.
    let message = client.message(json!({"channel": "/b", "data": 1}));
    let message = Value::from(vec![message; 50]);
    let request = client.request(message.to_string());
    let request = request.header("Accept-Encoding", "gzip");
    let response = http
        .exchange(request.header("Origin", "https://a.example"))
        .await;
    assert_eq!(response.header("Content-Encoding"), Some("gzip"));
    let origin = response.header("Access-Control-Allow-Origin");
    assert_eq!(origin, Some("https://a.example"));
    // Whoever may not use the server is refused where they come to.
    let request = client.request(message.to_string());
    let refused = http
        .exchange(request.header("Origin", "https://b.example"))
        .await;
    assert_eq!(refused.status, 403);
    assert_eq!(passed(&cluster), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_and_embedded_requests_are_passed_on_too() {
    let set = ["bayeux.callback_without_origin=true"];
    let cluster = TestCluster::start(NODES, &set).await;
    let client = client(&cluster).await;
    let message = json!([client.message(json!({"channel": "/b", "id": "p", "data": 1}))]);
    let script = client.with_cookie(Request::jsonp("call", &message.to_string()));
    let response = cluster.nodes[1].open().await.exchange(script).await;
    let messages = response.messages_for("call");
    assert_eq!(messages[0]["successful"], true, "{messages:?}");

    let mut embedded = Embedded::two_way(cluster.nodes[1].address).await;
    let connect = json!({"channel": "/meta/connect", "connectionType": "long-polling"});
    let connect = client.request(json!([client.message(connect)]).to_string());
    embedded.request(&connect).await;
    cluster.nodes[0].holds(1).await;
    publish(&cluster, 1).await;
    let messages = embedded.next().await.messages();
    assert_eq!(data(&messages), [&json!(1)]);
    assert_eq!(passed(&cluster), 2);
    // It was taken.
    let mut client = client;
    assert!(client.queued().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_never_was_is_unknown_at_every_node() {
    let cluster = TestCluster::start(NODES, &[]).await;
    let mut client = client(&cluster).await;
    client.id = "0123456789abcdefghijkl".to_owned();
    let reply = client.connect().await.pop().unwrap();
    assert_eq!(reply["error"], "402::session_unknown", "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "handshake");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_lets_polls_of_others_sessions_come_back() {
    let mut cluster = TestCluster::start(NODES, &[]).await;
    let mut client = client(&cluster).await;
    client.poll().await;
    cluster.nodes[0].holds(1).await;
    cluster.nodes[1].stop();
    let reply = client.polled().await.pop().unwrap();
    assert_eq!(reply["successful"], true, "{reply}");
    assert_eq!(reply["advice"]["reconnect"], "retry", "{reply}");
    client.go_to(&cluster.nodes[2]);
    client.poll().await;
    cluster.nodes[0].holds(1).await;
    publish(&cluster, 1).await;
    assert_eq!(data(&client.polled().await), [&json!(1)]);
}
