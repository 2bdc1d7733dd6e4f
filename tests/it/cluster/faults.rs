//! What fails in a cluster, and what its clients see of it: nothing where that is promised, and else what is said.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::scene::{NODE_TIMEOUT, Promise, Publisher, SETTINGS, SETTLED, Scene};
use crate::support::program::Serving;
use crate::support::{Client, Link, TestRedis, free_port};

/// No settings of its own, for each node.
const ALIKE: [&[&str]; 3] = [&[]; 3];
/// How many messages are published between two faults.
const SOME: u64 = 50;
/// A setting with which no node counts as dead that is only slow, or has no Redis for a moment.
const PATIENT: &str = "cluster.node_timeout=1m";
/// Settings with which a node counts as dead later, but before [`away`] is over.
const STEADY: [&[&str]; 3] = [&["cluster.node_timeout=3s"]; 3];

/// How long something is away: long enough to count as dead, or as long as `FAULT_SECONDS` says.
fn away() -> Duration {
    let said = std::env::var("FAULT_SECONDS").ok();
    said.map_or(2 * NODE_TIMEOUT, |seconds| {
        Duration::from_secs(seconds.parse().expect("FAULT_SECONDS is a number"))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_killed() {
    let mut scene = Scene::start(TestRedis::start().await, ALIKE, Promise::Told).await;
    let publisher = Publisher::start(scene.address(0), 0);
    publisher.accepts(SOME).await;
    scene.cluster.processes[2].child.kill().unwrap();
    scene.balancer.set(vec![scene.address(0), scene.address(1)]);
    publisher.accepts(SOME).await;
    sleep(2 * NODE_TIMEOUT).await;
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_frozen_and_goes_on() {
    let scene = Scene::start(TestRedis::start().await, ALIKE, Promise::Told).await;
    let publisher = Publisher::start(scene.address(0), 0);
    publisher.accepts(SOME).await;
    scene.cluster.processes[2].signal("STOP");
    sleep(away()).await;
    scene.cluster.processes[2].signal("CONT");
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_replaced_one_after_the_other() {
    let mut scene = Scene::start(TestRedis::start().await, [&[PATIENT]; 3], Promise::Each).await;
    let publisher = Publisher::start(scene.balancer.address, 0);
    for node in 0..3 {
        publisher.accepts(SOME).await;
        let next = scene.cluster.process(&[PATIENT]);
        let old = std::mem::replace(&mut scene.cluster.processes[node], next);
        let addresses = scene.cluster.processes.iter().map(Serving::address);
        scene.balancer.set(addresses.collect());
        let ended = tokio::task::spawn_blocking(move || {
            old.signal("TERM");
            let mut old = old;
            old.child.wait().unwrap().success()
        });
        assert!(ended.await.unwrap());
    }
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

/// Settings with which a node reaches Redis, or others reach it, by a link that can be cut.
struct Links {
    redis: TestRedis,
    to_redis: Link,
    to_node: Link,
    settings: [String; 3],
}

impl Links {
    async fn new() -> Self {
        Self::over(TestRedis::start().await).await
    }

    async fn over(redis: TestRedis) -> Self {
        let to_redis = Link::to(redis.address).await;
        let listen = free_port();
        let to_node = Link::to(([127, 0, 0, 1], listen).into()).await;
        let settings = [
            format!("cluster.redis=redis://{}", to_redis.address),
            format!("cluster.listen=127.0.0.1:{listen}"),
            format!("cluster.advertise={}", to_node.address),
        ];
        Self {
            redis,
            to_redis,
            to_node,
            settings,
        }
    }

    /// The cluster, and the two links of its last node.
    async fn scene(self, promise: Promise) -> (Scene, Link, Link) {
        self.scene_with(&[], promise).await
    }

    /// The same, with settings of all nodes.
    async fn scene_with(self, alike: &[&str], promise: Promise) -> (Scene, Link, Link) {
        let own = self.settings.iter().map(String::as_str);
        let own: Vec<&str> = alike.iter().copied().chain(own).collect();
        let scene = Scene::start(self.redis, [alike, alike, &own], promise).await;
        (scene, self.to_redis, self.to_node)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_no_redis_for_a_moment() {
    let (scene, redis, _node) = Links::new()
        .await
        .scene_with(&[PATIENT], Promise::Each)
        .await;
    let publisher = Publisher::start(scene.address(0), 0);
    for _ in 0..3 {
        publisher.accepts(SOME).await;
        redis.cut();
        publisher.accepts(10).await;
        redis.mend();
    }
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

/// How a link does not work.
#[derive(Debug, Clone, Copy)]
enum Broken {
    /// Both ends hear of it.
    Cut,
    /// Neither does.
    Stalled,
}

impl Broken {
    fn apply(self, link: &Link) {
        match self {
            Self::Cut => link.cut(),
            Self::Stalled => link.stall(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_has_no_redis_until_it_counts_as_dead() {
    let played = |broken: Broken| async move {
        let (scene, redis, _node) = Links::new().await.scene(Promise::Told).await;
        let publisher = Publisher::start(scene.address(0), 0);
        publisher.accepts(SOME).await;
        broken.apply(&redis);
        sleep(away()).await;
        redis.mend();
        publisher.accepts(SOME).await;
        scene.end(publisher).await;
    };
    tokio::join!(played(Broken::Cut), played(Broken::Stalled));
}

#[tokio::test(flavor = "multi_thread")]
async fn others_do_not_reach_a_node() {
    let played = |broken: Broken| async move {
        let (scene, _redis, node) = Links::new().await.scene(Promise::Each).await;
        let publisher = Publisher::start(scene.address(0), 0);
        publisher.accepts(SOME).await;
        broken.apply(&node);
        sleep(away()).await;
        node.mend();
        publisher.accepts(SOME).await;
        scene.end(publisher).await;
    };
    tokio::join!(played(Broken::Cut), played(Broken::Stalled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_cut_off_from_all() {
    let (scene, redis, node) = Links::new().await.scene(Promise::Told).await;
    let publisher = Publisher::start(scene.address(0), 0);
    publisher.accepts(SOME).await;
    redis.cut();
    node.cut();
    sleep(away()).await;
    redis.mend();
    node.mend();
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

/// What it has acknowledged is there again.
#[tokio::test(flavor = "multi_thread")]
async fn redis_starts_again_with_its_data() {
    let mut scene = Scene::start(TestRedis::start_keeping().await, STEADY, Promise::Each).await;
    let publisher = Publisher::start(scene.address(0), 0);
    for time in [Duration::ZERO, away()] {
        publisher.accepts(SOME).await;
        scene.cluster.redis.kill();
        sleep(time).await;
        scene.cluster.redis.start_again().await;
    }
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

/// Its numbers begin anew, larger than before, and who may have missed something is told.
#[tokio::test(flavor = "multi_thread")]
async fn redis_starts_again_with_nothing() {
    let mut scene = Scene::start(TestRedis::start().await, ALIKE, Promise::AllTold).await;
    let publisher = Publisher::start(scene.address(0), 0);
    for time in [Duration::ZERO, away()] {
        publisher.accepts(SOME).await;
        scene.cluster.redis.kill();
        sleep(time).await;
        scene.cluster.redis.start_again().await;
    }
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_frozen_and_goes_on() {
    let scene = Scene::start(TestRedis::start().await, STEADY, Promise::Each).await;
    let publisher = Publisher::start(scene.address(0), 0);
    publisher.accepts(SOME).await;
    scene.cluster.redis.signal("STOP");
    sleep(away()).await;
    scene.cluster.redis.signal("CONT");
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

/// Redis closes the connection of a node that does not read what others publish; that is in history.
#[tokio::test(flavor = "multi_thread")]
async fn the_output_buffer_of_a_node_overflows() {
    let limit = ["--client-output-buffer-limit", "pubsub 64kb 0 0"];
    let links = Links::over(TestRedis::start_with(&limit).await).await;
    let (scene, to_redis, _node) = links.scene_with(&[PATIENT], Promise::Each).await;
    let mut listener = Client::new(scene.address(2));
    listener.handshake().await;
    listener.subscribe("/bulk").await;
    let mut flooding = Client::new(scene.address(0));
    flooding.handshake().await;
    let publisher = Publisher::start(scene.address(0), 0);
    publisher.accepts(SOME).await;
    to_redis.stall();
    let bulk = "x".repeat(50_000);
    let overruns = async {
        while scene.feeds().await == 3 {
            flooding.publish("/bulk", bulk.as_str()).await;
        }
    };
    timeout(SETTLED, overruns).await.expect("it overruns");
    publisher.accepts(SOME).await;
    to_redis.mend();
    publisher.accepts(SOME).await;
    scene.end(publisher).await;
}

#[test]
fn the_settings_of_these_tests_say_when_a_node_counts_as_dead() {
    let node_timeout = format!("cluster.node_timeout={}s", NODE_TIMEOUT.as_secs());
    assert!(SETTINGS.contains(&&*node_timeout));
}
