//! Which node has a session that is not here. If that is dead, this one adopts it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::super::BayeuxServer;
use super::super::admit::handshake_in;
use super::super::core::Core;
use super::{Cluster, Located, adopting};
use crate::bayeux::{ClientId, Message};
use crate::cluster::{NodeId, Owner};

/// How often an owner is asked for anew that says it is not, and after which time: it may be about to be.
const TRIES: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);
/// How long nodes may take at least until they have written what is theirs to a Redis that was empty: longer than
/// they wait between two attempts to connect.
const RENEWAL: Duration = Duration::from_secs(5);

impl BayeuxServer {
    /// Returns the session that a batch is of, if there is a cluster and this node does not have it.
    #[must_use]
    pub fn absent(&self, batch: &[Message<'_>]) -> Option<ClientId> {
        let cluster = self.core.cluster.as_ref()?;
        let mut ids = batch.iter().filter_map(|message| message.client_id);
        let id = ids.next().filter(|id| !self.core.has(cluster, *id))?;
        // That of a handshake is passed over.
        handshake_in(batch).is_none().then_some(id)
    }

    /// Waits until a session is where it goes to, but not for long: false if it is not by then. Nothing: it is not on
    /// its way.
    pub fn arriving(&self, id: ClientId) -> Option<impl Future<Output = bool> + Send + use<>> {
        let cluster = self.core.cluster.as_ref()?;
        if !cluster.leaving.has(id) {
            return None;
        }
        let core = Arc::clone(&self.core);
        Some(async move {
            let Some(cluster) = &core.cluster else {
                return true;
            };
            let bound = cluster.links.settings.call_timeout;
            timeout(bound, cluster.leaving.over(id)).await.is_ok()
        })
    }

    /// Finds which node has a session; `but` is one that has said it does not.
    pub fn locate(
        &self,
        id: ClientId,
        but: Option<NodeId>,
    ) -> impl Future<Output = Located> + Send + 'static {
        let core = Arc::clone(&self.core);
        async move { locate(&core, id, but).await }
    }
}

impl Core {
    /// Tells whether a session is here, and is not about to go.
    pub(super) fn has(&self, cluster: &Cluster, id: ClientId) -> bool {
        self.sessions.find(id).is_some() && !cluster.leaving.has(id)
    }
}

/// Finds which node has a session; `but` is one that has said it does not.
pub(super) async fn locate(core: &Arc<Core>, id: ClientId, but: Option<NodeId>) -> Located {
    let Some(cluster) = &core.cluster else {
        return Located::Gone;
    };
    let bound = cluster.links.settings.call_timeout;
    if timeout(bound, cluster.leaving.over(id)).await.is_err() {
        return Located::Unknown;
    }
    if core.sessions.find(id).is_some() {
        return Located::Here;
    }
    if but.is_some() && cluster.moved.find(id) == but {
        cluster.moved.forget(id);
    }
    let maker = NodeId(id.0.mark());
    let hints = [cluster.moved.find(id), Some(maker)];
    for hint in hints.into_iter().flatten() {
        let is_other = Some(hint) != but && hint != cluster.links.me;
        if is_other && cluster.nodes.is_alive(hint) == Some(true) {
            return Located::At(hint);
        }
    }
    by_registry(core, cluster, id, but).await
}

async fn by_registry(
    core: &Arc<Core>,
    cluster: &Cluster,
    id: ClientId,
    but: Option<NodeId>,
) -> Located {
    let me = cluster.links.me;
    for tried in 0..TRIES {
        if tried > 0 {
            sleep(PAUSE).await;
        }
        let has_ended = core.shared.ownership.as_ref();
        if has_ended.is_some_and(|ownership| ownership.has_ended(id)) {
            return Located::Gone;
        }
        let bound = cluster.links.settings.call_timeout;
        let found = timeout(bound, cluster.links.registry.find(id)).await;
        let owner = match found {
            Ok(Ok(Some(owner))) => owner,
            // Nodes may not have written what is theirs to a Redis that was empty.
            Ok(Ok(None)) if !cluster.links.backplane.is_up() || is_renewed(cluster) => {
                return Located::Unknown;
            }
            Ok(Ok(None)) => return by_new_node(cluster, id, but).await,
            Ok(Err(_)) | Err(_) => return Located::Unknown,
        };
        let is_adoptable = owner.node == me || cluster.nodes.is_alive(owner.node) == Some(false);
        if is_adoptable {
            match adopt(core, cluster, id, owner).await {
                // Somebody else was faster, or is not as dead as it seemed.
                None => continue,
                Some(located) => return located,
            }
        }
        if Some(owner.node) != but {
            cluster.moved.note(id, owner.node);
            return Located::At(owner.node);
        }
    }
    // Its owner says that it is not, and the registry that it is: one of them will know better.
    Located::Unknown
}

fn is_renewed(cluster: &Cluster) -> bool {
    let within = cluster.links.settings.node_timeout;
    cluster.stream.is_renewed(within.max(RENEWAL))
}

/// Finds a session that is not written yet: of a node of which this one has not heard yet.
async fn by_new_node(cluster: &Cluster, id: ClientId, but: Option<NodeId>) -> Located {
    let maker = NodeId(id.0.mark());
    let is_known = maker == cluster.links.me || cluster.nodes.is_alive(maker) == Some(true);
    if is_known || but == Some(maker) {
        return Located::Gone;
    }
    let bound = cluster.links.settings.call_timeout;
    // Redis has just answered, so it tells.
    let _ = timeout(bound, cluster.nodes.told_again()).await;
    match cluster.nodes.is_alive(maker) {
        Some(true) => Located::At(maker),
        _ => Located::Gone,
    }
}

/// Has this node adopt a session, once however many ask for that.
async fn adopt(core: &Arc<Core>, cluster: &Cluster, id: ClientId, owner: Owner) -> Option<Located> {
    let adopting = Arc::clone(core);
    let adopted = cluster
        .adoptions
        .work(
            id,
            || async move { adopting::adopt(&adopting, id, owner).await },
        )
        .await;
    adopted.unwrap_or(Some(Located::Unknown))
}
