//! Which node has a session that is not here.

use std::future::ready;

use super::super::BayeuxServer;
use crate::bayeux::{ClientId, Message};
use crate::cluster::NodeId;

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// Here: it was all the time, or has come.
    Here,
    /// At a node that lives.
    At(NodeId),
    /// Nowhere.
    Gone,
    /// That cannot be found out now.
    Unknown,
}

impl BayeuxServer {
    /// Returns the session that a batch is of, if there is a cluster and this node does not have it.
    #[must_use]
    pub fn absent(&self, batch: &[Message<'_>]) -> Option<ClientId> {
        self.core.cluster.as_ref()?;
        let mut ids = batch.iter().filter_map(|message| message.client_id);
        ids.next()
            .filter(|id| self.core.sessions.find(*id).is_none())
    }

    /// Finds which node has a session; `but` is one that has said it does not.
    pub fn locate(
        &self,
        id: ClientId,
        but: Option<NodeId>,
    ) -> impl Future<Output = Located> + Send + 'static {
        let node = NodeId(id.0.mark());
        let me = self.core.cluster.as_ref().map(|cluster| cluster.links.me);
        ready(if me == Some(node) || but == Some(node) {
            Located::Gone
        } else {
            Located::At(node)
        })
    }
}
