//! A model of Redis, and of the way to it: what it does is atomic, and what it is asked and answers may come late, or
//! not at all.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Chance, Mutant};
use crate::bayeux::{ChannelName, ChannelPattern, ClientId};
use crate::cluster::{
    Backplane, Beat, Claim, Feed, Head, Incoming, Interest, NodeId, NodeInfo, NotPublished, Orphan,
    Outgoing, Owner, Registry, Written,
};
use crate::history::{
    Body, Entry, Epoch, Failed, Figures, Kept, Page, Place, Query, Saved, Store, Survey, Want,
};

/// How often a client looks whether a node that is frozen has died.
const GLANCE: Duration = Duration::from_millis(50);

/// What a node can do now.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<Can>);

#[derive(Debug, Default, Clone, Copy)]
struct Can {
    is_dead: bool,
    frozen: Option<Instant>,
    cut: Option<Instant>,
}

impl Gate {
    fn can(&self) -> Can {
        *self.0.lock().expect("nobody fails")
    }

    pub(super) fn kill(&self) {
        self.0.lock().expect("nobody fails").is_dead = true;
    }

    pub(super) fn freeze(&self, time: Duration) {
        self.0.lock().expect("nobody fails").frozen = Some(Instant::now() + time);
    }

    /// Cuts it off from Redis.
    pub(super) fn cut(&self, time: Duration) {
        self.0.lock().expect("nobody fails").cut = Some(Instant::now() + time);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.can().is_dead
    }

    pub(super) fn is_cut(&self) -> bool {
        self.can().cut.is_some_and(|until| until > Instant::now())
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.can()
            .frozen
            .is_some_and(|until| until > Instant::now())
    }

    /// Waits until it runs; false if it is dead.
    pub(super) async fn lives(&self) -> bool {
        loop {
            let can = self.can();
            if can.is_dead {
                return false;
            }
            match can.frozen.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until.min(Instant::now() + GLANCE)).await,
                None => return true,
            }
        }
    }

    /// Waits for something that the node does; nothing if it dies before.
    pub(super) async fn unless_dead<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let dies = async {
            while !self.is_dead() {
                sleep(GLANCE).await;
            }
        };
        tokio::select! {
            biased;
            result = what => Some(result),
            () = dies => None,
        }
    }

    /// Waits until it runs; for ever if it is dead.
    pub(super) async fn runs(&self) {
        loop {
            let can = self.can();
            if can.is_dead {
                std::future::pending::<()>().await;
            }
            match can.frozen.filter(|until| *until > Instant::now()) {
                Some(until) => sleep_until(until).await,
                None => return,
            }
        }
    }
}

/// What is in Redis.
#[derive(Debug, Default)]
pub(super) struct Data {
    last: u64,
    pub(super) log: Vec<Kept>,
    last_of: HashMap<ChannelName, u64>,
    lives: HashMap<NodeId, (NodeInfo, Instant)>,
    buried: HashSet<NodeId>,
    pub(super) sessions: HashMap<ClientId, Session>,
    subscribers: HashMap<NodeId, Subscriber>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) owner: Owner,
    state: Bytes,
    outlives: Duration,
    expires: Option<Instant>,
}

#[derive(Debug, Default)]
struct Subscriber {
    patterns: HashSet<ChannelPattern>,
    feed: VecDeque<(Instant, Feed)>,
    is_up: bool,
    more: Arc<Notify>,
}

/// The model.
#[derive(Debug)]
pub(super) struct Redis {
    data: Mutex<Data>,
    begin: Instant,
    pub(super) mutant: Mutant,
    chance: Mutex<Chance>,
}

impl Redis {
    pub(super) fn new(seed: u64, mutant: Mutant) -> Arc<Self> {
        let data = Data {
            last: 1_000_000,
            ..Data::default()
        };
        Arc::new(Self {
            data: Mutex::new(data),
            begin: Instant::now(),
            mutant,
            chance: Mutex::new(Chance::of(seed)),
        })
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().expect("nobody fails")
    }

    /// Tells what happens, if `CLUSTER_TRACE` is set.
    pub(super) fn trace(&self, what: impl FnOnce() -> String) {
        if std::env::var_os("CLUSTER_TRACE").is_some() {
            eprintln!(
                "{:?} (at {}): {}",
                self.begin.elapsed(),
                self.last(),
                what()
            );
        }
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        self.chance.lock().expect("nobody fails").below(bound)
    }

