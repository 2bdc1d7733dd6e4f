//! How many sessions a user may have, at all nodes together.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::authentication::{issuer, token};
use crate::support::{Client, TestCluster, TestRedis, within};

const SETTINGS: [&str; 4] = [
    "bayeux.max_sessions_per_user=4",
    "bayeux.max_interval=1m",
    "cluster.node_timeout=2s",
    "cluster.call_timeout=1s",
];

async fn handshake(node: SocketAddr) -> (Client, Value) {
    let mut client = Client::new(node);
    let ext = json!({"authentication": {"token": token("u1", 600)}});
    let reply = client.handshake_with(json!({"ext": ext})).await;
    (client, reply)
}

/// Begins a session, and waits until all nodes together have so many.
async fn begin(node: SocketAddr, redis: &TestRedis, count: usize) -> Client {
    let (client, reply) = handshake(node).await;
    assert_eq!(reply["successful"], true, "{reply}");
    let counted = async {
        let expected = format!("${}\r\n{count}\r\n", count.to_string().len());
        while redis.ask(&["HGET", "mirant:{o}:shares", "uu1"]).await != expected {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(counted).await;
    client
}

/// Asks for a session until there is room.
async fn begin_at_last(node: SocketAddr) {
    let begun = async {
        while handshake(node).await.1["successful"] != true {
            sleep(Duration::from_millis(50)).await;
        }
    };
    within(begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sessions_at_all_nodes_together() {
    let issuer = issuer();
    let mut set = vec![&*issuer];
    set.extend(SETTINGS);
    let mut cluster = TestCluster::over(TestRedis::start().await, &set);
    cluster.processes = (0..2).map(|_| cluster.process(&[])).collect();
    let [here, there] = [0, 1].map(|node: usize| cluster.processes[node].address());
    let mut first = begin(there, &cluster.redis, 1).await;
    let _second = begin(there, &cluster.redis, 2).await;
    let _third = begin(here, &cluster.redis, 3).await;
    let _fourth = begin(here, &cluster.redis, 4).await;
    let (_, refused) = handshake(here).await;
    assert_eq!(refused["error"], "429:user:too_many_sessions", "{refused}");
    // There is room again when one ends at the other node, and when that dies.
    first.connect().await;
    assert_eq!(first.disconnect().await["successful"], true);
    begin_at_last(here).await;
    let (_, refused) = handshake(here).await;
    assert_eq!(refused["successful"], false, "{refused}");
    cluster.processes[1].signal("KILL");
    begin_at_last(here).await;
}
