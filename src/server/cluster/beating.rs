//! This node tells the others that it lives, hears which others do, and finds out what it has lost while it did not.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::super::BayeuxServer;
use super::super::core::Core;
use super::owning::{let_go, parts};
use super::{Cluster, occupying, orphans, sharing};
use crate::cluster::{Beat, NodeInfo, NodeState};
use crate::history::Failed;
use crate::metrics::Notice;
use crate::session::Ownership;

/// A heartbeat comes at least so often before the node counts as dead.
const BEATS: u32 = 5;
/// How long it takes at least until a heartbeat that somebody asks for.
const GAP: Duration = Duration::from_millis(50);
/// Sessions that are asked about at once.
const MOST: usize = 1000;

impl BayeuxServer {
    /// Returns the nodes of the cluster that live, as the last heartbeat has told; none without a cluster.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeInfo> {
        let cluster = self.core.cluster.as_ref();
        cluster.map_or_else(Vec::new, |cluster| cluster.nodes.alive())
    }

    /// Tells the others that this node lives, and where they reach it, for ever; without a cluster there is nothing
    /// to do.
    pub async fn beat(&self, address: String) {
        let core = Arc::clone(&self.core);
        let Some((cluster, _)) = parts(&core) else {
            return std::future::pending().await;
        };
        let every = cluster.links.settings.node_timeout / BEATS;
        let mut beats = interval(every.clamp(Duration::from_millis(10), Duration::from_secs(1)));
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut burying = JoinSet::new();
        loop {
            while burying.try_join_next().is_some() {}
            tokio::select! {
                _ = beats.tick() => {}
                () = cluster.leaves.notified() => {}
                () = cluster.nodes.asked() => sleep(GAP).await,
            }
            if let Err(failed) = beat(&core, &address, &mut burying).await
                && let Some(permit) = core.shared.metrics.may_log(Notice::Session)
            {
                let suppressed = permit.suppressed;
                tracing::warn!(
                    suppressed,
                    "other nodes do not hear that this one lives: {failed}"
                );
            }
        }
    }
}

async fn beat(core: &Arc<Core>, address: &str, burying: &mut JoinSet<()>) -> Result<(), Failed> {
    let Some((cluster, ownership)) = parts(core) else {
        return Ok(());
    };
    let me = NodeInfo {
        id: cluster.links.me,
        address: address.to_owned(),
        state: if core.shared.reconnects.is_stopping() {
            NodeState::Leaving
        } else {
            NodeState::Ready
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let was_owned = ownership.lease.holds(Instant::now().into_std());
    let mut sent = Instant::now();
    let mut beat = tell(cluster, me.clone()).await?;
    if beat.was_dead {
        ownership.lease.end();
        tracing::warn!("the others took this node for dead");
    }
    cluster.links.peers.know(&beat.alive);
    for node in cluster.nodes.note(beat.alive, Instant::now().into_std()) {
        tracing::info!(node = %node.id, address = node.address, "a node of the cluster lives");
    }
    // Who could not tell that it lives may have been dead, whatever it has heard of that.
    if beat.was_dead || !was_owned {
        let_go_of_lost(core, cluster).await?;
        // What is written of the others may be lost, or about to expire.
        for session in core.sessions.all() {
            session.note_change();
        }
        occupying::tell_again(core);
        sharing::tell_again(core);
        // That may have taken long.
        sent = Instant::now();
        beat = tell(cluster, me).await?;
        if beat.was_dead {
            return Err(late());
        }
    }
    ownership
        .lease
        .renew(sent.into_std(), cluster.links.settings.node_timeout);
    if !was_owned {
        stir(core, ownership);
    }
    if burying.is_empty() {
        for dead in beat.dead {
            tracing::info!(node = %dead, "a node of the cluster is dead");
            let registry = Arc::clone(&cluster.links.registry);
            let core = Arc::clone(core);
            burying.spawn(async move {
                occupying::bury(&core, dead).await;
                sharing::bury(&core, dead).await;
                // Else the next heartbeat names it again.
                if let Ok(left) = registry.bury(dead, orphans::wanted(&core)).await {
                    tokio::spawn(orphans::see_out(core, left));
                }
            });
        }
    }
    Ok(())
}

async fn tell(cluster: &Cluster, me: NodeInfo) -> Result<Beat, Failed> {
    let settings = &cluster.links.settings;
    let beat = timeout(
        settings.call_timeout.min(settings.node_timeout),
        cluster.links.registry.beat(me, settings.node_timeout),
    );
    beat.await.unwrap_or_else(|_| Err(late()))
}

fn late() -> Failed {
    Failed::Io("the cluster's Redis does not answer".into())
}

/// Lets go of sessions that other nodes have adopted.
async fn let_go_of_lost(core: &Arc<Core>, cluster: &Cluster) -> Result<(), Failed> {
    let all = cluster.owned.all();
    for some in all.chunks(MOST) {
        let lost = cluster.links.registry.lost(cluster.links.me, some.to_vec());
        for id in lost.await? {
            let was = some.iter().find(|(other, _)| *other == id);
            // It may have come back meanwhile.
            if was.map(|(_, generation)| *generation) == cluster.owned.written(id) {
                let_go(core, cluster, id);
            }
        }
    }
    Ok(())
}

/// Lets all go on that has waited until this node could be sure that its sessions are its own.
fn stir(core: &Core, ownership: &Ownership) {
    if ownership.holds() {
        for session in core.sessions.all() {
            session.stir(std::time::Instant::now());
        }
    }
}
