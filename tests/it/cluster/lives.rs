//! What applications hear of channels and sessions: once, whichever nodes these are at.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use super::everywhere::client;
use crate::authentication::issuer;
use crate::hooks::application::Application;
use crate::support::{Client, TestCluster, TestRedis, until};

/// How long everything may take to be told.
const SETTLED: Duration = Duration::from_secs(30);

/// Three processes that all tell the same application.
struct Scene {
    application: Application,
    cluster: TestCluster,
    /// What was told so far.
    events: Vec<Value>,
}

impl Scene {
    async fn start(set: &[&str]) -> Self {
        let application = Application::new().await;
        let hook = application.set(
            "events = ['session_begun', 'session_ended', 'occupied', 'vacated'], batch_wait = '1ms'",
        );
        let issuer = issuer();
        let own = [
            &*hook,
            &issuer,
            "cluster.node_timeout=2s",
            "cluster.call_timeout=1s",
        ];
        let set: Vec<_> = own.iter().chain(set).copied().collect();
        let mut cluster = TestCluster::over(TestRedis::start().await, &set);
        cluster.processes = (0..3).map(|_| cluster.process(&[])).collect();
        Self {
            application,
            cluster,
            events: Vec::new(),
        }
    }

    fn node(&self, number: usize) -> SocketAddr {
        self.cluster.processes[number].address()
    }

    /// Waits until something was told so many times: an event of this name, with a field that is so.
    async fn tells(&mut self, what: (&str, &str, &str), times: usize) {
        let end = Instant::now() + SETTLED;
        while self.count(what).await < times {
            assert!(
                Instant::now() < end,
                "{what:?} is not among {:#?}",
                self.events
            );
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.count(what).await, times, "{what:?} {:#?}", self.events);
    }

    async fn count(&mut self, (name, field, value): (&str, &str, &str)) -> usize {
        for request in self.application.requests(0).await {
            for event in request.json()["events"].as_array().unwrap() {
                // What is sent again has the same id.
                if !self.events.iter().any(|known| known["id"] == event["id"]) {
                    self.events.push(event.clone());
                }
            }
        }
        let events = self.events.iter();
        events
            .filter(|event| event["event"] == name && event[field] == value)
            .count()
    }
}

async fn leave(mut client: Client) {
    assert_eq!(client.disconnect().await["successful"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_occupied_and_vacated_once_whatever_nodes_its_subscribers_are_at() {
    let mut scene = Scene::start(&["bayeux.max_interval=1m"]).await;
    let mut clients = Vec::new();
    for node in [0, 1, 1, 2] {
        clients.push(client(scene.node(node), Some("u1")).await);
        scene.tells(("occupied", "channel", "/a"), 1).await;
    }
    // What is told after all of that says that nothing else was.
    let mut other = Client::new(scene.node(0));
    other.handshake().await;
    other.subscribe("/b").await;
    scene.tells(("occupied", "channel", "/b"), 1).await;
    let last = clients.pop().unwrap();
    for client in clients {
        leave(client).await;
    }
    other.unsubscribe("/b").await;
    scene.tells(("vacated", "channel", "/b"), 1).await;
    assert_eq!(scene.count(("vacated", "channel", "/a")).await, 0);
    leave(last).await;
    scene.tells(("vacated", "channel", "/a"), 1).await;
    assert_eq!(scene.count(("occupied", "channel", "/a")).await, 1);
    assert_eq!(
        scene
            .count(("session_begun", "event", "session_begun"))
            .await,
        5
    );
    assert_eq!(
        scene.count(("session_ended", "reason", "disconnect")).await,
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_dead_node_is_told_once() {
    let mut scene = Scene::start(&["bayeux.max_interval=4s", "bayeux.timeout=1s"]).await;
    let _stays = client(scene.node(0), Some("u1")).await;
    let _dies = client(scene.node(2), Some("u1")).await;
    let mut alone = Client::new(scene.node(2));
    alone.handshake().await;
    alone.subscribe("/alone").await;
    scene.tells(("occupied", "channel", "/alone"), 1).await;
    scene.cluster.processes[2].signal("KILL");
    scene.tells(("vacated", "channel", "/alone"), 1).await;
    // The one that has begun first expires by itself, as its client sends nothing any more.
    scene.tells(("session_ended", "reason", "expired"), 3).await;
    scene.tells(("vacated", "channel", "/a"), 1).await;
    assert_eq!(scene.count(("vacated", "channel", "/alone")).await, 1);
    assert_eq!(scene.count(("session_ended", "user", "u1")).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_vacates_nothing_that_goes_on() {
    let mut scene = Scene::start(&["bayeux.max_interval=1m"]).await;
    let mut moves = client(scene.node(2), Some("u1")).await;
    scene.tells(("occupied", "channel", "/a"), 1).await;
    let mut stopped = scene.cluster.processes.pop().unwrap();
    stopped.signal("TERM");
    until(|| stopped.child.try_wait().unwrap().is_some()).await;
    moves.move_to(scene.node(0));
    // What is told after it says that nothing else was.
    let mut other = Client::new(scene.node(0));
    other.handshake().await;
    other.subscribe("/b").await;
    scene.tells(("occupied", "channel", "/b"), 1).await;
    other.unsubscribe("/b").await;
    scene.tells(("vacated", "channel", "/b"), 1).await;
    assert_eq!(scene.count(("vacated", "channel", "/a")).await, 0);
    assert_eq!(scene.count(("occupied", "channel", "/a")).await, 1);
    leave(moves).await;
    scene.tells(("vacated", "channel", "/a"), 1).await;
}
