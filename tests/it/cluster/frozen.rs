//! A node that passes requests on is frozen, and goes on or not: its clients keep their sessions, and nothing comes twice
//! to who does not acknowledge.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::program::Serving;
use crate::support::{Client, Http, TestCluster, TestServer};

/// The owner notices after two seconds that the other node is frozen, and after three at most that their connection is
/// dead; a session without a connect would expire after four.
const SETTINGS: [&str; 3] = [
    "cluster.node_timeout=2s",
    "cluster.call_timeout=1s",
    "bayeux.max_interval=4s",
];
/// How long it takes at least until a session would have expired.
const LONG: Duration = Duration::from_secs(9);

/// A node that owns the sessions, and one by which they are reached.
struct Scene {
    cluster: TestCluster,
}

impl Scene {
    async fn start() -> Self {
        let mut cluster = TestCluster::start(1, &SETTINGS).await;
        let edge = cluster.process(&[]);
        cluster.processes.push(edge);
        Self { cluster }
    }

    fn owner(&self) -> &TestServer {
        &self.cluster.nodes[0]
    }

    fn edge(&self) -> &Serving {
        &self.cluster.processes[0]
    }

    /// A client whose session is at the owner, and which goes on at the edge.
    async fn client(&self, acknowledges: bool) -> Receiver {
        let mut receiver = self.client_of(self.owner().address, acknowledges).await;
        receiver.client.move_to(self.edge().address());
        receiver
    }

    /// A client whose session is at a node.
    async fn client_of(&self, node: SocketAddr, acknowledges: bool) -> Receiver {
        let mut client = Client::new(node);
        client
            .handshake_with(json!({"ext": {"ack": acknowledges}}))
            .await;
        let mut receiver = Receiver {
            client,
            ack: acknowledges.then_some(0),
            numbers: Vec::new(),
            gaps: 0,
        };
        receiver.poll().await;
        receiver.take_reply().await;
        receiver.client.subscribe("/a").await;
        receiver
    }

    async fn publish(&self, number: u64) {
        let mut publisher = self.owner().client().await;
        let replies = publisher.publish("/a", number).await;
        assert_eq!(replies.last().unwrap()["successful"], true, "{replies:?}");
    }
}

/// What a client has received.
struct Receiver {
    client: Client,
    /// The number of the last reply, if it acknowledges.
    ack: Option<u64>,
    numbers: Vec<u64>,
    /// How often it was told that something may be missing.
    gaps: usize,
}

impl Receiver {
    /// Connects, and does not wait.
    async fn poll(&mut self) {
        let fields = self
            .ack
            .map_or(json!({}), |ack| json!({"ext": {"ack": ack}}));
        self.client.poll_with(fields).await;
    }

    /// Takes the reply to its connect.
    async fn take_reply(&mut self) {
        let messages = self.client.polled().await;
        self.take(&messages);
    }

    fn take(&mut self, messages: &[Value]) {
        let numbers = messages
            .iter()
            .filter_map(|message| message["data"].as_u64());
        self.numbers.extend(numbers);
        let reply = messages.last().unwrap();
        assert_eq!(reply["successful"], true, "{reply}");
        if let Some(ack) = reply["ext"]["ack"].as_u64() {
            self.ack = Some(ack);
        }
        let gap = &reply["ext"]["gap"];
        assert!(gap.is_null() || *gap == json!(["/a"]), "{reply}");
        self.gaps += usize::from(!gap.is_null());
    }

    /// Takes replies, and connects again, until a number has come.
    async fn receive(&mut self, number: u64) {
        loop {
            self.take_reply().await;
            if self.numbers.contains(&number) {
                return;
            }
            self.poll().await;
        }
    }

