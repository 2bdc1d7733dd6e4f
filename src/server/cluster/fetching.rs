//! A request comes here for a session that is elsewhere: it waits until the session is here, too.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::super::BayeuxServer;
use super::super::core::Core;
use super::Located;
use super::locating::locate;
use super::moving::{Took, take};
use crate::bayeux::{BayeuxError, ClientId, Message};
use crate::cluster::NodeId;
use crate::extensions::Refusal;
use crate::operations::Implied;

/// After which time a session is asked for again that could not be had.
const RETRY: Duration = Duration::from_millis(100);
/// How often it is asked for: whoever waits has gone long before.
const TRIES: usize = 20;
/// How long a session that is here waits until this node knows whether it is its own, and how often it looks: a node
/// that was only frozen knows soon, and without Redis it cannot be known.
const MOMENT: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_millis(20);
/// After which time a client may ask again.
const AGAIN: Duration = Duration::from_secs(1);

impl BayeuxServer {
    /// Returns what a batch has to wait for if it is of a session that is not here, or that may not be this node's any
    /// more.
    pub(in crate::server) fn fetching(
        &self,
        batch: &[Message<'_>],
    ) -> Option<impl Future<Output = Result<(), Refusal>> + Send + 'static> {
        self.core.cluster.as_ref()?;
        let id = batch.iter().find_map(|message| message.client_id)?;
        self.fetching_one(id, self.absent(batch).is_some())
    }

    /// Does so for a request that stands for messages.
    pub(in crate::server) fn fetching_implied(
        &self,
        implied: &Implied<'_>,
    ) -> Option<impl Future<Output = Result<(), Refusal>> + Send + 'static> {
        let cluster = self.core.cluster.as_ref()?;
        let (Implied::Continued(_, id) | Implied::Joined(id)) = *implied else {
            return None;
        };
        self.fetching_one(id, !self.core.has(cluster, id))
    }

    fn fetching_one(
        &self,
        id: ClientId,
        is_absent: bool,
    ) -> Option<impl Future<Output = Result<(), Refusal>> + Send + 'static> {
        if !is_absent && self.core.shared.ownership.as_ref()?.holds() {
            return None;
        }
        let core = Arc::clone(&self.core);
        Some(async move {
            let bound = core.cluster.as_ref().map(|cluster| &cluster.links.settings);
            let bound = bound.map_or(Duration::ZERO, |settings| settings.call_timeout);
            match timeout(bound, owned(&core, id)).await {
                Ok(Located::Here | Located::Gone) => Ok(()),
                Ok(Located::At(_) | Located::Unknown) | Err(_) => {
                    let error = BayeuxError::ClusterUnavailable.text();
                    Err(Refusal::Later(error.into(), AGAIN))
                }
            }
        })
    }
}

/// Waits until a session is here, and this node may take it for its own. One that is here goes on if that cannot be
/// found out now: it gets nothing until it is.
async fn owned(core: &Arc<Core>, id: ClientId) -> Located {
    let is_here = || {
        let cluster = core.cluster.as_ref();
        cluster.is_some_and(|cluster| core.has(cluster, id))
    };
    let is_owned = || {
        let ownership = core.shared.ownership.as_ref();
        ownership.is_none_or(|ownership| ownership.holds())
    };
    let began = Instant::now();
    while !is_owned() {
        if is_here() && began.elapsed() >= MOMENT {
            return Located::Here;
        }
        sleep(LOOK).await;
    }
    fetch(core, id).await
}

/// Has a session come here, wherever it is, once however many ask for that.
pub(super) async fn fetch(core: &Arc<Core>, id: ClientId) -> Located {
    let Some(cluster) = &core.cluster else {
        return Located::Gone;
    };
    if core.has(cluster, id) {
        return Located::Here;
    }
    let fetching = Arc::clone(core);
    let fetched = cluster
        .fetches
        .work(id, || async move { look_for(&fetching, id).await })
        .await;
    fetched.unwrap_or(Located::Unknown)
}

async fn look_for(core: &Arc<Core>, id: ClientId) -> Located {
    let mut but: Option<NodeId> = None;
    for tried in 0..TRIES {
        if tried > 0 {
            sleep(RETRY).await;
        }
        let node = match locate(core, id, but).await {
            Located::At(node) => node,
            Located::Unknown => continue,
            found @ (Located::Here | Located::Gone) => return found,
        };
        let mut from = node;
        // It may be told where the session is.
        for _ in 0..2 {
            match take(core, id, from).await {
                Took::Here => return Located::Here,
                Took::At(other) if Some(other) != core.cluster.as_ref().map(|it| it.links.me) => {
                    but = Some(from);
                    from = other;
                }
                Took::At(_) => break,
                Took::Gone => {
                    but = Some(from);
                    break;
                }
                Took::NotNow => {
                    but = None;
                    break;
                }
            }
        }
    }
    Located::Unknown
}
