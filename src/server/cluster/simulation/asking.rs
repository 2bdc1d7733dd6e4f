//! How a request of a client comes to a node, and what becomes of it there: as transports do it.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::client::{Answer, Client};
use super::{Node, World, now};
use crate::bayeux::{ClientId, Event, Message, Reply, Transport};
use crate::server::{Actor, HeldConnect, Located, Outcome, Request, Verdicts};
use crate::session::{EndReason, Resume, Session, Stream, StreamStep};

/// So many nodes in a row may say that they do not have a session.
const MAX_MOVES: usize = 6;

type Taken = (Vec<String>, Vec<(usize, u64)>);

impl Client {
    /// Sends a request to any node, which passes it on to the owner of the session.
    pub(super) async fn somewhere(&self, text: &str, id: &str) -> Answer {
        let node = self.world.any(self.below(1000));
        let id: ClientId = id.parse().expect("an id");
        let mut but = None;
        for _ in 0..MAX_MOVES {
            if !node.gate.lives().await || node.gate.is_closed() {
                return Answer::Failed;
            }
            if !is_absent(&node, text) {
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
                    if let Some(answer) = self.passed_on(&other, text, id).await {
                        return answer;
                    }
                    but = Some(other.id);
                }
            }
        }
        Answer::Failed
    }

    /// Has the owner of a session answer; nothing if it says that it is not.
    async fn passed_on(&self, owner: &Node, text: &str, id: ClientId) -> Option<Answer> {
        loop {
            if !owner.gate.lives().await {
                return Some(Answer::Failed);
            }
            if owner.server.is_cut() {
                return None;
            }
            if !is_absent(owner, text) {
                return Some(self.process(owner, text).await);
            }
            let arriving = owner.server.arriving(id)?;
            if owner.gate.unless_dead(arriving).await != Some(true) {
                return None;
            }
        }
    }

    /// Has a node do what a request asks.
    pub(super) async fn process(&self, node: &Node, text: &str) -> Answer {
        let Some(mut outcome) = self.outcome(node, text, None).await else {
            return Answer::Failed;
        };
        if let Some(mut held) = outcome.held.take() {
            return self.held(node, &mut held).await;
        }
        if outcome.in_flight.is_some() && self.world.redis.goes_wrong(20) {
            // The node sees that it cannot write.
            let events = std::mem::take(&mut outcome.events);
            if let Some(in_flight) = outcome.in_flight.take() {
                in_flight.give_back(events);
            }
            return Answer::Failed;
        }
        let (replies, numbers) = self.taken(node, &outcome);
        Answer::Replies(replies, numbers)
    }

    /// Returns what comes with an outcome.
    pub(super) fn taken(&self, node: &Node, outcome: &Outcome<'_>) -> Taken {
        if let Some(session) = outcome
            .session
            .as_ref()
            .filter(|_| !outcome.events.is_empty())
        {
            self.check_owner(node, session);
        }
        let replies = outcome.replies.iter().map(written).collect();
        (replies, numbers(&self.world, &outcome.events))
    }

    /// Processes a request; nothing if its connection breaks before it has an outcome.
    pub(super) async fn outcome(
        &self,
        node: &Node,
        text: &str,
        mut stream: Option<&mut Stream>,
    ) -> Option<Outcome<'static>> {
        let mut verdicts = Verdicts::default();
        loop {
            if !node.gate.lives().await || node.server.is_cut() {
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
                if !node.gate.lives().await || node.server.is_cut() {
                    return None;
                }
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
            .map_or(Answer::Failed, |(replies, numbers)| {
                Answer::Replies(replies, numbers)
            })
    }

    fn answered(
        &self,
        node: &Node,
        held: &HeldConnect,
        session: &Arc<Session>,
        resume: Resume,
    ) -> Option<Taken> {
        if node.server.is_cut() {
            return None;
        }
        let (taken, reply) = held.answer(resume)?;
        if !taken.events.is_empty() {
            self.check_owner(node, session);
        }
        let replies = vec![written(&reply)];
        if self.habits.acknowledges && self.world.redis.goes_wrong(20) {
            // It is lost behind the server's back.
            return None;
        }
        Some((replies, numbers(&self.world, &taken.events)))
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
            if timeout(left, node.gate.lives()).await != Ok(true) || node.server.is_cut() {
                return None;
            }
            let resumed = poll_fn(|context| {
                if node.gate.is_frozen() || node.gate.is_dead() {
                    return Poll::Pending;
                }
                held.poll_resumed(now, context)
            });
            let left = patience.saturating_duration_since(Instant::now());
            let resumed = async {
                tokio::select! {
                    biased;
                    resume = resumed => Some(resume),
                    () = node.gate.halts() => None,
                }
            };
            match timeout(left, resumed).await {
                Ok(Some(resume)) => return Some(resume),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }

    /// Receives by a stream while a connect is held, until it is answered; nothing if the stream is over.
    pub(super) async fn streamed(
        &self,
        node: &Node,
        stream: &mut Stream,
        held: &mut HeldConnect,
        life: usize,
        end: Instant,
    ) -> Option<Taken> {
        let session = Arc::clone(held.session());
        loop {
            if !node.gate.lives().await || Instant::now() >= end || node.server.is_cut() {
                held.release(now());
                return None;
            }
            let next = poll_fn(|context| {
                if node.gate.is_frozen() || node.gate.is_dead() {
                    return Poll::Pending;
                }
                if let Poll::Ready(step) = stream.poll(100_000, context) {
                    return Poll::Ready(Ok(step));
                }
                held.poll_resumed(now, context).map(Err)
            });
            let left = end.saturating_duration_since(Instant::now());
            let next = tokio::select! {
                biased;
                next = next => next,
                () = node.gate.halts() => continue,
                () = sleep(left) => continue,
            };
            match next {
                Ok(StreamStep::Events { events, .. }) => {
                    self.check_owner(node, &session);
                    self.receive(life, numbers(&self.world, &events));
                }
                Ok(StreamStep::Displaced | StreamStep::Ended(EndReason::Moved)) => {
                    return None;
                }
                Ok(StreamStep::Ended(reason)) => {
                    if !self.life(life, |life| life.is_over) {
                        self.fail(&format!("its session has ended: {reason:?}"));
                    }
                    return None;
                }
                Err(resume) => return self.answered(node, held, &session, resume),
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

fn is_absent(node: &Node, text: &str) -> bool {
    let message: Message<'_> = serde_json::from_str(text).expect("a message");
    let absent = node.server.absent(std::slice::from_ref(&message));
    absent.is_some()
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
            .position(|name| name.as_str() == event.channel())?;
        let json = std::str::from_utf8(event.json()).expect("UTF-8");
        let (_, data) = json.split_once(r#""data":"#)?;
        let digits = data.split(|next: char| !next.is_ascii_digit()).next()?;
        Some((channel, digits.parse().ok()?))
    };
    events.iter().filter_map(number).collect()
}
