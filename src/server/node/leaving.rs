//! Sessions that are on their way to another node, and have yet to arrive there.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use crate::bayeux::ClientId;
use crate::cluster::NodeId;
use crate::session::IdHasher;

/// Sessions that are on their way to another node.
#[derive(Debug, Default)]
pub(in crate::server) struct Leaving {
    /// How many there are, for who asks often.
    count: AtomicUsize,
    sessions: Mutex<Sessions>,
}

type Sessions = HashMap<ClientId, Arc<Departure>, BuildHasherDefault<IdHasher>>;

/// The way of a session to another node.
#[derive(Debug)]
pub(in crate::server) struct Departure {
    /// The node.
    pub(in crate::server) to: NodeId,
    /// What that calls its attempt to have the session: it may ask again if it did not hear the answer.
    pub(in crate::server) attempt: u64,
    /// The answer.
    pub(in crate::server) given: Mutex<Option<Bytes>>,
    /// It has arrived.
    pub(in crate::server) arrived: Notify,
    is_over: watch::Sender<bool>,
}

impl Departure {
    /// Returns what an attempt was answered.
    pub(in crate::server) fn again(&self, to: NodeId, attempt: u64) -> Option<Bytes> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = (self.to, self.attempt) == (to, attempt);
        given.clone().filter(|_| is_same)
    }

    pub(in crate::server) fn note_given(&self, answer: Bytes) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        *given = Some(answer);
    }
}

/// Sessions that are on their way to this node, until it is dropped: whoever asks for one waits.
#[derive(Debug)]
pub(in crate::server) struct Arriving<'l> {
    leaving: &'l Leaving,
    ids: Vec<ClientId>,
}

impl Drop for Arriving<'_> {
    fn drop(&mut self) {
        for id in &self.ids {
            self.leaving.end(*id);
        }
    }
}

impl Leaving {
    /// Lets sessions begin their way to this node.
    pub(in crate::server) fn arriving(
        &self,
        me: NodeId,
        ids: impl Iterator<Item = ClientId>,
    ) -> Arriving<'_> {
        let ids = ids.filter(|id| self.begin(*id, me, 0).is_some());
        Arriving {
            ids: ids.collect(),
            leaving: self,
        }
    }

    /// Tells whether a session is on its way.
    pub(in crate::server) fn has(&self, id: ClientId) -> bool {
        self.count.load(SeqCst) > 0 && self.lock().contains_key(&id)
    }

    pub(in crate::server) fn find(&self, id: ClientId) -> Option<Arc<Departure>> {
        self.lock().get(&id).cloned()
    }

    /// Lets a session begin its way; nothing if it is on one already.
    pub(in crate::server) fn begin(
        &self,
        id: ClientId,
        to: NodeId,
        attempt: u64,
    ) -> Option<Arc<Departure>> {
        let mut sessions = self.lock();
        if sessions.contains_key(&id) {
            return None;
        }
        let departure = Arc::new(Departure {
            to,
            attempt,
            given: Mutex::default(),
            arrived: Notify::new(),
            is_over: watch::Sender::new(false),
        });
        sessions.insert(id, Arc::clone(&departure));
        self.count.store(sessions.len(), SeqCst);
        Some(departure)
    }

    /// Ends it: the session is there, or here again.
    pub(in crate::server) fn end(&self, id: ClientId) {
        let mut sessions = self.lock();
        let departure = sessions.remove(&id);
        self.count.store(sessions.len(), SeqCst);
        drop(sessions);
        if let Some(departure) = departure {
            departure.is_over.send_replace(true);
        }
    }

    /// Waits until a session is not on its way any more.
    pub(in crate::server) async fn over(&self, id: ClientId) {
        if let Some(departure) = self.find(id) {
            let mut is_over = departure.is_over.subscribe();
            // The other end is here.
            let _ = is_over.wait_for(|is_over| *is_over).await;
        }
    }

    /// Waits until none of those is on its way any more that are now.
    pub(in crate::server) async fn all_over(&self) {
        let ids: Vec<_> = self.lock().keys().copied().collect();
        for id in ids {
            self.over(id).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
