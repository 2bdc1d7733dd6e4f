//! Three nodes of a cluster in virtual time, with a model of Redis and of the network: whatever happens to them, no two
//! of them own a session, and each client gets what it is promised.
//!
//! A seed makes a run: of two, one in which nodes die, are frozen, are cut off from Redis and are stopped, and what they
//! say to each other and to Redis is late, lost, or comes twice; in the other they are only stopped and replaced, and
//! nobody may notice. Hash tables and client ids are random as they always are; `tests/simulate` takes that away, so that a
//! seed that fails fails again, and runs thousands.

mod asking;
mod checking;
mod client;
mod directed;
mod gate;
mod mutants;
mod network;
mod redis;
mod registry;
mod store;
mod way;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{AbortHandle, LocalSet};
use tokio::time::{Instant, sleep};

use self::client::{Client, Habits};
use self::gate::Gate;
use self::mutants::Mutant;
use self::network::{Line, Network};
use self::redis::Redis;
use self::way::Way;
use super::super::{BayeuxServer, Parts};
use crate::bayeux::{ChannelName, Limits};
use crate::cluster::{Interest, Links, NodeId, Settings};
use crate::history::{History, Retention};
use crate::router::{ChannelOptions, Router};
use crate::session;

/// How many runs there are unless somebody asks for others.
const SEEDS: u64 = 16;
/// What is published has to arrive within this time after the last fault.
const CALM: Duration = Duration::from_secs(30);

/// Random numbers from a seed (`SplitMix64`).
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn of(seed: u64) -> Self {
        let mut chance = Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        // Others than those that follow one seed.
        let state = chance.below(usize::MAX) as u64;
        Self(state ^ seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).expect("a small number")
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

struct Node {
    id: NodeId,
    server: Arc<BayeuxServer>,
    gate: Arc<Gate>,
    tasks: Vec<AbortHandle>,
}

struct World {
    seed: u64,
    redis: Arc<Redis>,
    network: Arc<Network>,
    nodes: Mutex<Vec<Arc<Node>>>,
    /// Those below `/h` have history.
    channels: Vec<ChannelName>,
    failures: Mutex<Vec<String>>,
    /// Nothing happens any more.
    is_calm: AtomicBool,
    /// Some node has been cut off from Redis.
    has_been_away: AtomicBool,
}

impl World {
    fn new(seed: u64, mutant: Mutant) -> Arc<Self> {
        let redis = Redis::new(seed, mutant, seed.is_multiple_of(2));
        let channel = |name| ChannelName::parse(name, &Limits::default()).expect("a channel");
        let world = Arc::new(Self {
            seed,
            redis,
            network: Arc::default(),
            nodes: Mutex::default(),
            channels: ["/h/a", "/h/b", "/c"].map(channel).into(),
            failures: Mutex::default(),
            is_calm: AtomicBool::new(false),
            has_been_away: AtomicBool::new(false),
        });
        for _ in 0..3 {
            world.start();
        }
        world
    }

    fn fail(&self, what: String) {
        self.redis.trace(|| format!("FAILS: {what}"));
        self.failures.lock().expect("nobody fails").push(what);
    }

    fn is_calm(&self) -> bool {
        self.is_calm.load(SeqCst)
    }

    fn has_been_away(&self) -> bool {
        self.has_been_away.load(SeqCst)
    }

    fn start(&self) {
        let number = self.nodes().len() + 1;
        let me = NodeId(u32::try_from(number).expect("a few"));
        let gate = Arc::new(Gate::default());
        let interest = Arc::new(Interest::default());
        let way = Arc::new(Way {
            redis: Arc::clone(&self.redis),
            me,
            gate: Arc::clone(&gate),
            interest: Arc::clone(&interest),
        });
        let line = Line {
            network: Arc::clone(&self.network),
            redis: Arc::clone(&self.redis),
            me,
            gate: Arc::clone(&gate),
        };
        let server = Arc::new(server(me, &way, line, interest));
        self.network.add(me, server.calls(), Arc::clone(&gate));
        let (attending, beating) = (Arc::clone(&server), Arc::clone(&server));
        let sweeping = Arc::clone(&server);
        let tasks = [
            tokio::spawn(async move { sweeping.sweep().await }),
            tokio::spawn(async move { way.keep().await }),
            tokio::spawn(async move { attending.attend().await }),
            tokio::spawn(async move { beating.beat("here".to_owned()).await }),
        ];
        let node = Node {
            id: me,
            server,
            gate,
            tasks: tasks.iter().map(|task| task.abort_handle()).collect(),
        };
        let mut nodes = self.nodes.lock().expect("nobody fails");
        nodes.push(Arc::new(node));
    }

    fn nodes(&self) -> Vec<Arc<Node>> {
        self.nodes.lock().expect("nobody fails").clone()
    }

    /// Returns a node to which a client may connect, or one that has died.
    fn any(&self, number: usize) -> Arc<Node> {
        let nodes = self.nodes();
        let is_open = |node: &&Arc<Node>| !node.gate.is_dead() && !node.gate.is_closed();
        let open: Vec<_> = nodes.iter().filter(is_open).collect();
        match open.get(number % (open.len() + 1)) {
            Some(node) => Arc::clone(node),
            None => Arc::clone(&nodes[number % nodes.len()]),
        }
    }

    fn node(&self, id: NodeId) -> Option<Arc<Node>> {
        self.nodes().into_iter().find(|node| node.id == id)
    }

    /// Publishes for a while, with faults or without.
    async fn live(self: &Arc<Self>, chance: &mut Chance, time: Duration, has_faults: bool) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(Duration::from_millis(chance.below(200) as u64)).await;
            let channel = chance.below(self.channels.len());
            let number = self.redis.number();
            self.redis.publish(&self.channels[channel], number);
            if has_faults && chance.below(25) == 0 {
                self.fault(chance);
            }
        }
    }

    fn fault(self: &Arc<Self>, chance: &mut Chance) {
        let node = self.any(chance.below(3));
        if node.gate.is_dead() || node.gate.is_closed() {
            return;
        }
        let millis = |millis: usize| Duration::from_millis(millis as u64);
        let kind = chance.below(5);
        match kind {
            _ if self.redis.is_calm || kind == 0 => {
                let is_alone = self
                    .nodes()
                    .iter()
                    .any(|it| it.gate.is_closed() && !it.gate.is_dead());
                if !(is_alone && self.redis.is_calm) {
                    let (world, wait) = (Arc::clone(self), millis(chance.below(1000)));
                    tokio::task::spawn_local(async move { world.stop(&node, wait).await });
                }
            }
            1 => {
                self.redis.trace(|| format!("{} dies", node.id));
                self.end(&node);
                self.start();
            }
            2 => {
                let time = millis(500 + chance.below(9000));
                self.redis
                    .trace(|| format!("{} is frozen for {time:?}", node.id));
                node.gate.freeze(time);
            }
            _ => {
                let time = millis(200 + chance.below(6000));
                self.redis
                    .trace(|| format!("{} is cut off for {time:?}", node.id));
                self.has_been_away.store(true, SeqCst);
                node.gate.cut(time);
            }
        }
    }

    fn end(&self, node: &Node) {
        node.gate.kill();
        for task in &node.tasks {
            task.abort();
        }
    }

    /// Stops a node and starts another, as a server does that is told to stop.
    async fn stop(&self, node: &Node, wait: Duration) {
        self.redis.trace(|| format!("{} stops", node.id));
        node.server.will_stop(Duration::ZERO);
        node.server.leave();
        node.gate.close();
        node.server.stop();
        sleep(wait).await;
        node.server.cut();
        node.gate.cut_clients();
        node.gate.unless_dead(node.server.hand_over()).await;
        self.redis.trace(|| {
            let left = node.server.session_count();
            format!("{} has stopped with {left} sessions", node.id)
        });
        self.end(node);
        self.start();
    }
}

