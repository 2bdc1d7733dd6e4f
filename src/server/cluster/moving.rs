//! A session goes from one node that lives to another, to which its client has opened a stream: both sides.
//!
//! The new node has all come to it that the session is subscribed to, before the old one, which has delivered all that
//! was published until then, makes its record. What was published since is known to the new one by its number: it
//! is neither lost nor repeated. The old one keeps the session, and gives nothing to its client, until the new one
//! has claimed it in the registry; if it does not, the old one claims it back, which the other's claim then fails on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::super::core::{Core, clocks};
use super::Cluster;
use super::Located;
use super::Recent;
use super::adopting::{Missed, Missing};
use super::calls::{Given, TakeAnswer, TakeCall, decode, encode};
use super::head::head;
use super::leaving::Departure;
use super::locating::locate;
use super::owning::{let_go, write_one};
use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::{CallKind, Claim, NodeId, Owner};
use crate::operations::Revived;
use crate::session::{Asker, Record, Session};

/// How often a node asks anew because a session's subscriptions have changed.
const TRIES: usize = 5;
/// How long what is on its way to a client is waited for, and how often it is looked at.
const QUIET: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(5);
/// After which time a question to the registry is asked again, and how often if a session hangs on it.
const RETRY: Duration = Duration::from_millis(200);
const MANY: usize = 300;

/// What became of an attempt to have a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    /// It is here.
    Here,
    /// It is at another node.
    At(NodeId),
    /// There is no such session.
    Gone,
    /// It cannot be had now.
    NotNow,
}

/// Has a session that another node has.
pub(super) async fn take(core: &Arc<Core>, id: ClientId, from: NodeId) -> Took {
    let Some(cluster) = &core.cluster else {
        return Took::Gone;
    };
    let attempt = attempt();
    let mut held = None;
    for _ in 0..TRIES {
        let ready = held
            .as_ref()
            .map_or_else(Vec::new, |held: &crate::cluster::Held| {
                held.patterns().to_vec()
            });
        let call = encode(&TakeCall::Have { id, attempt, ready });
        let bound = cluster.links.settings.call_timeout;
        let answer = timeout(bound, cluster.links.peers.call(from, CallKind::Take, call)).await;
        let Ok(Ok(answer)) = answer else {
            return Took::NotNow;
        };
        match decode(&answer) {
            Ok(TakeAnswer::Needs(patterns)) => {
                // Those of before are held until then.
                held = Some(cluster.links.interest.hold(patterns));
                if let Some(settled) = cluster.links.interest.settled() {
                    settled.await;
                }
                // While Redis is away nothing comes, whatever is wanted.
                let stands = timeout(bound, cluster.after_all(|_, _| ())).await;
                if !matches!(stands, Ok(Ok(()))) {
                    return Took::NotNow;
                }
            }
            Ok(TakeAnswer::Given(given)) => return arrive(core, cluster, from, given).await,
            Ok(TakeAnswer::At(node)) => return Took::At(node),
            Ok(TakeAnswer::Gone) => return Took::Gone,
            Ok(TakeAnswer::Later | TakeAnswer::Noted | TakeAnswer::Denied) | Err(_) => {
                return Took::NotNow;
            }
        }
    }
    Took::NotNow
}

fn attempt() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_le_bytes(bytes)
}

/// Claims a session that another node gives, and lets it go on here.
async fn arrive(core: &Arc<Core>, cluster: &Cluster, from: NodeId, given: Given) -> Took {
    let Ok(record) = given.record() else {
        return Took::NotNow;
    };
    let id = record.id;
    let owner = Owner {
        node: from,
        generation: given.generation,
    };
    let arriving = cluster
        .leaving
        .arriving(cluster.links.me, std::iter::once(id));
    let Some(generation) = claim(cluster, id, owner).await else {
        return Took::NotNow;
    };
    cluster.owned.set(id, generation);
    let at = given.at;
    let taken = cluster
        .between(move |core, recent| take_up(core, record, at, recent))
        .await;
    drop(arriving);
    let call = encode(&TakeCall::Took { id });
    let told = Arc::clone(core);
    tokio::spawn(async move {
        if let Some(cluster) = &told.cluster {
            // Else it asks the registry in a while.
            let _ = cluster.links.peers.call(from, CallKind::Take, call).await;
        }
    });
    if let Ok(Some(missed)) = taken {
        if let Some(missed) = missed {
            tokio::spawn(missed.told(Arc::clone(core), id));
        }
        tracing::debug!(client_id = ?id, %from, generation, "session moved here");
        core.shared.metrics.cluster.moved.increment();
        Took::Here
    } else {
        if let Some(ownership) = &core.shared.ownership {
            ownership.note_ended(id);
        }
        Took::Gone
    }
}

