//! Which channels and patterns have subscribers at any node: Redis counts the nodes, and whoever finds that a channel is
//! the first node's, or was the last's, tells who listens.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::super::core::Core;
use super::Cluster;
use crate::bayeux::ChannelPattern;
use crate::cluster::NodeId;
use crate::history::Failed;
use crate::lifecycle::{Kind, LifecycleEvent, Occupancy};

/// How long changes are gathered.
const DELAY: Duration = Duration::from_millis(5);
/// How long a round is; also after which time what cannot be written is tried again.
const ROUND: Duration = Duration::from_secs(1);
/// Changes that are written at once.
const MOST: usize = 500;

/// Writes what changes, for ever; unless anybody listens there is nothing to do.
pub(in crate::server) async fn run(core: &Arc<Core>) {
    let Some((cluster, occupancy)) = parts(core) else {
        return std::future::pending().await;
    };
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = occupancy.changed() => sleep(DELAY).await,
            _ = rounds.tick() => occupancy.next_round(),
        }
        if write(core, cluster, occupancy).await.is_err() {
            sleep(ROUND).await;
        }
    }
}

fn parts(core: &Core) -> Option<(&Cluster, &Occupancy)> {
    core.cluster.as_ref().zip(core.shared.lifecycle.occupancy())
}

async fn write(core: &Core, cluster: &Cluster, occupancy: &Occupancy) -> Result<(), Failed> {
    let (me, bound) = (cluster.links.me, cluster.links.settings.call_timeout);
    loop {
        let changes = occupancy.take(MOST);
        if changes.is_empty() {
            return Ok(());
        }
        let written = timeout(bound, cluster.links.registry.occupy(me, changes.clone())).await;
        match written {
            Ok(Ok(is_told)) => {
                let told = changes.iter().zip(is_told).filter(|(_, is_told)| *is_told);
                for ((pattern, has_any), _) in told {
                    tell(core, pattern, *has_any);
                }
            }
            Ok(Err(failed)) => {
                occupancy.give_back(changes);
                return Err(failed);
            }
            Err(_) => {
                occupancy.give_back(changes);
                return Err(Failed::Io("the cluster's Redis does not answer".into()));
            }
        }
    }
}

/// Tells the others again what has subscribers here: they may have taken this node for dead, or Redis may have lost it.
pub(super) fn tell_again(core: &Core) {
    if let Some((_, occupancy)) = parts(core) {
        core.router
            .each_occupied(|pattern| occupancy.occupied_still(pattern));
    }
}

/// Takes off what a dead node had subscribers of, and tells of what nobody else has any of.
pub(super) async fn bury(core: &Core, dead: NodeId) {
    let Some((cluster, _)) = parts(core) else {
        return;
    };
    while let Ok(Some(vacated)) = cluster.links.registry.vacate(dead).await {
        for pattern in vacated {
            tell(core, &pattern, false);
        }
    }
}

fn tell(core: &Core, pattern: &ChannelPattern, has_any: bool) {
    let kind = if has_any {
        Kind::Occupied
    } else {
        Kind::Vacated
    };
    let lifecycle = &core.shared.lifecycle;
    lifecycle.tell(|| LifecycleEvent::of_channel(kind, pattern));
}
