//! Clients that go from node to node, and what they have received.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Chance, World, now};
use crate::bayeux::ClientId;
use crate::session::Stream;

/// A channel that a client is subscribed to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Promise {
    pub(super) channel: usize,
    /// The number in Redis when it knew.
    pub(super) from: u64,
    /// The number in Redis of the last that it had received when it began to unsubscribe: what else was on its way
    /// may come or not.
    pub(super) until: Option<u64>,
}

/// What a client has seen of one session.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) id: String,
    /// The number of the last reply.
    last: u64,
    /// Channel and number of all that it has received.
    pub(super) received: Vec<(usize, u64)>,
    pub(super) promises: Vec<Promise>,
    /// Where it was told that something may be missing: a channel, and the number in Redis then.
    pub(super) gaps: Vec<(usize, u64)>,
    pub(super) replies: usize,
    /// It has ended it.
    pub(super) is_over: bool,
}

impl Life {
    /// Returns the channels that it is subscribed to.
    pub(super) fn channels(&self) -> Vec<usize> {
        let open = self.promises.iter().filter(|it| it.until.is_none());
        open.map(|promise| promise.channel).collect()
    }
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    pub(super) acknowledges: bool,
    pub(super) uses_streams: bool,
    /// It ends its session now and then, and begins another.
    pub(super) leaves: bool,
}

pub(super) struct Client {
    pub(super) name: usize,
    pub(super) habits: Habits,
    pub(super) world: Arc<World>,
    pub(super) lives: Mutex<Vec<Life>>,
    chance: Mutex<Chance>,
}

/// What a request led to.
#[derive(Debug)]
pub(super) enum Answer {
    /// It was answered: the replies, and the numbers that came with them.
    Replies(Vec<String>, Vec<(usize, u64)>),
    /// It was not.
    Failed,
}

impl Answer {
    /// Tells whether it says that there is no such session.
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Replies(replies, _) if replies.iter().any(|it| it.contains("402::")))
    }

    /// Returns the reply, if there is one that says that something was done.
    pub(super) fn success(&self) -> Option<&str> {
        let Self::Replies(replies, _) = self else {
            return None;
        };
        let reply = replies.first()?;
        reply.contains(r#""successful":true"#).then_some(reply)
    }
}

impl Client {
    pub(super) fn new(world: &Arc<World>, name: usize, habits: Habits) -> Self {
        Self {
            name,
            habits,
            world: Arc::clone(world),
            lives: Mutex::default(),
            chance: Mutex::new(Chance::of(world.seed * 100 + name as u64)),
        }
    }

    pub(super) fn below(&self, bound: usize) -> usize {
        self.chance.lock().expect("nobody fails").below(bound)
    }

    /// Looks at a life, by its number.
    pub(super) fn life<T>(&self, life: usize, look: impl FnOnce(&mut Life) -> T) -> T {
        look(&mut self.lives.lock().expect("nobody fails")[life])
    }

    /// Returns the number of its life now.
    fn now(&self) -> usize {
        self.lives.lock().expect("nobody fails").len() - 1
    }

    pub(super) fn fail(&self, what: &str) {
        self.world.fail(format!("client {}: {what}", self.name));
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        let trace = || format!("client {}: {}", self.name, what());
        self.world.redis.trace(trace);
    }

    /// Lives, for ever: receives, and does other things meanwhile.
    pub(super) async fn run(&self) {
        self.begin().await;
        tokio::join!(self.receive_all(), self.change_all());
    }

