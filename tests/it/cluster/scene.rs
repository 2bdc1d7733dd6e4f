//! A cluster of processes behind a balancer, clients of all kinds, and who publishes; what came is judged by its numbers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::program::Serving;
use crate::support::{Balancer, Http, Receiver, Request, TestCluster, TestRedis, Way, within};

/// How soon a node counts as dead here.
pub(super) const NODE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long everything may take to come, once nothing fails any more.
pub(super) const SETTLED: Duration = Duration::from_secs(60);
/// How long clients wait on a connection on which nothing comes. What is on its way on one that they leave themselves
/// may be lost or come again, so they leave early only where a node would not answer at all.
const PATIENT: Duration = Duration::from_secs(8);
const IMPATIENT: Duration = Duration::from_secs(2);
/// Between two publishes.
const PACE: Duration = Duration::from_millis(5);

/// The settings of each node. All channels have history.
pub(super) const SETTINGS: [&str; 6] = [
    "cluster.node_timeout=2s",
    "cluster.call_timeout=1s",
    "bayeux.publish_without_session=true",
    "bayeux.max_interval=2m",
    "bayeux.timeout=1s",
    "channel=[{ pattern = '/flood', history = { messages = 100000 } }]",
];

/// By what the clients receive, and whether they acknowledge.
const CLIENTS: [(Way, bool); 7] = [
    (Way::LongPolling, false),
    (Way::LongPolling, true),
    (Way::WebSocket, false),
    (Way::WebSocket, true),
    (Way::XhrStreaming, false),
    (Way::XhrStreaming, true),
    (Way::EventSource, false),
];

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    /// Everybody gets each message once, in order.
    Each,
    /// Who acknowledges loses nothing. Who does not gets nothing twice, and is told if something may be missing, but for
    /// what was on its way on a connection that it has left itself.
    Told,
    /// Nothing of what was published before is kept: who acknowledges is told, too, if something may be missing.
    AllTold,
}

/// By client: the last message that it has, and what else it has seen.
type Waiting = Arc<Mutex<HashMap<String, String>>>;

/// A cluster, and what stands before it.
pub(super) struct Scene {
    pub(super) cluster: TestCluster,
    pub(super) balancer: Balancer,
    receiving: JoinSet<Receiver>,
    /// Who has not got the last message yet, and what came last.
    waiting: Waiting,
    /// The message after which everybody is done.
    last: watch::Sender<u64>,
    promise: Promise,
}

impl Scene {
    /// Starts three nodes with the settings of each, and the clients, which are promised this.
    pub(super) async fn start(redis: TestRedis, sets: [&[&str]; 3], promise: Promise) -> Self {
        let patience = match promise {
            Promise::Each => PATIENT,
            Promise::Told | Promise::AllTold => IMPATIENT,
        };
        let mut cluster = TestCluster::over(redis, &SETTINGS);
        cluster.processes = sets.iter().map(|set| cluster.process(set)).collect();
        let addresses = cluster.processes.iter().map(Serving::address).collect();
        let balancer = Balancer::start(addresses).await;
        let (last, watched) = watch::channel(u64::MAX);
        let mut receiving = JoinSet::new();
        let waiting = Waiting::default();
        for (way, acknowledges) in CLIENTS {
            let receiver = Receiver::lasting(
                balancer.address,
                way,
                acknowledges,
                patience,
                watched.clone(),
            )
            .await;
            receiving.spawn(receive(receiver, Arc::clone(&waiting)));
        }
        Self {
            cluster,
            balancer,
            receiving,
            waiting,
            last,
            promise,
        }
    }

    pub(super) fn address(&self, node: usize) -> SocketAddr {
        self.cluster.processes[node].address()
    }

