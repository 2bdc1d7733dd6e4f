//! Redis is away for longer than a node counts as living without it: its clients stay, and are answered in time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{Http, Request, TestCluster, TestServer, until, within};

const NODE_TIMEOUT: Duration = Duration::from_secs(2);
/// Within this a poll is held until its time is over.
const TIMEOUT: Duration = Duration::from_millis(500);
const SETTINGS: [&str; 4] = [
    "admin.listen=[\"127.0.0.1:0\"]",
    "cluster.node_timeout=2s",
    "cluster.call_timeout=1s",
    "bayeux.timeout=500ms",
];

/// The only message of a poll, which has nothing in it, and was held for its time.
async fn nothing(messages: impl Future<Output = Vec<Value>>) -> Value {
    let began = Instant::now();
    let mut messages = messages.await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    let reply = messages.remove(0);
    assert_eq!(reply["successful"], true, "{reply}");
    assert!(began.elapsed() >= TIMEOUT * 9 / 10, "it is held");
    reply
}

/// What a balancer is told, and why.
async fn readiness(node: &TestServer) -> (u16, Value) {
    let mut http = Http::open(node.admin.unwrap()).await;
    let response = http.exchange(Request::new("GET", "/readyz")).await;
    let answer: Value = serde_json::from_str(response.text()).unwrap();
    (response.status, answer["reasons"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_are_held_and_answered_with_nothing_until_redis_is_back() {
    let mut cluster = TestCluster::start(1, &SETTINGS).await;
    let node = &cluster.nodes[0];
    let (mut idle, mut waiting) = (node.client().await, node.client().await);
    waiting.subscribe("/a").await;
    idle.publish("/a", 1).await;
    until(|| node.metrics().delivered.value() == 1).await;
    // That is queued, and its client does not ask for it before others might have its session.
    assert_eq!(readiness(node).await, (200, json!([])));
    cluster.redis.kill();
    let begins = Instant::now();
    while begins.elapsed() < 2 * NODE_TIMEOUT {
        nothing(idle.connect()).await;
    }
    nothing(waiting.connect()).await;
    nothing(waiting.connect()).await;
    let reply = idle.subscribe("/b").await;
    assert_eq!(reply["successful"], true, "{reply}");
    let mut refused = idle.publish("/b", 1).await;
    assert_eq!(refused.pop().unwrap()["error"], "503::cluster_unavailable");
    waiting.poll().await;
    let away = json!(["the cluster's Redis is away"]);
    assert_eq!(readiness(node).await, (503, away));
    cluster.redis.start_again().await;
    let has_come = async {
        let mut messages = waiting.polled().await;
        while messages[0]["data"] != json!(1) {
            assert_eq!(messages.last().unwrap()["successful"], true, "{messages:?}");
            sleep(Duration::from_millis(10)).await;
            messages = waiting.connect().await;
        }
    };
    within(has_come).await;
}
