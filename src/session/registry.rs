//! All sessions of this node, by client id and by user.

use std::hash::{BuildHasherDefault, Hash};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;

use super::departed::Departed;
use super::unknown_sessions::UnknownSessions;
use super::users::Users;
use super::{IdHasher, Session};
use crate::bayeux::ClientId;

/// The sessions that are alive.
#[derive(Debug, Default)]
pub struct Sessions {
    by_id: DashMap<ClientId, Arc<Session>, BuildHasherDefault<IdHasher>>,
    /// Those of clients that have shown who they are.
    users: Users,
    departed: Departed,
    /// Those who have to show again who they are, and had no connect held that could be answered so.
    outlived: Departed,
    /// Those that have gone to another node of the cluster, and whose connects may have been on their way.
    moved: Departed,
    unknown: UnknownSessions,
}

impl Sessions {
    /// Returns the session of a client id.
    #[must_use]
    pub fn find(&self, id: ClientId) -> Option<Arc<Session>> {
        self.by_id.get(&id).map(|entry| Arc::clone(entry.value()))
    }

    /// Adds a session, to its user's too if that is known and has a name.
    pub fn add(&self, session: Arc<Session>) {
        // First, since nobody ends it who does not find it.
        if let Some(user) = session.user() {
            self.users.add(&user.user, session.id(), session.memory());
        }
        session.note_change();
        self.by_id.insert(session.id(), session);
    }

    /// Removes a session that has ended.
    pub fn remove(&self, session: &Session) {
        self.by_id.remove(&session.id());
        if let Some(user) = session.user() {
            self.users
                .remove(&user.user, session.id(), session.memory());
        }
    }

    /// Returns the sessions of a user, in no order.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Vec<Arc<Session>> {
        let ids = self.users.of(user).into_iter();
        ids.filter_map(|id| self.find(id)).collect()
    }

    /// Notes that a client disconnects while no connect of it is held; one may be on its way.
    pub fn depart(&self, id: ClientId, now: Instant) {
        self.departed.add(id, now);
    }

    /// Tells whether a connect is the one that its client's disconnect has overtaken, by at most 10 s;
    /// true once.
    #[must_use]
    pub fn take_overtaken(&self, id: ClientId, now: Instant) -> bool {
        self.departed.take(id, now)
    }

    /// Notes a client that has to show again who it is, and has no connect held to be told so.
    pub fn outlive(&self, id: ClientId, now: Instant) {
        self.outlived.add(id, now);
    }

    /// Tells whether a connect is of a client that has to show again who it is, by at most 10 s late;
    /// true once.
    #[must_use]
    pub fn take_outlived(&self, id: ClientId, now: Instant) -> bool {
        self.outlived.take(id, now)
    }

    /// Notes a client whose session goes on at another node.
    pub fn move_away(&self, id: ClientId, now: Instant) {
        self.moved.add(id, now);
    }

    /// Tells whether a connect is of a client whose session goes on at another node, by at most 10 s late; true
    /// once.
    #[must_use]
    pub fn take_moved(&self, id: ClientId, now: Instant) -> bool {
        self.moved.take(id, now)
    }

    /// Notes a connect whose session is unknown, by the client id that it names, and returns how late
    /// to answer it: the first at once.
    #[must_use]
    pub fn delay_unknown(&self, id: impl Hash, now: Instant, max: Duration) -> Duration {
        self.unknown.delay(id, now, max)
    }

    /// Visits all of them, in no order. A part of the map is locked meanwhile: nothing else may be.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&Arc<Session>)) {
        for entry in &self.by_id {
            visit(entry.value());
        }
    }

    /// Returns all of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Session>> {
        self.by_id
            .iter()
            .map(|entry| Arc::clone(entry.value()))
            .collect()
    }
}