    /// How many nodes Redis sends messages to.
    pub(super) async fn feeds(&self) -> usize {
        let redis = &self.cluster.redis;
        let clients = redis.ask(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        let lines = clients.lines();
        lines.filter(|line| line.starts_with("id=")).count()
    }

    /// Ends the publisher, waits until everybody has the last message, and judges what they have.
    pub(super) async fn end(mut self, publisher: Publisher) {
        let published = publisher.stop().await;
        self.last.send_replace(*published.last().unwrap());
        let mut flaws = Vec::new();
        while let Some(receiver) = timeout(SETTLED, self.receiving.join_next())
            .await
            .unwrap_or_else(|_| panic!("{:?} do not get {:?}", self.waiting, published.last()))
        {
            flaws.extend(judged(&receiver.unwrap(), &published, self.promise));
        }
        assert_eq!(
            flaws,
            Vec::<String>::new(),
            "of {} messages",
            published.len()
        );
    }
}

/// Receives until the last message has come.
async fn receive(mut receiver: Receiver, waiting: Waiting) -> Receiver {
    let name = format!("{:?}", receiver.name());
    while !receiver.is_done() {
        let state = format!(
            "{:?}, told {} times, sessions lost {}, left {}",
            receiver.numbers.last(),
            receiver.gaps,
            receiver.losses,
            receiver.departures
        );
        waiting.lock().unwrap().insert(name.clone(), state);
        receiver.step().await;
    }
    waiting.lock().unwrap().remove(&name);
    receiver
}

/// What a client got otherwise than it is promised.
fn judged(receiver: &Receiver, published: &[u64], promise: Promise) -> Option<String> {
    let numbers = &receiver.numbers;
    let missing = |number: &&u64| !numbers.contains(number);
    let lost: Vec<_> = published.iter().filter(missing).collect();
    let not_later = numbers.windows(2).filter(|two| two[1] <= two[0]).count();
    let (_, acknowledges) = receiver.name();
    let is_kept = match promise {
        Promise::Each => {
            lost.is_empty() && not_later == 0 && receiver.gaps + receiver.departures == 0
        }
        Promise::Told if acknowledges => lost.is_empty(),
        Promise::AllTold if acknowledges => lost.is_empty() || receiver.gaps > 0,
        Promise::Told | Promise::AllTold => {
            not_later == 0 && (lost.is_empty() || receiver.gaps + receiver.departures > 0)
        }
    };
    let is_kept = is_kept && receiver.losses == 0;
    (!is_kept).then(|| {
        format!(
            "{:?}: lost {lost:?}, {not_later} twice or too late, told {} times, sessions lost {}, left {}",
            receiver.name(),
            receiver.gaps,
            receiver.losses,
            receiver.departures
        )
    })
}

/// Publishes numbers one after the other, and notes which were accepted.
pub(super) struct Publisher {
    task: tokio::task::JoinHandle<Vec<u64>>,
    goes_on: watch::Sender<bool>,
    accepted: Arc<AtomicU64>,
}

impl Publisher {
    /// Begins to publish at an address, where what is refused, or not answered, is not published again.
    pub(super) fn start(address: SocketAddr, filler: usize) -> Self {
        let (goes_on, is_to_go_on) = watch::channel(true);
        let accepted = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut published = Vec::new();
            for number in 0.. {
                // The last is one that everybody gets.
                let is_last = !*is_to_go_on.borrow();
                if publish(address, number, filler).await {
                    published.push(number);
                    counted.fetch_add(1, Ordering::SeqCst);
                    if is_last {
                        break;
                    }
                }
                sleep(PACE).await;
            }
            published
        });
        Self {
            task,
            goes_on,
            accepted,
        }
    }

    /// Waits until so many more were accepted.
    pub(super) async fn accepts(&self, more: u64) {
        let goal = self.accepted.load(Ordering::SeqCst) + more;
        let accepted = async {
            while self.accepted.load(Ordering::SeqCst) < goal {
                sleep(PACE).await;
            }
        };
        timeout(SETTLED, accepted)
            .await
            .expect("messages are accepted");
    }

    async fn stop(self) -> Vec<u64> {
        self.goes_on.send_replace(false);
        timeout(SETTLED, self.task)
            .await
            .expect("the last is accepted")
            .unwrap()
    }
}

async fn publish(address: SocketAddr, number: u64, filler: usize) -> bool {
    let data = json!({"filler": "x".repeat(filler), "number": number});
    let message = json!([{"channel": "/flood", "data": data}]);
    let mut http = within(Http::open(address)).await;
    let request = Request::post(message.to_string()).header("Connection", "close");
    if !http.try_send(&request.bytes()).await {
        return false;
    }
    let response = http.try_response().await;
    response.is_some_and(|response| {
        let reply: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        reply[0]["successful"] == true
    })
}
