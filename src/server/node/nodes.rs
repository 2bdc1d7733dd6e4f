//! Which nodes there are, as the last heartbeat has told.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::cluster::{NodeId, NodeInfo, NodeState};

/// The nodes that live.
#[derive(Debug)]
pub(in crate::server) struct Nodes {
    known: Mutex<Option<Vec<NodeInfo>>>,
    /// How often that was told.
    told: watch::Sender<u64>,
    /// Somebody wants to be told before it is time.
    hurry: Notify,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            told: watch::Sender::new(0),
            hurry: Notify::new(),
        }
    }
}

impl Nodes {
    /// Notes which live, and returns those that are new.
    pub(in crate::server) fn note(&self, alive: Vec<NodeInfo>) -> Vec<NodeInfo> {
        let mut known = self.lock();
        let before = known.replace(alive.clone()).unwrap_or_default();
        drop(known);
        self.told.send_modify(|told| *told += 1);
        let is_new = |node: &NodeInfo| !before.iter().any(|other| other.id == node.id);
        alive.into_iter().filter(is_new).collect()
    }

    /// Asks for a heartbeat, and waits until it has told which live: a node may have just begun.
    pub(in crate::server) async fn told_again(&self) {
        let mut told = self.told.subscribe();
        told.borrow_and_update();
        self.hurry.notify_one();
        // The other end is here.
        let _ = told.changed().await;
    }

    /// Waits until a heartbeat is asked for.
    pub(in crate::server) async fn asked(&self) {
        self.hurry.notified().await;
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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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
