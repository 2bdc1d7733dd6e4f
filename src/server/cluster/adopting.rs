//! A session whose node is dead goes on here, with what that has written of it.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;

use super::super::core::Core;
use super::Cluster;
use super::locating::Located;
use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::{Claim, Owner};
use crate::operations::Revived;
use crate::session::{Asked, Decided, Deciding, From, Record, Run, Session};

/// Adopts a session, whose owner is dead, or is this node, which does not have it: it did not hear that its claim had
/// succeeded. Nothing if it has another owner meanwhile.
pub(super) async fn adopt(core: &Arc<Core>, id: ClientId, owner: Owner) -> Option<Located> {
    let cluster = core.cluster.as_ref()?;
    if core.sessions.find(id).is_some() {
        return Some(Located::Here);
    }
    let me = cluster.links.me;
    let registry = &cluster.links.registry;
    let is_given = owner.node == me;
    let claim = timeout(
        cluster.links.settings.call_timeout,
        registry.claim(id, owner, me, is_given),
    );
    let (generation, state) = match claim.await {
        Ok(Ok(Claim::Taken { generation, state })) => (generation, state),
        Ok(Ok(Claim::Gone)) => return Some(Located::Gone),
        Ok(Ok(Claim::Owned(_) | Claim::Alive)) => return None,
        Ok(Err(_)) | Err(_) => return Some(Located::Unknown),
    };
    cluster.owned.set(id, generation);
    let record = match Record::decode(&state) {
        // Its client asks for a new one from where it is, which it knows better.
        Ok(record) if record.is_of_event_stream() => None,
        Ok(record) => Some(record),
        Err(error) => {
            tracing::warn!(client_id = ?id, "a session of a dead node is passed over: {error}");
            None
        }
    };
    let is_here = match record {
        Some(record) => go_on(core, cluster, id, record).await,
        None => false,
    };
    if is_here {
        tracing::debug!(client_id = ?id, from = %owner.node, generation, "session adopted");
        core.shared.metrics.cluster.adopted.increment();
        return Some(Located::Here);
    }
    if let Some(ownership) = &core.shared.ownership {
        // Nobody else is to try.
        ownership.note_ended(id);
    }
    Some(Located::Gone)
}

/// Lets it go on; false if it has to end instead.
async fn go_on(core: &Arc<Core>, cluster: &Cluster, id: ClientId, record: Record) -> bool {
    let held = cluster.links.interest.hold(record.subscriptions());
    if let Some(settled) = cluster.links.interest.settled() {
        settled.await;
    }
    let taken = cluster.between(move |core, _| take_up(core, record)).await;
    drop(held);
    match taken {
        Ok(Some(run)) => {
            if let Some(run) = run {
                tokio::spawn(catch_up(Arc::clone(core), id, run));
            }
            true
        }
        Ok(None) | Err(_) => false,
    }
}

/// What it missed, while that is looked up, and of which channels and patterns.
type CatchingUp = (Deciding, Vec<ChannelPattern>);

/// Takes it up. What it missed of channels with history comes if its client acknowledges, from where it was; of
/// whatever else may be missing its client is told. Nothing: it has to end instead.
fn take_up(core: &Core, mut record: Record) -> Option<Option<CatchingUp>> {
    let scope = core.scope(Instant::now());
    let id = record.id;
    let position = record.adopt();
    let subscriptions = record.subscriptions();
    let acknowledges = record.acknowledges() && scope.history.store().is_some();
    let comes = |pattern: &&ChannelPattern| acknowledges && scope.router.replay(pattern).is_some();
    let again: Vec<_> = subscriptions.iter().filter(comes).cloned().collect();
    let is_lost = |pattern: &&ChannelPattern| !acknowledges || !scope.router.is_kept(pattern);
    let lost: Vec<_> = subscriptions.iter().filter(is_lost).cloned().collect();
    let mut number = None;
    let prepare = |session: &Arc<Session>| {
        session.note_gap(&lost);
        number = (!again.is_empty()).then(|| session.begin_replay_again(&again));
    };
    match scope.take_up_with(record, &mut Revived::default(), prepare) {
        Ok(true) => {}
        Ok(false) => return None,
        Err(error) => {
            tracing::warn!(client_id = ?id, "a session of a dead node is passed over: {error}");
            return None;
        }
    }
    Some(number.map(|number| {
        let asked = |pattern: &ChannelPattern| Asked {
            pattern: pattern.clone(),
            from: From::After(position, None),
            fails: false,
        };
        let asked = again.iter().map(asked).collect();
        let runs = vec![Run { number, asked }];
        (core.shared.replays.decide(id, runs, Vec::new()), again)
    }))
}

/// Tells its client of what it missed and cannot be had.
async fn catch_up(core: Arc<Core>, id: ClientId, (deciding, patterns): CatchingUp) {
    let lost = match deciding.await {
        Ok(Decided::Begun(found)) => found
            .into_iter()
            .filter(|found| found.missing.is_some())
            .map(|found| found.pattern)
            .collect(),
        Ok(Decided::Expired(..) | Decided::Failed(_)) | Err(_) => patterns,
    };
    if let Some(session) = core.sessions.find(id) {
        session.note_gap(&lost);
    }
}