    fn latency(&self) -> Duration {
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

    pub(super) fn publish(&self, channel: &ChannelName, data: String, has_history: bool) -> u64 {
        let entry = Entry {
            channel: channel.clone(),
            at: SystemTime::now(),
            body: Body {
                data: data.into(),
                ext: None,
                custom: None,
            },
        };
        let latencies: Vec<_> = (0..8).map(|_| self.latency()).collect();
        let micros = u64::try_from(self.begin.elapsed().as_micros()).expect("a short run");
        let mut all = self.data();
        let id = (all.last + 1).max(micros + 1_000_000);
        all.last = id;
        let before = all.last_of.insert(channel.clone(), id).unwrap_or(0);
        let place = Place { id, before };
        if has_history {
            let entry = entry.clone();
            all.log.push(Kept { place, entry });
        }
        for (subscriber, latency) in all.subscribers.values_mut().zip(latencies) {
            let is_heard = subscriber
                .patterns
                .iter()
                .any(|pattern| pattern.matches(channel));
            if is_heard && subscriber.is_up {
                let message = Incoming {
                    place,
                    entry: entry.clone(),
                    publisher: None,
                };
                subscriber.push(latency, Feed::Message(Box::new(message)));
            }
        }
        id
    }

    pub(super) fn last(&self) -> u64 {
        self.data().last
    }
}

impl Subscriber {
    fn push(&mut self, latency: Duration, feed: Feed) {
        let due = Instant::now() + latency;
        let due = self.feed.back().map_or(due, |(last, _)| due.max(*last));
        self.feed.push_back((due, feed));
        self.more.notify_one();
    }
}

/// A node's way to Redis.
pub(super) struct Way {
    pub(super) redis: Arc<Redis>,
    pub(super) me: NodeId,
    pub(super) gate: Arc<Gate>,
    pub(super) interest: Arc<Interest>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way of {}", self.me)
    }
}

fn away() -> Failed {
    Failed::Io("away".into())
}

impl Way {
    /// Does something in Redis; if it fails it may be done.
    async fn ask<T>(&self, effect: impl FnOnce(&mut Data) -> T) -> Result<T, Failed> {
        sleep(self.redis.latency()).await;
        self.gate.runs().await;
        if self.gate.is_cut() {
            return Err(away());
        }
        // Few are on their way for long.
        if self.redis.below(100) == 0 {
            sleep(Duration::from_millis(self.redis.below(4000) as u64)).await;
        }
        let result = effect(&mut self.redis.data());
        if self.redis.below(200) == 0 {
            return Err(away());
        }
        sleep(self.redis.latency()).await;
        self.gate.runs().await;
        if self.gate.is_cut() {
            return Err(away());
        }
        Ok(result)
    }

    fn subscriber<T>(&self, look: impl FnOnce(&mut Subscriber, &mut u64) -> T) -> T {
        let mut data = self.redis.data();
        let Data {
            subscribers, last, ..
        } = &mut *data;
        look(subscribers.entry(self.me).or_default(), last)
    }

    /// Has what is wanted subscribed to, and connects again when it was cut, for ever.
    pub(super) async fn keep(&self) {
        loop {
            self.gate.runs().await;
            let is_up = self.subscriber(|subscriber, _| subscriber.is_up);
            if self.gate.is_cut() {
                if is_up {
                    self.interest.note_up(false);
                    self.subscriber(|subscriber, _| {
                        subscriber.is_up = false;
                        subscriber.patterns.clear();
                        subscriber.feed.clear();
                        subscriber.push(Duration::ZERO, Feed::Down);
                    });
                }
                sleep(Duration::from_millis(20)).await;
            } else if is_up {
                tokio::select! {
                    () = self.interest.changed() => self.subscribe().await,
                    () = sleep(Duration::from_millis(20)) => {}
                }
            } else {
                sleep(self.redis.latency()).await;
                let (patterns, made) = self.interest.take_all();
                self.subscriber(|subscriber, last| {
                    subscriber.is_up = true;
                    subscriber.patterns = patterns.into_iter().collect();
                    let head = Head {
                        id: *last,
                        epoch: "e".into(),
                    };
                    subscriber.push(Duration::ZERO, Feed::Up(head));
                });
                self.interest.note_up(true);
                self.interest.note_done(made);
            }
        }
    }

    async fn subscribe(&self) {
        let (changes, made) = self.interest.take();
        let is_late = self.redis.mutant == Mutant::InterestAfterState;
        if is_late {
            self.interest.note_done(made);
            sleep(Duration::from_millis(300)).await;
        }
        sleep(self.redis.latency()).await;
        self.subscriber(|subscriber, _| {
            for change in changes {
                if change.is_wanted {
                    subscriber.patterns.insert(change.pattern);
                } else {
                    subscriber.patterns.remove(&change.pattern);
                }
            }
        });
        sleep(self.redis.latency()).await;
        self.interest.note_done(made);
    }

