//! Where sessions are that were here, or were looked for, not long ago: hints that save questions.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bayeux::ClientId;
use crate::cluster::NodeId;
use crate::session::IdHasher;

/// How many are known at most; beyond, the first are forgotten.
const MOST: usize = 100_000;

/// Where sessions are, by the last that was heard of them.
#[derive(Debug, Default)]
pub(in crate::server) struct Moved(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    nodes: HashMap<ClientId, NodeId, BuildHasherDefault<IdHasher>>,
    in_order: VecDeque<ClientId>,
}

impl Moved {
    /// Notes where a session is.
    pub(in crate::server) fn note(&self, id: ClientId, node: NodeId) {
        let mut known = self.lock();
        if known.nodes.insert(id, node).is_none() {
            known.in_order.push_back(id);
        }
        // Some of them are forgotten already.
        while known.in_order.len() > MOST {
            if let Some(first) = known.in_order.pop_front() {
                known.nodes.remove(&first);
            }
        }
    }

    /// Forgets where a session is: not there.
    pub(in crate::server) fn forget(&self, id: ClientId) {
        self.lock().nodes.remove(&id);
    }

    pub(in crate::server) fn find(&self, id: ClientId) -> Option<NodeId> {
        self.lock().nodes.get(&id).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::RandomId;

    fn client(number: usize) -> ClientId {
        let bits = u128::try_from(number).expect("a small number");
        ClientId(RandomId::from_random(bits.to_le_bytes()))
    }

    #[test]
    fn the_last_that_was_heard_counts_and_there_are_not_too_many() {
        let moved = Moved::default();
        moved.note(client(0), NodeId(1));
        moved.note(client(0), NodeId(2));
        assert_eq!(moved.find(client(0)), Some(NodeId(2)));
        moved.forget(client(0));
        assert_eq!(moved.find(client(0)), None);
        for number in 1..=MOST + 1 {
            moved.note(client(number), NodeId(1));
        }
        assert_eq!(moved.find(client(1)), None);
        assert_eq!(moved.find(client(2)), Some(NodeId(1)));
        let known = moved.lock();
        assert_eq!((known.nodes.len(), known.in_order.len()), (MOST, MOST));
    }
}
