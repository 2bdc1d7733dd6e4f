//! The ways to Redis: by TLS, and by a Sentinel that names another master once the first is gone.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Client, TestCluster, TestRedis, TestSentinel, free_port, until, within};

fn key(name: &str) -> String {
    format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_asked_by_tls_if_it_is_trusted() {
    let (port, authority) = (free_port().to_string(), key("tls-ca.pem"));
    let (certificate, secret) = (key("tls-localhost.pem"), key("tls-localhost.key"));
    let options = [
        ["--tls-port", &port],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &secret],
        ["--tls-ca-cert-file", &authority],
        ["--tls-auth-clients", "no"],
    ];
    let redis = TestRedis::start_with(options.as_flattened()).await;
    let url = format!("cluster.redis=rediss://localhost:{port}");
    let cluster = TestCluster::over(redis, &[&url, "cluster.call_timeout=1s"]);
    let node = |trusted: &str| cluster.process_with(&[], &[("SSL_CERT_FILE", trusted)]);
    let nodes = [node(&authority), node(&authority)];
    let mut subscriber = Client::new(nodes[0].address());
    subscriber.handshake().await;
    assert_eq!(subscriber.subscribe("/a").await["successful"], true);
    let mut publisher = Client::new(nodes[1].address());
    publisher.handshake().await;
    // Until both are there.
    let publishing = async {
        loop {
            publisher.publish("/a", 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let receiving = async {
        let is_it = |message: &Value| message["data"] == 1;
        while !subscriber.connect().await.iter().any(is_it) {}
    };
    tokio::select! {
        () = within(receiving) => {}
        () = publishing => unreachable!("it goes on"),
    }

    let wary = node(&certificate);
    let mut client = Client::new(wary.address());
    client.handshake().await;
    let reply = client.publish("/a", 1).await.pop().unwrap();
    assert_eq!(reply["error"], "503::cluster_unavailable", "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_go_on_with_the_master_that_a_sentinel_names() {
    let master = TestRedis::start().await;
    let port = master.address.port().to_string();
    let replica = TestRedis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let is_in_step = async {
        while !master
            .ask(&["INFO", "replication"])
            .await
            .contains("state=online")
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(is_in_step).await;
    let sentinel = TestSentinel::start("main", &master).await;
    let url = format!("cluster.redis=redis+sentinel://{}/main", sentinel.address);
    let mut cluster = TestCluster::over(master, &[&url, "cluster.call_timeout=1s"]);
    let nodes = [cluster.node(&[]), cluster.node(&[])];
    for node in &nodes {
        until(|| node.metrics().cluster.is_there()).await;
    }
    let mut subscriber = nodes[0].client().await;
    subscriber.subscribe("/a").await;
    let mut publisher = nodes[1].client().await;
    publisher.publish("/a", "before").await;
    assert_eq!(subscriber.events().await[0]["data"], "before");

    cluster.redis.kill();
    subscriber.poll().await;
    // What is accepted before the other node is there again may be missing at that.
    let publishing = async {
        loop {
            publisher.publish("/a", "behind").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let messages = tokio::select! {
        messages = subscriber.polled() => messages,
        () = publishing => unreachable!("it goes on"),
    };
    assert_eq!(messages.last().unwrap()["successful"], true, "{messages:?}");
    let role = replica.ask(&["ROLE"]).await;
    assert!(role.contains("master"), "{role}");
    drop(nodes);
}