    fn more(&self) -> Arc<Notify> {
        self.subscriber(|subscriber, _| Arc::clone(&subscriber.more))
    }
}

impl Backplane for Way {
    fn publish(
        &self,
        _batch: Vec<Outgoing>,
    ) -> BoxFuture<'_, Result<Vec<Result<Place, NotPublished>>, Failed>> {
        // What is published comes from elsewhere.
        std::future::ready(Err(away())).boxed()
    }

    fn next(&self) -> BoxFuture<'_, Feed> {
        async move {
            let more = self.more();
            loop {
                self.gate.runs().await;
                let due = self.subscriber(|subscriber, _| {
                    let due = subscriber.feed.front().map(|(due, _)| *due);
                    match due {
                        Some(due) if due <= Instant::now() => {
                            Ok(subscriber.feed.pop_front().map(|(_, feed)| feed))
                        }
                        due => Err(due),
                    }
                });
                match due {
                    Ok(Some(feed)) => return feed,
                    Ok(None) => {}
                    Err(Some(due)) => {
                        tokio::select! {
                            () = sleep_until(due) => {}
                            () = more.notified() => {}
                        }
                    }
                    Err(None) => more.notified().await,
                }
            }
        }
        .boxed()
    }

    fn mark(&self, mark: u64) -> BoxFuture<'_, Result<(), Failed>> {
        async move {
            if self.gate.is_cut() {
                return Err(away());
            }
            if self.redis.mutant == Mutant::NoBarrier {
                self.subscriber(|subscriber, _| {
                    let now = Instant::now();
                    subscriber.feed.push_front((now, Feed::Mark(mark)));
                    subscriber.more.notify_one();
                });
                return Ok(());
            }
            sleep(self.redis.latency()).await;
            let latency = self.redis.latency();
            self.subscriber(|subscriber, _| {
                if !subscriber.is_up {
                    return Err(away());
                }
                subscriber.push(latency, Feed::Mark(mark));
                Ok(())
            })
        }
        .boxed()
    }

    fn last_of(&self, channels: Vec<ChannelName>) -> BoxFuture<'_, Result<Vec<u64>, Failed>> {
        self.ask(move |data| {
            let last = channels.iter().map(|channel| data.last_of.get(channel));
            last.map(|last| last.copied().unwrap_or(0)).collect()
        })
        .boxed()
    }

    fn is_up(&self) -> bool {
        !self.gate.is_cut()
    }
}

impl Data {
    fn is_alive(&self, node: NodeId) -> bool {
        let lives = self.lives.get(&node);
        lives.is_some_and(|(_, until)| *until > Instant::now())
    }

    /// Forgets sessions that have expired.
    pub(super) fn purge(&mut self) {
        let now = Instant::now();
        self.sessions
            .retain(|_, session| session.expires.is_none_or(|expires| expires > now));
    }
}

