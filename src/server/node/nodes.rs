//! Which nodes there are, as the last heartbeat has told, and since when some of them are missed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use crate::cluster::{NodeId, NodeInfo, NodeState};

/// The nodes that live.
#[derive(Debug)]
pub(in crate::server) struct Nodes {
    known: Mutex<Known>,
    /// How often that was told.
    told: watch::Sender<u64>,
    /// Somebody wants to be told before it is time.
    hurry: Notify,
}

#[derive(Debug, Default)]
struct Known {
    alive: Option<Vec<NodeInfo>>,
    /// Nodes that live no more, although they have not said that they leave, and since when that is known.
    missed: HashMap<NodeId, Instant>,
    /// When a node that was missed has come back, or was given up, last.
    settled: Option<Instant>,
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
    pub(in crate::server) fn note(&self, alive: Vec<NodeInfo>, now: Instant) -> Vec<NodeInfo> {
        let mut known = self.lock();
        let before = known.alive.replace(alive.clone()).unwrap_or_default();
        let is_in = |nodes: &[NodeInfo], id| nodes.iter().any(|node: &NodeInfo| node.id == id);
        for node in &before {
            if node.state == NodeState::Ready && !is_in(&alive, node.id) {
                known.missed.insert(node.id, now);
            }
        }
        for node in &alive {
            if known.missed.remove(&node.id).is_some() {
                known.settled = Some(now);
            }
        }
        drop(known);
        self.told.send_modify(|told| *told += 1);
        let is_new = |node: &NodeInfo| !is_in(&before, node.id);
        alive.into_iter().filter(is_new).collect()
    }

    /// Returns until when clients may have waited in vain for another node, which may be frozen and have their
    /// requests: until now, while one is missed for no longer than `most`.
    pub(in crate::server) fn unheard(&self, most: Duration, now: Instant) -> Option<Instant> {
        let mut known = self.lock();
        let Known {
            missed, settled, ..
        } = &mut *known;
        missed.retain(|_, since| {
            let given_up = *since + most;
            let is_over = given_up <= now;
            if is_over {
                *settled = (*settled).max(Some(given_up));
            }
            !is_over
        });
        if missed.is_empty() {
            *settled
        } else {
            Some(now)
        }
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
        let alive = known.alive.as_ref()?;
        Some(alive.iter().any(|other| other.id == node))
    }

    /// Returns those that take sessions, in the same order on every node.
    pub(in crate::server) fn ready(&self) -> Vec<NodeId> {
        let known = self.lock();
        let ready = known.alive.iter().flatten();
        let ready = ready.filter(|node| node.state == NodeState::Ready);
        let mut ready: Vec<_> = ready.map(|node| node.id).collect();
        ready.sort_unstable();
        ready
    }

    /// Returns all that live.
    pub(in crate::server) fn alive(&self) -> Vec<NodeInfo> {
        self.lock().alive.clone().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u32, state: NodeState) -> NodeInfo {
        NodeInfo {
            id: NodeId(id),
            address: String::new(),
            state,
            version: String::new(),
        }
    }

    #[test]
    fn clients_are_unheard_while_a_node_is_missed_that_has_not_left() {
        let (ready, leaving) = (NodeState::Ready, NodeState::Leaving);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        // Seconds, the nodes that live as a heartbeat tells then, if one does, and until when clients were unheard.
        let table = [
            (
                0,
                vec![node(1, ready), node(2, ready), node(3, ready)],
                None,
            ),
            (
                1,
                vec![node(1, ready), node(2, ready), node(3, leaving)],
                None,
            ),
            (2, vec![node(1, ready), node(2, ready)], None),
            (3, vec![node(1, ready)], Some(3)),
            (9, vec![], Some(9)),
            (20, vec![node(1, ready), node(2, ready)], Some(20)),
            (25, vec![], Some(20)),
            (26, vec![node(1, ready)], Some(26)),
            (55, vec![], Some(55)),
            (60, vec![], Some(56)),
        ];
        let nodes = Nodes::default();
        for (now, alive, unheard) in table {
            if !alive.is_empty() {
                nodes.note(alive, at(now));
            }
            let known = nodes.unheard(Duration::from_secs(30), at(now));
            assert_eq!(known, unheard.map(at), "at {now} s");
        }
    }

    #[test]
    fn nodes_are_known_from_the_first_heartbeat_and_new_ones_told() {
        let now = Instant::now();
        let nodes = Nodes::default();
        assert_eq!(nodes.is_alive(NodeId(1)), None);
        let (ready, leaving) = (NodeState::Ready, NodeState::Leaving);
        let new = nodes.note(vec![node(2, ready), node(1, ready)], now);
        assert_eq!(new.len(), 2);
        let new = nodes.note(vec![node(3, leaving), node(2, ready)], now);
        assert_eq!(new, [node(3, leaving)]);
        for (id, is_alive) in [(1, false), (2, true), (3, true)] {
            assert_eq!(nodes.is_alive(NodeId(id)), Some(is_alive), "{id}");
        }
        assert_eq!(nodes.ready(), [NodeId(2)]);
    }
}