    fn count(&self, number: u64) -> usize {
        self.numbers.iter().filter(|own| **own == number).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_handshakes_again_because_another_node_was_frozen() {
    let scene = Scene::start().await;
    let mut waits = scene.client(false).await;
    let mut acknowledges = scene.client(true).await;
    let mut is_late = scene.client(false).await;
    let mut gives_up = scene.client(false).await;
    for client in [&mut waits, &mut acknowledges, &mut gives_up] {
        client.poll().await;
    }
    scene.owner().holds(3).await;
    scene.edge().signal("STOP");
    // Its request waits in the kernel of a node that does not read it.
    is_late.poll().await;
    scene.publish(1).await;
    sleep(LONG).await;
    gives_up.client.move_to(scene.owner().address);
    gives_up.poll().await;
    gives_up.take_reply().await;
    gives_up.poll().await;
    scene.edge().signal("CONT");
    scene.publish(2).await;
    for client in [&mut waits, &mut acknowledges, &mut is_late, &mut gives_up] {
        client.receive(2).await;
    }
    for client in [&waits, &is_late, &gives_up] {
        assert_eq!(client.count(2), 1, "{:?}", client.numbers);
        let (count, gaps) = (client.count(1), client.gaps);
        assert!(count == 1 || (count == 0 && gaps > 0), "{count}, {gaps}");
        assert!(gaps <= 1, "{gaps}");
    }
    assert!(acknowledges.numbers.contains(&1));
    assert_eq!(is_late.gaps, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_a_frozen_node_writes_late_brings_nothing_twice() {
    let scene = Scene::start().await;
    for acknowledges in [false, true] {
        let mut client = scene.client(acknowledges).await;
        client.poll().await;
        scene.owner().holds(1).await;
        scene.edge().signal("STOP");
        scene.publish(1).await;
        let mut late: Http = client.client.take_poll();
        client.client.move_to(scene.owner().address);
        client.poll().await;
        client.take_reply().await;
        client.poll().await;
        scene.publish(2).await;
        client.receive(2).await;
        scene.edge().signal("CONT");
        if acknowledges {
            assert_eq!((client.numbers.as_slice(), client.gaps), (&[1, 2][..], 0));
        } else {
            // Whoever comes at once may find that the owner has not begun to pass the first on: then it is not missing.
            let seen = (client.numbers.as_slice(), client.gaps);
            assert!(seen == (&[2], 1) || seen == (&[1, 2], 0), "{seen:?}");
            client.take(&late.response().await.messages());
            assert!(client.count(1) <= 1, "{:?}", client.numbers);
        }
        client.client.disconnect().await;
    }
}

/// No connection to a machine without power is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_the_frozen_node_of_its_session_goes_on_elsewhere() {
    let scene = Scene::start().await;
    let own = scene.edge();
    let mut clients = Vec::new();
    for acknowledges in [false, true] {
        let mut client = scene.client_of(own.address(), acknowledges).await;
        client.poll().await;
        clients.push(client);
    }
    own.signal("STOP");
    sleep(LONG).await;
    for client in &mut clients {
        client.client.move_to(scene.owner().address);
        client.poll().await;
        // It is told that something may be missing.
        client.take_reply().await;
        client.poll().await;
    }
    scene.publish(1).await;
    for client in &mut clients {
        client.receive(1).await;
    }
}

/// What it had written may have arrived, and its word for that not.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_by_a_node_that_dies_is_told_once_to_be_missing() {
    let scene = Scene::start().await;
    let mut client = scene.client(false).await;
    client.poll().await;
    scene.owner().holds(1).await;
    scene.edge().signal("STOP");
    scene.publish(1).await;
    scene.owner().holds(0).await;
    scene.edge().signal("KILL");
    client.client.move_to(scene.owner().address);
    client.poll().await;
    client.take_reply().await;
    assert_eq!((client.numbers.len(), client.gaps), (0, 1));
    client.poll().await;
    scene.publish(2).await;
    client.receive(2).await;
    assert_eq!((client.numbers.as_slice(), client.gaps), (&[2][..], 1));
}
