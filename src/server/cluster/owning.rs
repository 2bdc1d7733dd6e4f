//! Which sessions are this node's, and in which generation: what changes of them is written to the registry by one
//! task, in batches, so that another node can go on with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep};

use super::super::core::{Core, clocks};
use super::Cluster;
use super::head::head;
use crate::bayeux::ClientId;
use crate::cluster::Written;
use crate::history::Failed;
use crate::metrics::Notice;
use crate::session::{CHECKPOINT, Changes, EndReason, Ownership};

/// How long changes are gathered.
const DELAY: Duration = Duration::from_millis(5);
/// After which time what cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Sessions that are written at once.
const MOST: usize = 500;

/// Writes what changes, for ever; without a cluster there is nothing to do.
pub(in crate::server) async fn run(core: &Arc<Core>) {
    let Some((cluster, ownership)) = parts(core) else {
        return std::future::pending().await;
    };
    let mut checkpoint = interval(CHECKPOINT);
    checkpoint.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ownership.changed() => {
                sleep(DELAY).await;
                write_changes(core, cluster, ownership).await;
            }
            _ = checkpoint.tick() => ownership.hurry_acknowledged(),
        }
    }
}

/// Returns what there is of a cluster.
pub(super) fn parts(core: &Core) -> Option<(&Cluster, &Ownership)> {
    core.cluster.as_ref().zip(core.shared.ownership.as_deref())
}

async fn write_changes(core: &Core, cluster: &Cluster, ownership: &Ownership) {
    loop {
        let changes = ownership.take(MOST);
        if changes.is_empty() {
            return ownership.note_told(&changes);
        }
        if let Err(failed) = write(core, cluster, &changes).await {
            if let Some(permit) = core.shared.metrics.may_log(Notice::Session) {
                tracing::warn!(
                    suppressed = permit.suppressed,
                    "sessions cannot be written for other nodes: {failed}"
                );
            }
            ownership.give_back(changes);
            sleep(RETRY).await;
        } else {
            ownership.note_told(&changes);
        }
    }
}

/// Writes all that has changed, if that can be done at once.
///
/// # Errors
/// It cannot.
pub(super) async fn write_all(core: &Core) -> Result<(), Failed> {
    let Some((cluster, ownership)) = parts(core) else {
        return Ok(());
    };
    ownership.hurry_acknowledged();
    loop {
        let changes = ownership.take(MOST);
        if changes.is_empty() {
            return Ok(());
        }
        if let Err(failed) = write(core, cluster, &changes).await {
            ownership.give_back(changes);
            return Err(failed);
        }
    }
}

/// Writes a session if the others do not know of it, or not of what it is now.
///
/// # Errors
/// It cannot be written.
pub(super) async fn write_one(core: &Core, id: ClientId) -> Result<(), Failed> {
    let Some((cluster, ownership)) = parts(core) else {
        return Ok(());
    };
    if cluster.owned.written(id).is_some() && !ownership.is_changed(id) {
        return Ok(());
    }
    let changes = Changes {
        sessions: vec![id],
        ..Changes::default()
    };
    write(core, cluster, &changes).await
}

async fn write(core: &Core, cluster: &Cluster, changes: &Changes) -> Result<(), Failed> {
    let me = cluster.links.me;
    let registry = &cluster.links.registry;
    let sessions = changes.sessions.iter();
    begin(core, cluster, &changes.sessions).await?;
    let batch = sessions.filter_map(|id| written(core, cluster, *id));
    let batch: Vec<Written> = batch.collect();
    if !batch.is_empty() {
        let generations: Vec<_> = batch.iter().map(|one| (one.id, one.generation)).collect();
        let lost = registry.write(me, batch).await?;
        for (id, generation) in generations {
            let is_same = cluster.owned.generation(id) == generation;
            if !is_same {
                // It has gone and come back meanwhile.
            } else if lost.contains(&id) {
                let_go(core, cluster, id);
            } else {
                // If it has ended meanwhile it is removed next.
                cluster.owned.set(id, generation);
            }
        }
    }
    let ended = changes.ended.iter().copied();
    let ended: Vec<_> = ended
        .filter_map(|id| Some((id, cluster.owned.written(id)?)))
        .collect();
    if !ended.is_empty() {
        registry.remove(me, ended.clone()).await?;
        for (id, _) in ended {
            cluster.owned.remove(id);
        }
    }
    Ok(())
}

/// Finds since when the messages of new subscriptions come, so that who adopts their sessions does not read what was
/// before: what a node has heard last may be long ago.
async fn begin(core: &Core, cluster: &Cluster, sessions: &[ClientId]) -> Result<(), Failed> {
    let found = sessions.iter().filter_map(|id| {
        let session = core.sessions.find(*id)?;
        let patterns = session.beginning();
        (!patterns.is_empty()).then_some((session, patterns))
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Ok(());
    }
    if let Some(settled) = cluster.links.interest.settled() {
        settled.await;
    }
    let head = head(core).await?;
    let last = cluster.last_delivered();
    for (session, patterns) in found {
        session.have_begun(&patterns, head, last);
    }
    Ok(())
}

/// Makes what others are to know of a session; nothing of one that has ended, or is about to go.
fn written(core: &Core, cluster: &Cluster, id: ClientId) -> Option<Written> {
    let session = core.sessions.find(id)?;
    // First: all up to this is in the session by then.
    let last = cluster.last_delivered();
    let record = session.skeleton(clocks(), last)?;
    let state = record.encode().ok()?;
    Some(Written {
        id,
        generation: cluster.owned.generation(id),
        state,
        outlives: session.outlives(),
    })
}

/// Lets a session go that is another node's: its client comes back, and is sent there.
pub(super) fn let_go(core: &Core, cluster: &Cluster, id: ClientId) {
    cluster.owned.remove(id);
    if let Some(session) = core.sessions.find(id) {
        core.scope(Instant::now()).end(&session, EndReason::Moved);
    }
}