impl Registry for Way {
    fn beat(&self, me: NodeInfo, lives: Duration) -> BoxFuture<'_, Result<Beat, Failed>> {
        let lives = if self.redis.mutant == Mutant::NoLease {
            lives / 5
        } else {
            lives
        };
        self.ask(move |data| {
            let is_known = data.lives.contains_key(&me.id);
            let was_dead = is_known && !data.is_alive(me.id);
            data.buried.remove(&me.id);
            for session in data.sessions.values_mut() {
                if session.owner.node == me.id {
                    session.expires = None;
                }
            }
            data.lives
                .insert(me.id, (me.clone(), Instant::now() + lives));
            let all: Vec<_> = data.lives.values().cloned().collect();
            let (alive, dead): (Vec<_>, Vec<_>) = all
                .into_iter()
                .partition(|(_, until)| *until > Instant::now());
            let dead = dead.into_iter().map(|(info, _)| info.id);
            Beat {
                was_dead,
                alive: alive.into_iter().map(|(info, _)| info).collect(),
                dead: dead.filter(|id| !data.buried.contains(id)).collect(),
            }
        })
        .boxed()
    }

    fn leave(&self, me: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        self.ask(move |data| {
            data.lives.remove(&me);
        })
        .boxed()
    }

    fn write(
        &self,
        me: NodeId,
        batch: Vec<Written>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        self.ask(move |data| {
            let mut lost = Vec::new();
            for written in batch {
                let owner = Owner {
                    node: me,
                    generation: written.generation,
                };
                let known = data.sessions.get(&written.id);
                let is_own = known.is_none_or(|known| known.owner == owner);
                if !is_own {
                    lost.push(written.id);
                    continue;
                }
                let session = Session {
                    owner,
                    state: written.state,
                    outlives: written.outlives,
                    expires: None,
                };
                data.sessions.insert(written.id, session);
            }
            lost
        })
        .boxed()
    }

    fn find(&self, id: ClientId) -> BoxFuture<'_, Result<Option<Owner>, Failed>> {
        self.ask(move |data| {
            data.purge();
            data.sessions.get(&id).map(|session| session.owner)
        })
        .boxed()
    }

    fn claim(
        &self,
        id: ClientId,
        from: Owner,
        to: NodeId,
        is_given: bool,
    ) -> BoxFuture<'_, Result<Claim, Failed>> {
        let mutant = self.redis.mutant;
        self.redis
            .trace(|| format!("{to} claims {id:?} of {from:?}, given: {is_given}"));
        self.ask(move |data| {
            data.purge();
            let is_alive = data.is_alive(from.node) && mutant != Mutant::ClaimsOfTheLiving;
            let Some(session) = data.sessions.get_mut(&id) else {
                return Claim::Gone;
            };
            if session.owner != from && mutant != Mutant::NoComparison {
                return Claim::Owned(session.owner);
            }
            if !is_given && is_alive {
                return Claim::Alive;
            }
            session.owner = Owner {
                node: to,
                generation: session.owner.generation + 1,
            };
            session.expires = None;
            Claim::Taken {
                generation: session.owner.generation,
                state: session.state.clone(),
            }
        })
        .boxed()
    }

    fn remove(&self, me: NodeId, ended: Vec<(ClientId, u64)>) -> BoxFuture<'_, Result<(), Failed>> {
        self.ask(move |data| {
            for (id, generation) in ended {
                let owner = Owner {
                    node: me,
                    generation,
                };
                if data.sessions.get(&id).is_some_and(|it| it.owner == owner) {
                    data.sessions.remove(&id);
                }
            }
        })
        .boxed()
    }

    fn lost(
        &self,
        me: NodeId,
        sessions: Vec<(ClientId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>> {
        self.ask(move |data| {
            let lost = sessions.into_iter().filter(|(id, generation)| {
                let owner = Owner {
                    node: me,
                    generation: *generation,
                };
                data.sessions.get(id).is_some_and(|it| it.owner != owner)
            });
            lost.map(|(id, _)| id).collect()
        })
        .boxed()
    }

    fn bury(&self, dead: NodeId, _max: usize) -> BoxFuture<'_, Result<Vec<Orphan>, Failed>> {
        self.ask(move |data| {
            if data.is_alive(dead) {
                return Vec::new();
            }
            data.buried.insert(dead);
            for session in data.sessions.values_mut() {
                if session.owner.node == dead {
                    session.expires = Some(Instant::now() + session.outlives);
                }
            }
            // Nobody is to hear of them.
            Vec::new()
        })
        .boxed()
    }
}

impl Store for Way {
    fn epoch(&self) -> Epoch {
        "e".into()
    }

    fn append(&self, _batch: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        std::future::ready(Err(away())).boxed()
    }

    fn read(&self, query: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        self.ask(move |data| {
            let wanted = data.log.iter().filter(|kept| {
                let id = kept.place.id;
                let mut wants = query.wants.iter();
                id > query.position && wants.any(|want| want.takes(&kept.entry.channel, id))
            });
            let messages: Vec<_> = wanted.take(query.max_messages).cloned().collect();
            let is_end = messages.len() < query.max_messages;
            let last = messages.last().map_or(0, |kept| kept.place.id);
            Page {
                position: if is_end { data.last } else { last },
                messages,
                is_end,
                lost: 0,
            }
        })
        .boxed()
    }

    fn survey(&self, want: Want, _max: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        self.ask(move |data| {
            let all = Want {
                after: 0,
                pattern: want.pattern,
            };
            let ids = data.log.iter();
            let ids = ids.filter(|kept| all.takes(&kept.entry.channel, kept.place.id));
            let ids: Vec<_> = ids.map(|kept| kept.place.id).collect();
            Survey {
                first: ids.first().copied(),
                last: ids.last().copied(),
                lost: 0,
                head: data.last,
                too_many: None,
            }
        })
        .boxed()
    }

    fn remove(&self, _pattern: ChannelPattern, _up_to: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        std::future::ready(Ok(0)).boxed()
    }

    fn trim(&self, _now: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        std::future::ready(Ok(())).boxed()
    }

    fn figures(&self) -> Figures {
        Figures::default()
    }

    fn health(&self) -> Result<(), Failed> {
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_synced(&self) -> bool {
        false
    }

    fn save_sessions(&self, _batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        std::future::ready(Ok(())).boxed()
    }

    fn take_sessions(
        &self,
        _max_sessions: usize,
        _max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        std::future::ready(Ok(Vec::new())).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}
