//! What the simulation has found, each without the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};

use super::super::moving::take_up;
use super::super::{Cluster, Recent};
use super::client::{Client, Habits};
use super::redis::Redis;
use super::{Mutant, Node, World};
use crate::bayeux::ClientId;
use crate::cluster::NodeId;
use crate::server::core::clocks;

/// A seed with which nothing is late or lost.
const CALM: u64 = 2;

/// Returns a world, a session in it, and the node that has it.
async fn world() -> (Arc<World>, Arc<Node>, ClientId) {
    let (world, node, client) = world_of(Mutant::None).await;
    let id = client.life(0, |life| life.id.parse().expect("an id"));
    (world, node, id)
}

async fn world_of(mutant: Mutant) -> (Arc<World>, Arc<Node>, Client) {
    let world = World::new(CALM, mutant);
    sleep(Duration::from_secs(1)).await;
    let habits = Habits {
        acknowledges: true,
        uses_streams: false,
        leaves: false,
    };
    let client = Client::new(&world, 0, habits);
    client.begin().await;
    let id: ClientId = client.life(0, |life| life.id.parse().expect("an id"));
    let owner = world.redis.owner(id).expect("it is written").node;
    let node = world.node(owner).expect("its node");
    (world, node, client)
}

fn cluster(node: &Node) -> &Cluster {
    node.server.core.cluster.as_ref().expect("a cluster")
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_session_that_is_on_its_way_waits_until_that_is_over() {
    let (_world, node, id) = world().await;
    assert!(node.server.arriving(id).is_none());
    cluster(&node).leaving.begin(id, NodeId(2), 1);
    let arriving = node.server.arriving(id).expect("it is on its way");
    let begun = Instant::now();
    let ends = async {
        sleep(Duration::from_millis(300)).await;
        cluster(&node).leaving.end(id);
    };
    let (is_over, ()) = tokio::join!(arriving, ends);
    assert!(is_over);
    assert_eq!(begun.elapsed().as_millis(), 300);
    cluster(&node).leaving.begin(id, NodeId(2), 2);
    let arriving = node.server.arriving(id).expect("it is on its way");
    assert!(!arriving.await, "it takes too long");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_does_not_give_what_is_on_its_way_already() {
    let (world, node, id) = world().await;
    cluster(&node).leaving.begin(id, NodeId(2), 1);
    node.server.will_stop(Duration::ZERO);
    node.server.leave();
    node.server.hand_over().await;
    assert!(node.server.core.sessions.find(id).is_some());
    assert_eq!(world.redis.owner(id).expect("an owner").node, node.id);
    cluster(&node).leaving.end(id);
    node.server.hand_over().await;
    assert!(node.server.core.sessions.find(id).is_none());
    assert_ne!(world.redis.owner(id).expect("an owner").node, node.id);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_given_twice_goes_on() {
    let (_world, node, id) = world().await;
    let core = &node.server.core;
    let session = core.sessions.find(id).expect("a session");
    let record = session
        .record(clocks())
        .expect("a record")
        .expect("it lives");
    let taken = take_up(core, record, 0, &Recent::default());
    assert!(matches!(taken, Some(None)), "it need not end");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_waits_for_any_more_is_not_done() {
    let (_world, node, _) = world().await;
    let is_done = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&is_done);
    let mut job = Box::pin(cluster(&node).between(move |_, _| done.store(true, SeqCst)));
    assert!((&mut job).now_or_never().is_none());
    drop(job);
    assert!(cluster(&node).between(|_, _| ()).await.is_ok());
    assert!(!is_done.load(SeqCst));
}

/// Subscribes anew to a channel, while a message from before is late, and others are published; returns what fails.
async fn subscribed_anew(mutant: Mutant) -> Vec<String> {
    const CHANNEL: usize = 2;
    let (world, _node, client) = world_of(mutant).await;
    client.insist("subscribe", CHANNEL).await;
    let publish = |millis| {
        let entry = Redis::entry(&world.channels[CHANNEL], world.redis.number());
        let latencies = [Duration::from_millis(millis); 12];
        let micros = world.redis.micros();
        world.redis.data().publish(&entry, None, micros, &latencies);
    };
    publish(2000);
    client.insist("unsubscribe", CHANNEL).await;
    sleep(Duration::from_millis(500)).await;
    publish(1);
    client.insist("subscribe", CHANNEL).await;
    sleep(Duration::from_millis(500)).await;
    publish(1);
    sleep(Duration::from_secs(3)).await;
    for _ in 0..3 {
        client.poll().await;
    }
    std::mem::take(&mut *world.failures.lock().expect("nobody fails"))
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_anew_is_told_of_no_gap_for_what_came_in_between() {
    assert_eq!(subscribed_anew(Mutant::None).await, [""; 0]);
    let failures = subscribed_anew(Mutant::SettlesEarly).await;
    let is_told = |failure: &String| failure.contains("is told of a gap");
    assert!(failures.iter().any(is_told), "{failures:?}");
}
