//! A model of Redis: what is in it, and what is published. Each change of it is atomic.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Chance, Mutant};
use crate::bayeux::{ChannelName, ChannelPattern, ClientId};
use crate::cluster::{Feed, Incoming, NodeId, NodeInfo, Owner};
use crate::history::{Body, Entry, Kept, Place};
use crate::session::Record;

/// The number in Redis, the channel, and what was said.
pub(super) type Published = (u64, ChannelName, u64);

/// What is in Redis.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) last: u64,
    pub(super) log: Vec<Kept>,
    pub(super) last_of: HashMap<ChannelName, u64>,
    pub(super) lives: HashMap<NodeId, (NodeInfo, Instant)>,
    pub(super) buried: HashSet<NodeId>,
    pub(super) sessions: HashMap<ClientId, Session>,
    pub(super) subscribers: HashMap<NodeId, Subscriber>,
    /// All that was published.
    published: Vec<Published>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) owner: Owner,
    pub(super) state: Bytes,
    pub(super) outlives: Duration,
    pub(super) expires: Option<Instant>,
}

/// What comes to a node.
#[derive(Debug)]
pub(super) enum Item {
    Feed(Feed),
    /// So many changes of interest were done before.
    Settled(u64),
}

/// The connection on which messages come to a node.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    pub(super) patterns: HashSet<ChannelPattern>,
    pub(super) feed: VecDeque<(Instant, Item)>,
    pub(super) is_up: bool,
    pub(super) more: Arc<Notify>,
}

impl Subscriber {
    /// Lets something come after a time, behind all that came before.
    pub(super) fn push(&mut self, latency: Duration, item: Item) {
        let due = Instant::now() + latency;
        let due = self.feed.back().map_or(due, |(last, _)| due.max(*last));
        self.feed.push_back((due, item));
        self.more.notify_one();
    }
}

/// The model.
#[derive(Debug)]
pub(super) struct Redis {
    data: Mutex<Data>,
    begin: Instant,
    pub(super) mutant: Mutant,
    /// Nothing is late or lost.
    pub(super) is_calm: bool,
    chance: Mutex<Chance>,
    /// What happened, if somebody wants to know.
    trace: Option<Mutex<Vec<String>>>,
    /// How many messages there were.
    numbers: Mutex<u64>,
}

impl Redis {
    pub(super) fn new(seed: u64, mutant: Mutant, is_calm: bool) -> Arc<Self> {
        let data = Data {
            last: 1_000_000,
            ..Data::default()
        };
        Arc::new(Self {
            data: Mutex::new(data),
            begin: Instant::now(),
            mutant,
            is_calm,
            chance: Mutex::new(Chance::of(seed)),
            trace: std::env::var_os("CLUSTER_TRACE").map(|_| Mutex::default()),
            numbers: Mutex::default(),
        })
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("nobody fails")
    }

    /// Notes what happens, if `CLUSTER_TRACE` is set.
    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let line = format!(
                "{:?} (at {}): {}",
                self.begin.elapsed(),
                self.last(),
                what()
            );
            trace.lock().expect("nobody fails").push(line);
        }
    }

    /// Shows what has happened.
    pub(super) fn show_trace(&self) {
        for line in self.trace.iter().flat_map(|trace| {
            let mut trace = trace.lock().expect("nobody fails");
            std::mem::take(&mut *trace)
        }) {
            eprintln!("{line}");
        }
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        self.chance.lock().expect("nobody fails").below(bound)
    }

    /// Tells whether one of so many goes wrong now.
    pub(super) fn goes_wrong(&self, of: usize) -> bool {
        !self.is_calm && self.below(of) == 0
    }

    pub(super) fn latency(&self) -> Duration {
        let micros = match self.below(40) {
            0 => 200_000,
            1..4 => 20_000,
            _ => 2000,
        };
        Duration::from_micros(self.below(micros) as u64 + 100)
    }

    /// Returns who owns a session.
    pub(super) fn owner(&self, id: ClientId) -> Option<Owner> {
        let data = self.data();
        data.sessions.get(&id).map(|session| session.owner)
    }

    /// Returns what is written of a session.
    pub(super) fn record(&self, id: ClientId) -> Option<Record> {
        let data = self.data();
        let session = data.sessions.get(&id)?;
        Some(Record::decode(&session.state).expect("a record"))
    }

    /// Returns all that was published.
    pub(super) fn published(&self) -> Vec<Published> {
        self.data().published.clone()
    }

    /// Returns the number that the next message says.
    pub(super) fn number(&self) -> u64 {
        let mut numbers = self.numbers.lock().expect("nobody fails");
        *numbers += 1;
        *numbers
    }

    pub(super) fn micros(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).expect("a short run")
    }

    pub(super) fn entry(channel: &ChannelName, number: u64) -> Entry {
        Entry {
            channel: channel.clone(),
            at: SystemTime::now(),
            body: Body {
                data: number.to_string().into(),
                ext: None,
                custom: None,
            },
        }
    }

    /// Publishes a number, as somebody at a node that nothing happens to.
    pub(super) fn publish(&self, channel: &ChannelName, number: u64) {
        let entry = Self::entry(channel, number);
        let latencies = self.latencies();
        self.data().publish(&entry, None, self.micros(), &latencies);
    }

    /// Returns how long something takes to each of the nodes.
    pub(super) fn latencies(&self) -> Vec<Duration> {
        (0..12).map(|_| self.latency()).collect()
    }

    pub(super) fn last(&self) -> u64 {
        self.data().last
    }
}

impl Data {
    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        let lives = self.lives.get(&node);
        lives.is_some_and(|(_, until)| *until > Instant::now())
    }

    /// Forgets sessions that have expired.
    pub(super) fn purge(&mut self) {
        let now = Instant::now();
        self.sessions
            .retain(|_, session| session.expires.is_none_or(|expires| expires > now));
    }

    pub(super) fn publish(
        &mut self,
        entry: &Entry,
        publisher: Option<ClientId>,
        micros: u64,
        latencies: &[Duration],
    ) -> Place {
        let channel = entry.channel.clone();
        let id = (self.last + 1).max(micros + 1_000_000);
        self.last = id;
        let before = self.last_of.insert(channel.clone(), id).unwrap_or(0);
        let place = Place { id, before };
        let number = std::str::from_utf8(&entry.body.data).expect("UTF-8");
        let number = number.parse().expect("a number");
        self.published.push((id, channel.clone(), number));
        if channel.as_str().starts_with("/h/") {
            let entry = entry.clone();
            self.log.push(Kept { place, entry });
        }
        for (subscriber, latency) in self.subscribers.values_mut().zip(latencies) {
            let mut patterns = subscriber.patterns.iter();
            if subscriber.is_up && patterns.any(|pattern| pattern.matches(&channel)) {
                let message = Incoming {
                    place,
                    entry: entry.clone(),
                    publisher,
                };
                let feed = Feed::Message(Box::new(message));
                subscriber.push(*latency, Item::Feed(feed));
            }
        }
        place
    }
}