/// Claims a session that its owner has given; it asks until it knows, as what the session has is here alone. Nothing:
/// the owner has taken it back.
pub(super) async fn claim(cluster: &Cluster, id: ClientId, owner: Owner) -> Option<u64> {
    let me = cluster.links.me;
    for _ in 0..MANY {
        match cluster.links.registry.claim(id, owner, me, true).await {
            Ok(Claim::Taken { generation, .. }) => return Some(generation),
            // An answer was lost.
            Ok(Claim::Owned(now)) if now.node == me && now.generation == owner.generation + 1 => {
                return Some(now.generation);
            }
            Ok(Claim::Owned(_) | Claim::Alive | Claim::Gone) => return None,
            Err(_) => sleep(RETRY).await,
        }
    }
    None
}

/// Takes a session up that has got all messages up to `at`, and offers it what came since; or has looked up what
/// is not remembered of that. Nothing: it has to end.
pub(super) fn take_up(
    core: &Core,
    record: Record,
    at: u64,
    recent: &Recent,
) -> Option<Option<Missed>> {
    let scope = core.scope(Instant::now());
    let id = record.id;
    if core.sessions.find(id).is_some() {
        // It was given twice, as an answer was lost.
        return Some(None);
    }
    let subscriptions = record.subscriptions();
    let mut missing = None;
    let prepare = |session: &Arc<Session>| {
        session.set_floor(at);
        let Some(since) = recent.after(at) else {
            // All up to now comes from there, if it comes.
            session.set_floor(recent.last());
            missing = Some(Missing::of(session, &subscriptions, at, true, &scope));
            return;
        };
        for (channel, event) in since {
            if subscriptions.iter().any(|pattern| pattern.matches(channel)) {
                let lazy = scope.delivery(channel).lazy;
                // If there is no room it is told when the next comes.
                let _ = session.deliver(event, lazy, || scope.now);
            }
        }
    };
    match scope.take_up_with(record, &mut Revived::default(), prepare) {
        Ok(true) => Some(missing.and_then(|missing: Missing| missing.look_up(id, core))),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(client_id = ?id, "a session of another node is passed over: {error}");
            None
        }
    }
}

/// Answers another node that asks for a session, or says that one has arrived.
pub(super) async fn answer(core: Arc<Core>, from: NodeId, body: Bytes) -> Result<Bytes, String> {
    let Some(cluster) = &core.cluster else {
        return Err("there is no cluster".to_owned());
    };
    match decode(&body)? {
        TakeCall::Have { id, attempt, ready } => {
            let giving = Arc::clone(&core);
            let ready = ready.into_iter().collect();
            // To its end, even if the other does not wait for it.
            let given = tokio::spawn(async move { give(&giving, from, id, attempt, ready).await });
            given.await.map_err(|_| "it has failed".to_owned())
        }
        TakeCall::May { id, asker } => {
            let session = core.sessions.find(id);
            let may = session.map(|session| Asker::from(asker).may_use(&session, Instant::now()));
            Ok(encode(&match (may, cluster.moved.find(id)) {
                (Some(false), _) => TakeAnswer::Denied,
                (None, Some(node)) if node != from => TakeAnswer::At(node),
                (Some(true) | None, _) => TakeAnswer::Noted,
            }))
        }
        TakeCall::Took { id } => {
            if let Some(departure) = cluster.leaving.find(id).filter(|way| way.to == from) {
                departure.arrived.notify_one();
            }
            Ok(encode(&TakeAnswer::Noted))
        }
    }
}

