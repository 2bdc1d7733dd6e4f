//! Clients that go from node to node, and what they have received.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{Chance, Node, World, now};
use crate::bayeux::{ClientId, Event, Message, Reply, Transport};
use crate::server::{Actor, HeldConnect, Located, Outcome, Request, Verdicts};
use crate::session::{EndReason, Resume, Session, Stream, StreamStep};

/// What a client has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Channel and number of all that it has received.
    pub(super) received: Vec<(usize, u64)>,
    /// What it is subscribed to: a channel, and the number in Redis when it knew.
    pub(super) subscribed: Vec<(usize, u64)>,
    /// Where it was told that something may be missing: a channel, and the number in Redis then.
    pub(super) gaps: Vec<(usize, u64)>,
    pub(super) replies: usize,
}

pub(super) struct Client {
    pub(super) name: usize,
    pub(super) acknowledges: bool,
    pub(super) uses_streams: bool,
    pub(super) world: Arc<World>,
    pub(super) seen: Mutex<Seen>,
    chance: Mutex<Chance>,
    id: Mutex<String>,
    last: Mutex<u64>,
}

/// What a request led to.
enum Answer {
    /// It was answered: the replies, and the numbers that came with them.
    Replies(Vec<String>, Vec<(usize, u64)>),
    /// It was not.
    Failed,
}

impl Client {
    pub(super) fn new(world: &Arc<World>, name: usize, acknowledges: bool, streams: bool) -> Self {
        Self {
            name,
            acknowledges,
            uses_streams: streams,
            world: Arc::clone(world),
            seen: Mutex::default(),
            chance: Mutex::new(Chance::of(world.seed * 100 + name as u64)),
            id: Mutex::default(),
            last: Mutex::new(0),
        }
    }

    fn below(&self, bound: usize) -> usize {
        self.chance.lock().expect("nobody fails").below(bound)
    }

    fn id(&self) -> String {
        self.id.lock().expect("nobody fails").clone()
    }

