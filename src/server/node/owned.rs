//! Which sessions are this node's, and in which generation.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bayeux::ClientId;
use crate::session::IdHasher;

/// In which generations the sessions are this node's that are written.
#[derive(Debug, Default)]
pub(in crate::server) struct Owned(Mutex<Generations>);

type Generations = HashMap<ClientId, u64, BuildHasherDefault<IdHasher>>;

impl Owned {
    /// Returns the generation in which a session is this node's, if others know of it.
    pub(in crate::server) fn written(&self, id: ClientId) -> Option<u64> {
        self.lock().get(&id).copied()
    }

    /// Returns the generation in which a session is this node's, which has begun here if others do not know of it.
    pub(in crate::server) fn generation(&self, id: ClientId) -> u64 {
        self.written(id).unwrap_or(1)
    }

    pub(in crate::server) fn set(&self, id: ClientId, generation: u64) {
        self.lock().insert(id, generation);
    }

    pub(in crate::server) fn remove(&self, id: ClientId) -> Option<u64> {
        self.lock().remove(&id)
    }

    /// Returns all that are written.
    pub(in crate::server) fn all(&self) -> Vec<(ClientId, u64)> {
        let all = self.lock();
        all.iter()
            .map(|(id, generation)| (*id, *generation))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