    /// Publishes, until the world has calmed down: what it is told has to be so.
    pub(super) async fn publish_all(&self) {
        self.handshake().await;
        while !self.world.is_calm() {
            sleep(Duration::from_millis(self.below(500) as u64)).await;
            let channel = self.below(self.world.channels.len());
            let channel = self.world.channels[channel].as_str();
            let number = self.world.redis.number();
            let id = self.life(0, |life| life.id.clone());
            let text = format!(r#"{{"channel":"{channel}","clientId":"{id}","data":{number}}}"#);
            let answer = self.somewhere(&text, &id).await;
            let is_there = || {
                let published = self.world.redis.published();
                published.iter().any(|(_, _, said)| *said == number)
            };
            if answer.success().is_some() && !is_there() {
                self.fail(&format!("{number} is published nowhere"));
            }
            if let Answer::Replies(replies, _) = &answer {
                let is_away = replies[0].contains(r#""error":"503::cluster_unavailable"#);
                if answer.success().is_none() && !is_away {
                    self.fail(&format!("{number} is not published: {}", replies[0]));
                }
            }
        }
    }

    pub(super) async fn begin(&self) {
        let channels = self.world.channels.len();
        loop {
            self.handshake().await;
            let first = self.below(channels);
            let second = (first + 1 + self.below(channels - 1)) % channels;
            if self.subscribe(first).await {
                self.subscribe(second).await;
                return;
            }
            // Its node died before others knew of it.
            self.life(self.now(), |life| life.is_over = true);
        }
    }

    async fn handshake(&self) {
        let ext = format!(r#"{{"ack":{}}}"#, self.habits.acknowledges);
        let text = format!(r#"{{"channel":"/meta/handshake","version":"1.0","ext":{ext}}}"#);
        loop {
            let node = self.world.any(self.below(1000));
            if let Answer::Replies(replies, _) = self.process(&node, &text).await {
                let (_, rest) = replies[0].split_once(r#""clientId":""#).expect("an id");
                let life = Life {
                    id: rest[..22].to_owned(),
                    ..Life::default()
                };
                self.trace(|| format!("has session {}", life.id));
                return self.lives.lock().expect("nobody fails").push(life);
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Sends a message until it is done; false: there is no such session, of which others did not know yet.
    pub(super) async fn insist(&self, meta: &str, channel: usize) -> bool {
        let life = self.now();
        let id = self.life(life, |life| life.id.clone());
        let name = self.world.channels[channel].as_str();
        let text =
            format!(r#"{{"channel":"/meta/{meta}","clientId":"{id}","subscription":"{name}"}}"#);
        loop {
            let answer = self.somewhere(&text, &id).await;
            if answer.success().is_some() {
                return true;
            }
            if answer.is_unknown() && self.life(life, |life| life.promises.is_empty()) {
                return false;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Subscribes, until other nodes know of it: while Redis is away they cannot. It is false if there is no such
    /// session.
    async fn subscribe(&self, channel: usize) -> bool {
        let life = self.now();
        let id: ClientId = self.life(life, |life| life.id.parse().expect("an id"));
        let name = self.world.channels[channel].as_str();
        loop {
            if !self.insist("subscribe", channel).await {
                return false;
            }
            let record = self.world.redis.record(id);
            let subscriptions = record.map_or_else(Vec::new, |record| record.subscriptions());
            if subscriptions.iter().any(|own| own.as_str() == name) {
                break;
            }
            // A node that is cut off for long answers all the same: it cannot know that others are not.
            if !self.world.has_been_away() {
                self.fail("it is subscribed, and others do not know of it");
            }
            sleep(Duration::from_millis(500)).await;
        }
        let promise = Promise {
            channel,
            from: self.world.redis.last(),
            until: None,
        };
        self.trace(|| format!("is subscribed to {name}"));
        self.life(life, |life| life.promises.push(promise));
        true
    }

    async fn unsubscribe(&self, channel: usize) {
        let name = self.world.channels[channel].as_str();
        self.trace(|| format!("unsubscribes from {name}"));
        let published = self.world.redis.published();
        self.life(self.now(), |life| {
            let mut received = life.received.iter().rev();
            let number = received.find(|(own, _)| *own == channel);
            let number = number.map_or(0, |(_, number)| *number);
            let mut all = published.iter();
            let last = all.find(|(_, _, said)| *said == number);
            let last = last.map_or(0, |(id, ..)| *id);
            let mut open = life.promises.iter_mut().filter(|it| it.until.is_none());
            let promise = open.find(|it| it.channel == channel);
            promise.expect("it is subscribed").until = Some(last);
        });
        self.insist("unsubscribe", channel).await;
    }

    /// Ends its session.
    async fn leave(&self) {
        let life = self.now();
        let id = self.life(life, |life| {
            life.is_over = true;
            life.id.clone()
        });
        self.trace(|| format!("ends session {id}"));
        let text = format!(r#"{{"channel":"/meta/disconnect","clientId":"{id}"}}"#);
        loop {
            let answer = self.somewhere(&text, &id).await;
            let is_unknown =
                matches!(&answer, Answer::Replies(replies, _) if replies[0].contains("402::"));
            if is_unknown || answer.success().is_some() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Subscribes, unsubscribes, and begins anew, until the world has calmed down.
    async fn change_all(&self) {
        while !self.world.is_calm() {
            sleep(Duration::from_millis(500 + self.below(4000) as u64)).await;
            let own = self.life(self.now(), |life| life.channels());
            let others: Vec<_> = (0..self.world.channels.len())
                .filter(|channel| !own.contains(channel))
                .collect();
            match self.below(6) {
                0 if self.habits.leaves => {
                    self.leave().await;
                    self.begin().await;
                }
                1 | 2 if own.len() > 1 => self.unsubscribe(own[self.below(own.len())]).await,
                _ if !others.is_empty() => {
                    self.subscribe(others[self.below(others.len())]).await;
                }
                _ => {}
            }
        }
    }

    async fn receive_all(&self) {
        loop {
            if self.habits.uses_streams && self.below(3) > 0 {
                self.stream().await;
            } else {
                self.poll().await;
            }
        }
    }

    fn connect_text(&self, life: usize) -> (String, String) {
        let (id, last) = self.life(life, |life| (life.id.clone(), life.last));
        let ext = if self.habits.acknowledges {
            format!(r#","ext":{{"ack":{last}}}"#)
        } else {
            String::new()
        };
        let text = format!(r#"{{"channel":"/meta/connect","clientId":"{id}"{ext}}}"#);
        (text, id)
    }

    pub(super) async fn poll(&self) {
        let life = self.now();
        let (text, id) = self.connect_text(life);
        match self.somewhere(&text, &id).await {
            Answer::Replies(replies, events) => self.take(life, &replies, events).await,
            Answer::Failed => sleep(Duration::from_millis(200)).await,
        }
    }

    /// Takes what a reply has brought.
    async fn take(&self, life: usize, replies: &[String], events: Vec<(usize, u64)>) {
        self.receive(life, events);
        for reply in replies {
            if reply.contains(r#""reconnect":"handshake""#) || reply.contains("402::") {
                // It has ended it itself; that others do not know of a new one is no wonder.
                if self.life(life, |life| !life.is_over && !life.promises.is_empty()) {
                    self.fail(&format!("has to handshake again: {reply}"));
                    std::future::pending::<()>().await;
                }
                sleep(Duration::from_millis(100)).await;
            }
            if let Some((_, rest)) = reply.split_once(r#""ack":"#) {
                let digits = rest.split(|next: char| !next.is_ascii_digit()).next();
                if let Some(number) = digits.and_then(|digits| digits.parse().ok()) {
                    self.life(life, |life| life.last = number);
                }
            }
            if let Some((_, gap)) = reply.split_once(r#""gap":["#) {
                self.trace(|| format!("is told: {reply}"));
                self.take_gap(life, gap.split(']').next().unwrap_or_default());
            }
            let is_late = reply.contains(r#""interval":1000"#);
            if is_late || reply.contains(r#""successful":false"#) {
                sleep(Duration::from_millis(500)).await;
            }
        }
        self.life(life, |life| life.replies += 1);
    }

    fn take_gap(&self, life: usize, gap: &str) {
        if self.world.redis.is_calm {
            self.fail(&format!("is told of a gap: {gap}"));
        }
        let last = self.world.redis.last();
        for (channel, name) in self.world.channels.iter().enumerate() {
            if gap.contains(&format!("\"{}\"", name.as_str())) {
                self.life(life, |life| life.gaps.push((channel, last)));
            }
        }
    }

    pub(super) fn receive(&self, life: usize, events: Vec<(usize, u64)>) {
        if !events.is_empty() {
            self.trace(|| format!("receives {events:?}"));
        }
        self.life(life, |life| life.received.extend(events));
    }

    /// Opens a stream, such as a WebSocket, to any node, and leaves it after a while.
    async fn stream(&self) {
        let node = self.world.any(self.below(1000));
        let mut stream = Stream::opened(now());
        let life = self.now();
        let end = Instant::now() + Duration::from_millis(500 + self.below(5000) as u64);
        while Instant::now() < end && !node.gate.is_dead() && self.now() == life {
            let (text, _) = self.connect_text(life);
            let Some(mut outcome) = self.outcome(&node, &text, Some(&mut stream)).await else {
                break;
            };
            if let Some(mut held) = outcome.held.take() {
                let streamed = self.streamed(&node, &mut stream, &mut held, life, end);
                let Some((replies, numbers)) = streamed.await else {
                    break;
                };
                self.take(life, &replies, numbers).await;
            } else {
                let (replies, numbers) = self.taken(&node, &outcome);
                drop(outcome);
                self.take(life, &replies, numbers).await;
            }
        }
        node.gate.lives().await;
        drop(stream);
        sleep(Duration::from_millis(self.below(200) as u64)).await;
    }
}