    pub(super) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().expect("nobody fails"))
    }

    fn fail(&self, what: &str) {
        self.world.fail(format!("client {}: {what}", self.name));
    }

    /// Handshakes, subscribes, and receives for ever.
    pub(super) async fn run(&self) {
        self.handshake().await;
        let channels = self.world.channels.len();
        let first = self.below(channels);
        for channel in [first, (first + 1 + self.below(channels - 1)) % channels] {
            self.subscribe(channel).await;
        }
        loop {
            if self.uses_streams && self.below(3) > 0 {
                self.stream().await;
            } else {
                self.poll().await;
            }
        }
    }

    async fn handshake(&self) {
        let ext = format!(r#"{{"ack":{}}}"#, self.acknowledges);
        let text = format!(r#"{{"channel":"/meta/handshake","version":"1.0","ext":{ext}}}"#);
        loop {
            let node = self.world.any(self.below(1000));
            if let Answer::Replies(replies, _) = self.process(&node, &text).await {
                let (_, rest) = replies[0].split_once(r#""clientId":""#).expect("an id");
                *self.id.lock().expect("nobody fails") = rest[..22].to_owned();
                return;
            }
        }
    }

    async fn subscribe(&self, channel: usize) {
        let name = self.world.channels[channel].0.as_str();
        let id = self.id();
        let text =
            format!(r#"{{"channel":"/meta/subscribe","clientId":"{id}","subscription":"{name}"}}"#);
        loop {
            if let Answer::Replies(replies, _) = self.somewhere(&text).await
                && replies[0].contains(r#""successful":true"#)
            {
                let last = self.world.redis.last();
                return self.seen(|seen| seen.subscribed.push((channel, last)));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn connect_text(&self) -> String {
        let id = self.id();
        let ext = if self.acknowledges {
            let last = *self.last.lock().expect("nobody fails");
            format!(r#","ext":{{"ack":{last}}}"#)
        } else {
            String::new()
        };
        format!(r#"{{"channel":"/meta/connect","clientId":"{id}"{ext}}}"#)
    }

    async fn poll(&self) {
        let text = self.connect_text();
        match self.somewhere(&text).await {
            Answer::Replies(replies, events) => self.take(&replies, events).await,
            Answer::Failed => sleep(Duration::from_millis(200)).await,
        }
    }

    /// Takes what a reply has brought.
    async fn take(&self, replies: &[String], events: Vec<(usize, u64)>) {
        self.receive(events);
        for reply in replies {
            if reply.contains(r#""reconnect":"handshake""#) {
                self.fail(&format!("has to handshake again: {reply}"));
                std::future::pending::<()>().await;
            }
            if let Some((_, rest)) = reply.split_once(r#""ack":"#) {
                let digits = rest.split(|next: char| !next.is_ascii_digit()).next();
                if let Some(number) = digits.and_then(|digits| digits.parse().ok()) {
                    *self.last.lock().expect("nobody fails") = number;
                }
            }
            if let Some((_, gap)) = reply.split_once(r#""gap":["#) {
                let gap = gap.split(']').next().unwrap_or_default();
                let last = self.world.redis.last();
                let name = self.name;
                self.world
                    .redis
                    .trace(|| format!("client {name} is told: {reply}"));
                for (channel, (name, _)) in self.world.channels.iter().enumerate() {
                    if gap.contains(&format!("\"{}\"", name.as_str())) {
                        self.seen(|seen| seen.gaps.push((channel, last)));
                    }
                }
            }
            let is_late = reply.contains(r#""interval":1000"#);
            if is_late || reply.contains(r#""successful":false"#) {
                sleep(Duration::from_millis(500)).await;
            }
        }
        self.seen(|seen| seen.replies += 1);
    }

    fn receive(&self, events: Vec<(usize, u64)>) {
        if !events.is_empty() {
            let name = self.name;
            self.world
                .redis
                .trace(|| format!("client {name} receives {events:?}"));
        }
        self.seen(|seen| seen.received.extend(events));
    }

    /// Sends a request to any node, which passes it on to the owner of the session.
    async fn somewhere(&self, text: &str) -> Answer {
        let node = self.world.any(self.below(1000));
        let id: ClientId = self.id().parse().expect("an id");
        let mut but = None;
        for _ in 0..6 {
            if !node.gate.lives().await {
                return Answer::Failed;
            }
            let message: Message<'_> = serde_json::from_str(text).expect("a message");
            if node.server.absent(std::slice::from_ref(&message)).is_none() {
                return self.process(&node, text).await;
            }
            let located = node.gate.unless_dead(node.server.locate(id, but)).await;
            match located.unwrap_or(Located::Unknown) {
                Located::Here | Located::Gone => return self.process(&node, text).await,
                Located::Unknown => return Answer::Failed,
                Located::At(other) => {
                    let Some(other) = self.world.node(other).filter(|it| !it.gate.is_dead()) else {
                        return Answer::Failed;
                    };
                    sleep(Duration::from_micros(500)).await;
                    if !other.gate.lives().await {
                        return Answer::Failed;
                    }
                    if other
                        .server
                        .absent(std::slice::from_ref(&message))
                        .is_none()
                    {
                        return self.process(&other, text).await;
                    }
                    but = Some(other.id);
                }
            }
        }
        Answer::Failed
    }

    /// Has a node do what a request asks.
    async fn process(&self, node: &Node, text: &str) -> Answer {
        let Some(mut outcome) = self.outcome(node, text, None).await else {
            return Answer::Failed;
        };
        if let Some(mut held) = outcome.held.take() {
            return self.held(node, &mut held).await;
        }
        let replies: Vec<String> = outcome.replies.iter().map(written).collect();
        let tells = replies.iter().any(|reply| reply.contains("\"gap\""));
        let has_failed = outcome.in_flight.is_some() && !tells && self.below(20) == 0;
        if has_failed {
            // The node sees that it cannot write.
            let events = std::mem::take(&mut outcome.events);
            if let Some(in_flight) = outcome.in_flight.take() {
                in_flight.give_back(events);
            }
            return Answer::Failed;
        }
        if let Some(session) = &outcome.session
            && !outcome.events.is_empty()
        {
            self.check_owner(node, session);
        }
        Answer::Replies(replies, numbers(&self.world, &outcome.events))
    }

    async fn outcome(
        &self,
        node: &Node,
        text: &str,
        mut stream: Option<&mut Stream>,
    ) -> Option<Outcome<'static>> {
        let mut verdicts = Verdicts::default();
        loop {
            if !node.gate.lives().await {
                return None;
            }
            let mut batch = [serde_json::from_str::<Message<'_>>(text).expect("a message")];
            let mut request = Request {
                actor: Actor {
                    may_be_held: true,
                    is_request: stream.is_none(),
                    transport: Some(Transport::LongPolling),
                    ..Actor::default()
                },
                is_client_gone: &|| false,
                delivers_on_publish: false,
                stream: stream.as_deref_mut(),
                aside: |work| work(),
                needs_own_handshake: false,
                admitted: verdicts,
            };
            let admission = node.server.admission(&batch, &mut request, now());
            if let Some(admission) = admission {
                drop(request);
                let bound = Duration::from_secs(30);
                let admission = node.gate.unless_dead(admission);
                verdicts = match timeout(bound, admission).await {
                    Ok(Some(verdicts)) => verdicts,
                    Ok(None) => return None,
                    Err(_) => {
                        self.fail("an admission hangs");
                        return None;
                    }
                };
                continue;
            }
            let Outcome {
                session,
                events,
                in_flight,
                replies,
                held,
                unsettled,
                ..
            } = node.server.process(&mut batch, request, now());
            if let Some(settlement) = unsettled {
                let settled = node.gate.unless_dead(*settlement).await?;
                return Some(node.server.conclude(settled, &|| false, None, now()));
            }
            let mut outcome = Outcome::of(session);
            outcome.events = events;
            outcome.in_flight = in_flight;
            outcome.held = held;
            outcome.replies = replies.into_iter().map(Reply::into_owned).collect();
            return Some(outcome);
        }
    }

    async fn held(&self, node: &Node, held: &mut HeldConnect) -> Answer {
        let patience = Instant::now() + Duration::from_millis(2000 + self.below(4000) as u64);
        let resumed = self.resumed(node, held, patience).await;
        let Some(resume) = resumed else {
            if node.gate.lives().await {
                held.release(now());
            }
            return Answer::Failed;
        };
        let session = Arc::clone(held.session());
        self.answered(node, held, &session, resume)
    }

    fn answered(
        &self,
        node: &Node,
        held: &HeldConnect,
        session: &Arc<Session>,
        resume: Resume,
    ) -> Answer {
        let Some((taken, reply)) = held.answer(resume) else {
            return Answer::Failed;
        };
        if !taken.events.is_empty() {
            self.check_owner(node, session);
        }
        let replies = vec![written(&reply)];
        if self.acknowledges && self.below(20) == 0 {
            // It is lost behind the server's back.
            return Answer::Failed;
        }
        Answer::Replies(replies, numbers(&self.world, &taken.events))
    }

    /// Waits until a held connect is resumed; nothing if the client loses patience, or the node is dead.
    async fn resumed(
        &self,
        node: &Node,
        held: &mut HeldConnect,
        patience: Instant,
    ) -> Option<Resume> {
        loop {
            let left = patience.saturating_duration_since(Instant::now());
            if timeout(left, node.gate.lives()).await != Ok(true) {
                return None;
            }
            let resumed = poll_fn(|context| {
                if node.gate.is_frozen() || node.gate.is_dead() {
                    return Poll::Ready(None);
                }
                held.poll_resumed(now, context).map(Some)
            });
            let left = patience.saturating_duration_since(Instant::now());
            // It is looked at now and then, whether the node lives.
            match timeout(left.min(Duration::from_millis(100)), resumed).await {
                Ok(Some(resume)) => return Some(resume),
                Ok(None) => {}
                Err(_) if Instant::now() >= patience => return None,
                Err(_) => {}
            }
        }
    }

    /// Opens a stream, such as a WebSocket, to any node, and leaves it after a while.
    async fn stream(&self) {
        let node = self.world.any(self.below(1000));
        let mut stream = Stream::opened(now());
        let end = Instant::now() + Duration::from_millis(500 + self.below(5000) as u64);
        while Instant::now() < end && !node.gate.is_dead() {
            let text = self.connect_text();
            let Some(mut outcome) = self.outcome(&node, &text, Some(&mut stream)).await else {
                break;
            };
            let replies: Vec<String> = outcome.replies.iter().map(written).collect();
            let Some(mut held) = outcome.held.take() else {
                if let Some(session) = outcome
                    .session
                    .as_ref()
                    .filter(|_| !outcome.events.is_empty())
                {
                    self.check_owner(&node, session);
                }
                let numbers = numbers(&self.world, &outcome.events);
                drop(outcome);
                self.take(&replies, numbers).await;
                continue;
            };
            if !self.streamed(&node, &mut stream, &mut held, end).await {
                break;
            }
        }
        node.gate.lives().await;
        drop(stream);
        sleep(Duration::from_millis(self.below(200) as u64)).await;
    }

    /// Receives by a stream while a connect is held; false if the stream is over.
    async fn streamed(
        &self,
        node: &Node,
        stream: &mut Stream,
        held: &mut HeldConnect,
        end: Instant,
    ) -> bool {
        let session = Arc::clone(held.session());
        loop {
            if !node.gate.lives().await || Instant::now() >= end {
                held.release(now());
                return false;
            }
            let next = poll_fn(|context| {
                if node.gate.is_frozen() || node.gate.is_dead() {
                    return Poll::Ready(None);
                }
                if let Poll::Ready(step) = stream.poll(100_000, context) {
                    return Poll::Ready(Some(Ok(step)));
                }
                held.poll_resumed(now, context)
                    .map(|resume| Some(Err(resume)))
            });
            match timeout(Duration::from_millis(100), next).await {
                Ok(Some(Ok(StreamStep::Events { events, .. }))) => {
                    self.check_owner(node, &session);
                    self.receive(numbers(&self.world, &events));
                }
                Ok(Some(Ok(StreamStep::Displaced | StreamStep::Ended(EndReason::Moved)))) => {
                    return false;
                }
                Ok(Some(Ok(StreamStep::Ended(reason)))) => {
                    self.fail(&format!("its session has ended: {reason:?}"));
                    return false;
                }
                Ok(Some(Err(resume))) => {
                    if let Answer::Replies(replies, numbers) =
                        self.answered(node, held, &session, resume)
                    {
                        self.take(&replies, numbers).await;
                    }
                    return true;
                }
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// What gives events to a client has to own its session.
    fn check_owner(&self, node: &Node, session: &Session) {
        if let Some(owner) = self.world.redis.owner(session.id())
            && owner.node != node.id
        {
            self.fail(&format!(
                "{} delivers, and {} owns the session",
                node.id, owner.node
            ));
        }
    }
}

fn written(reply: &Reply<'_>) -> String {
    let mut json = Vec::new();
    reply.write(&mut json);
    String::from_utf8(json).expect("UTF-8")
}

/// Returns the channels and numbers of events.
fn numbers(world: &World, events: &[Arc<Event>]) -> Vec<(usize, u64)> {
    let number = |event: &Arc<Event>| {
        let channels = &world.channels;
        let channel = channels
            .iter()
            .position(|(name, _)| name.as_str() == event.channel())?;
        let json = std::str::from_utf8(event.json()).expect("UTF-8");
        let (_, data) = json.split_once(r#""data":"#)?;
        let digits = data.split(|next: char| !next.is_ascii_digit()).next()?;
        Some((channel, digits.parse().ok()?))
    };
    events.iter().filter_map(number).collect()
}