async fn give(
    core: &Arc<Core>,
    to: NodeId,
    id: ClientId,
    attempt: u64,
    ready: HashSet<ChannelPattern>,
) -> Bytes {
    let later = encode(&TakeAnswer::Later);
    let Some(cluster) = &core.cluster else {
        return later;
    };
    let departure = cluster.leaving.find(id);
    if let Some(again) = departure.and_then(|departure| departure.again(to, attempt)) {
        return again;
    }
    match locate(core, id, Some(to)).await {
        Located::Here => {}
        Located::At(node) => return encode(&TakeAnswer::At(node)),
        Located::Gone => return encode(&TakeAnswer::Gone),
        Located::Unknown => return later,
    }
    let Some(session) = core.sessions.find(id) else {
        return later;
    };
    let subscriptions = session.subscriptions();
    if !subscriptions.iter().all(|pattern| ready.contains(pattern)) {
        return encode(&TakeAnswer::Needs(subscriptions));
    }
    let Some(departure) = cluster.leaving.begin(id, to, attempt) else {
        return later;
    };
    match part(core, cluster, id, ready).await {
        Some(given) => {
            let generation = given.generation;
            let answer = encode(&TakeAnswer::Given(given));
            departure.note_given(Bytes::clone(&answer));
            let core = Arc::clone(core);
            tokio::spawn(async move { see_off(&core, id, generation, &departure).await });
            answer
        }
        None => {
            stay(core, cluster, id);
            later
        }
    }
}

/// Makes the record of a session, which gives nothing to its client from now on. Nothing: it cannot go.
async fn part(
    core: &Arc<Core>,
    cluster: &Cluster,
    id: ClientId,
    ready: HashSet<ChannelPattern>,
) -> Option<Given> {
    let session = core.sessions.find(id)?;
    session.cut();
    let end = tokio::time::Instant::now() + QUIET;
    while !session.is_quiet() && tokio::time::Instant::now() < end {
        sleep(LOOK).await;
    }
    if session.is_deciding() {
        return None;
    }
    let bound = cluster.links.settings.call_timeout;
    // Only what the others know of can be claimed.
    timeout(bound, write_one(core, id)).await.ok()?.ok()?;
    if let Some(told) = core.shared.ownership.as_ref()?.settled() {
        // Another task may be writing it: what comes after the claim is refused.
        timeout(bound, told).await.ok()?;
    }
    let generation = cluster.owned.written(id)?;
    // What was published before the session had subscribed to it is none of its own.
    let head = timeout(bound, head(core)).await.ok()?.ok()?;
    let record = cluster.after_all(move |core, recent| {
        let is_ours = core.shared.ownership.as_ref()?.holds();
        let session = core.sessions.find(id).filter(|_| is_ours)?;
        let mut subscriptions = session.subscriptions().into_iter();
        let is_ready = subscriptions.all(|pattern| ready.contains(&pattern));
        let record = session.record(clocks()).ok()??;
        is_ready.then(|| (record, session.has_all_up_to(recent.last().max(head))))
    });
    let (record, at) = timeout(bound, record).await.ok()?.ok()??;
    Given::of(&record, generation, at).ok()
}

/// Waits until a session has arrived at another node, or else takes it back.
async fn see_off(core: &Arc<Core>, id: ClientId, generation: u64, departure: &Departure) {
    let Some(cluster) = &core.cluster else {
        return;
    };
    let me = cluster.links.me;
    let bound = cluster.links.settings.call_timeout;
    if timeout(bound, departure.arrived.notified()).await.is_ok() {
        return left(core, cluster, id, departure.to);
    }
    let owner = Owner {
        node: me,
        generation,
    };
    loop {
        match cluster.links.registry.claim(id, owner, me, true).await {
            Ok(Claim::Taken { generation, .. }) => {
                cluster.owned.set(id, generation);
                return stay(core, cluster, id);
            }
            Ok(Claim::Owned(now)) if now.node == me => {
                cluster.owned.set(id, now.generation);
                return stay(core, cluster, id);
            }
            Ok(Claim::Owned(now)) => return left(core, cluster, id, now.node),
            Ok(Claim::Gone) => match core.sessions.find(id) {
                // Redis has lost it, and is told anew. If it has arrived and ended meanwhile, it expires here.
                Some(session) => {
                    session.note_change();
                    sleep(RETRY).await;
                }
                None => return left(core, cluster, id, departure.to),
            },
            Ok(Claim::Alive) | Err(_) => sleep(RETRY).await,
        }
    }
}

/// Lets a session go that is at another node.
fn left(core: &Core, cluster: &Cluster, id: ClientId, to: NodeId) {
    cluster.moved.note(id, to);
    let_go(core, cluster, id);
    cluster.leaving.end(id);
}

/// Lets a session go on here that could not go.
fn stay(core: &Core, cluster: &Cluster, id: ClientId) {
    if let Some(session) = core.sessions.find(id) {
        session.mend();
    }
    cluster.leaving.end(id);
}
