//! Which nodes there are, as the last heartbeat has told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cluster::{NodeId, NodeInfo, NodeState};

/// The nodes that live.
#[derive(Debug, Default)]
pub(in crate::server) struct Nodes(Mutex<Option<Vec<NodeInfo>>>);

impl Nodes {
    /// Notes which live, and returns those that are new.
    pub(in crate::server) fn note(&self, alive: Vec<NodeInfo>) -> Vec<NodeInfo> {
        let mut known = self.lock();
        let before = known.replace(alive.clone()).unwrap_or_default();
        let is_new = |node: &NodeInfo| !before.iter().any(|other| other.id == node.id);
        alive.into_iter().filter(is_new).collect()
    }

    /// Tells whether a node lives; nothing before anything is known.
    pub(in crate::server) fn is_alive(&self, node: NodeId) -> Option<bool> {
        let known = self.lock();
        let known = known.as_ref()?;
        Some(known.iter().any(|other| other.id == node))
    }

    /// Returns those that take sessions, in the same order on every node.
    pub(in crate::server) fn ready(&self) -> Vec<NodeId> {
        let known = self.lock();
        let ready = known.iter().flatten();
        let ready = ready.filter(|node| node.state == NodeState::Ready);
        let mut ready: Vec<_> = ready.map(|node| node.id).collect();
        ready.sort_unstable();
        ready
    }

    /// Returns all that live.
    pub(in crate::server) fn alive(&self) -> Vec<NodeInfo> {
        self.lock().clone().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<NodeInfo>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_known_from_the_first_heartbeat_and_new_ones_told() {
        let node = |id, state| NodeInfo {
            id: NodeId(id),
            address: String::new(),
            state,
            version: String::new(),
        };
        let nodes = Nodes::default();
        assert_eq!(nodes.is_alive(NodeId(1)), None);
        let (ready, leaving) = (NodeState::Ready, NodeState::Leaving);
        let new = nodes.note(vec![node(2, ready), node(1, ready)]);
        assert_eq!(new.len(), 2);
        let new = nodes.note(vec![node(3, leaving), node(2, ready)]);
        assert_eq!(new, [node(3, leaving)]);
        for (id, is_alive) in [(1, false), (2, true), (3, true)] {
            assert_eq!(nodes.is_alive(NodeId(id)), Some(is_alive), "{id}");
        }
        assert_eq!(nodes.ready(), [NodeId(2)]);
    }
}