fn server(me: NodeId, way: &Arc<Way>, line: Line, interest: Arc<Interest>) -> BayeuxServer {
    let kept = ChannelOptions {
        pattern: "/h/**".to_owned(),
        history: Some(Retention {
            messages: Some(100_000),
            ..Retention::default()
        }),
        ..ChannelOptions::default()
    };
    BayeuxServer::new(Parts {
        session: session::Settings {
            timeout: Duration::from_secs(3),
            max_interval: Duration::from_secs(3600),
            max_sessions_per_browser: -1,
            ..session::Settings::default()
        },
        router: Router::new(crate::router::Settings::default(), &[kept]),
        history: History::new(
            Arc::clone(way) as Arc<dyn crate::history::Store>,
            crate::history::Settings::default(),
        ),
        cluster: Some(Links {
            me,
            backplane: Arc::clone(way) as Arc<dyn crate::cluster::Backplane>,
            registry: Arc::clone(way) as Arc<dyn crate::cluster::Registry>,
            peers: Arc::new(line),
            interest,
            settings: Settings {
                node_timeout: Duration::from_secs(3),
                call_timeout: Duration::from_secs(1),
                ..Settings::default()
            },
        }),
        ..Parts::default()
    })
}

/// Runs a seed, and returns what is wrong.
fn run(seed: u64, mutant: Mutant) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new(seed, mutant);
        let mut chance = Chance::of(seed);
        let habits = |name: usize| Habits {
            acknowledges: name.is_multiple_of(2),
            uses_streams: name < 2,
            leaves: name == 4,
        };
        let clients: Vec<_> = (0..5)
            .map(|name| Arc::new(Client::new(&world, name, habits(name))))
            .collect();
        let publisher = Client::new(&world, 5, habits(5));
        sleep(Duration::from_secs(2)).await;
        tokio::task::spawn_local(async move { publisher.publish_all().await });
        for client in &clients {
            let client = Arc::clone(client);
            tokio::task::spawn_local(async move { client.run().await });
        }
        world.live(&mut chance, Duration::from_secs(3), false).await;
        world.live(&mut chance, Duration::from_secs(14), true).await;
        world.is_calm.store(true, SeqCst);
        world.live(&mut chance, Duration::from_secs(2), false).await;
        sleep(CALM).await;
        for client in &clients {
            world.check(client);
        }
        let failures = std::mem::take(&mut *world.failures.lock().expect("nobody fails"));
        if !failures.is_empty() && mutant == Mutant::None {
            world.redis.show_trace();
        }
        failures
    })
}

/// Returns a number that somebody asks for.
fn asked(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn whatever_happens_no_two_nodes_own_a_session_and_nothing_is_lost_untold() {
    let first = asked("CLUSTER_SEED");
    let count = asked("CLUSTER_SEEDS");
    let usual = if first.is_some() { 1 } else { SEEDS };
    let first = first.unwrap_or(1);
    let count = count.unwrap_or(usual);
    let mut failed = Vec::new();
    for seed in first..first + count {
        let failures = run(seed, Mutant::None);
        if !failures.is_empty() {
            eprintln!("seed {seed}: {failures:#?}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "of {count} seeds these fail: {failed:?}");
}
