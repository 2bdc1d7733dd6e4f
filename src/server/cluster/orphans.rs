//! Sessions of a dead node that nobody asks for: who looks after them tells of their end, once they have expired.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::super::core::Core;
use crate::access::Identity;
use crate::bayeux::ClientId;
use crate::cluster::Orphan;
use crate::lifecycle::{Kind, LifecycleEvent};
use crate::metrics::EndReason;
use crate::session::Record;

/// Of how many sessions of one node the end is told.
const MOST: usize = 20_000;
/// How long after their time it is looked whether they have expired.
const LATER: Duration = Duration::from_millis(200);
/// How often that is asked, and after which time again.
const TRIES: usize = 30;
const RETRY: Duration = Duration::from_secs(1);

/// Returns of how many sessions of a dead node something is to be told.
pub(super) fn wanted(core: &Core) -> usize {
    if core.shared.lifecycle.is_heard() {
        MOST
    } else {
        0
    }
}

/// Tells of the end of sessions that nobody adopts before they expire.
pub(super) async fn see_out(core: Arc<Core>, orphans: Vec<Orphan>) {
    let now = Instant::now();
    let mut left: Vec<_> = orphans
        .iter()
        .map(|orphan| (now + orphan.outlives + LATER, orphan.id, user_of(orphan)))
        .collect();
    drop(orphans);
    left.sort_unstable_by_key(|(at, ..)| *at);
    for (at, id, user) in left {
        sleep_until(at).await;
        if has_expired(&core, id).await {
            tell(&core, id, user.as_deref());
        }
    }
}

fn user_of(orphan: &Orphan) -> Option<String> {
    let identity = Record::decode(&orphan.state).ok()?.identity?;
    Some(Identity::from(identity).user)
}

async fn has_expired(core: &Core, id: ClientId) -> bool {
    let Some(cluster) = &core.cluster else {
        return false;
    };
    for _ in 0..TRIES {
        match cluster.links.registry.is_known(id).await {
            Ok(is_known) => return !is_known,
            Err(_) => sleep(RETRY).await,
        }
    }
    false
}

fn tell(core: &Core, id: ClientId, user: Option<&str>) {
    let alias = core.shared.aliases.of(id);
    core.shared.lifecycle.tell(|| LifecycleEvent {
        reason: Some(EndReason::Expired),
        ..LifecycleEvent::of_session(Kind::SessionEnded, alias, user)
    });
}
