//! How many sessions each user and each address has at all nodes, if that is limited: Redis adds up what nodes have, and
//! says so to those that have some.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::core::Core;
use super::Cluster;
use crate::cluster::NodeId;
use crate::history::Failed;
use crate::session::SharedCounts;

/// How long changes are gathered.
const DELAY: Duration = Duration::from_millis(5);
/// After which time what cannot be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Users and addresses that are written at once.
const MOST: usize = 500;

/// Writes what changes, for ever; unless something is limited there is nothing to do.
pub(in crate::server) async fn run(core: &Arc<Core>) {
    let Some((cluster, counts)) = parts(core) else {
        return std::future::pending().await;
    };
    loop {
        counts.changed().await;
        sleep(DELAY).await;
        while let Err(failed) = write(core, cluster, counts).await {
            tracing::debug!("what users and addresses have is not written: {failed}");
            sleep(RETRY).await;
        }
    }
}

fn parts(core: &Core) -> Option<(&Cluster, &SharedCounts)> {
    core.cluster.as_ref().zip(core.shared.shares.shared())
}

async fn write(core: &Core, cluster: &Cluster, counts: &SharedCounts) -> Result<(), Failed> {
    let (me, bound) = (cluster.links.me, cluster.links.settings.call_timeout);
    let shares = &core.shared.shares;
    loop {
        let sharers = counts.take(MOST);
        if sharers.is_empty() {
            return Ok(());
        }
        let here: Vec<_> = sharers.iter().map(|sharer| shares.count(sharer)).collect();
        let names = sharers.iter().map(ToString::to_string);
        let named = names.zip(here.iter().copied()).collect();
        let written = timeout(bound, cluster.links.registry.share(me, named)).await;
        let late = || Failed::Io("the cluster's Redis does not answer".into());
        match written.unwrap_or_else(|_| Err(late())) {
            Ok(totals) => {
                for ((sharer, here), total) in sharers.iter().zip(here).zip(totals) {
                    shares.learn(sharer, total.saturating_sub(here));
                }
            }
            Err(failed) => {
                counts.give_back(sharers);
                return Err(failed);
            }
        }
    }
}

/// Tells the others again how many there are here: they may have taken this node for dead, or Redis may have lost it.
pub(super) fn tell_again(core: &Core) {
    if parts(core).is_some() {
        core.shared.shares.tell_again();
    }
}

/// Takes off what a dead node had.
pub(super) async fn bury(core: &Core, dead: NodeId) {
    if let Some((cluster, _)) = parts(core) {
        // Else whoever looks after its sessions does it again.
        let _ = cluster.links.registry.unshare(dead).await;
    }
}
