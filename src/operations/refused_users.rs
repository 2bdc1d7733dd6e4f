//! Users that are refused for a while: an operator, or a program of theirs, has ended their sessions, and their
//! clients are not to come back at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Scope, milliseconds};
use crate::access::Identity;
use crate::bayeux::BayeuxError;
use crate::extensions::Refusal;
use crate::memory::{Budget, Kind, sizes};
use crate::metrics::Limit;
use crate::session::{EndReason, Session};

/// A user's place, and what its name takes beside its bytes.
const USER: usize = 64;

/// Who is refused, and until when.
#[derive(Debug, Default)]
pub struct RefusedUsers {
    /// Each with the end of its time, which may be over.
    until: Mutex<HashMap<Box<str>, Instant>>,
    /// How many there are: mostly none, and nobody is looked up.
    count: AtomicUsize,
}

/// There are as many as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} users are refused already (bayeux.max_refused_users)")]
pub struct TooManyRefused(usize);

impl RefusedUsers {
    /// Refuses a user until then; whoever's time is over makes room.
    fn add(
        &self,
        user: &str,
        until: Instant,
        now: Instant,
        max: usize,
        memory: &Budget,
    ) -> Result<(), TooManyRefused> {
        let mut users = self.lock();
        if users.len() >= max {
            users.retain(|user, until| {
                let is_refused = *until > now;
                if !is_refused {
                    memory.sub(Kind::Sessions, size(user));
                }
                is_refused
            });
        }
        let outcome = if let Some(known) = users.get_mut(user) {
            *known = until;
            Ok(())
        } else if users.len() >= max {
            Err(TooManyRefused(users.len()))
        } else {
            memory.add(Kind::Sessions, size(user));
            users.insert(user.into(), until);
            Ok(())
        };
        self.count.store(users.len(), SeqCst);
        outcome
    }

    fn remove(&self, user: &str, memory: &Budget) {
        self.forget(&mut self.lock(), user, memory);
    }

    fn forget(&self, users: &mut HashMap<Box<str>, Instant>, user: &str, memory: &Budget) {
        if users.remove(user).is_some() {
            memory.sub(Kind::Sessions, size(user));
            self.count.store(users.len(), SeqCst);
        }
    }

    /// Returns for how long a user is refused yet.
    fn left(&self, user: &str, now: Instant, memory: &Budget) -> Option<Duration> {
        if self.count.load(SeqCst) == 0 {
            return None;
        }
        let mut users = self.lock();
        let left = users.get(user)?.saturating_duration_since(now);
        if left.is_zero() {
            self.forget(&mut users, user, memory);
            return None;
        }
        Some(left)
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(user: &str) -> usize {
    USER + sizes::block(user.len())
}

impl Scope<'_> {
    /// Refuses a user from now on for so long, `bayeux.max_refusal` at most; for no time: not any more. Returns
    /// for how long.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn refuse_user(&self, user: &str, time: Duration) -> Result<Duration, TooManyRefused> {
        let settings = &self.shared.settings.get();
        let memory = &self.metrics().memory;
        let time = time.min(settings.max_refusal);
        if time.is_zero() {
            self.refused_users.remove(user, memory);
            return Ok(time);
        }
        let (until, max) = (self.now + time, settings.max_refused_users);
        let added = self.refused_users.add(user, until, self.now, max, memory);
        if added.is_err() {
            self.metrics().limited(Limit::MaxRefusedUsers);
        }
        added.map(|()| time)
    }

    /// Asks whether somebody is not refused.
    ///
    /// # Errors
    /// For some time yet.
    pub(super) fn is_welcome(&self, identity: Option<&Arc<Identity>>) -> Result<(), Refusal> {
        let Some(identity) = identity else {
            return Ok(());
        };
        let memory = &self.metrics().memory;
        let Some(left) = self.refused_users.left(&identity.user, self.now, memory) else {
            return Ok(());
        };
        self.metrics().refused_users.increment();
        tracing::debug!(user = &*identity.user, "a user is refused for a while");
        let error = BayeuxError::UserRefused.about(&[&milliseconds(left).to_string()]);
        Err(Refusal::Later(error.into(), left))
    }

    /// Ends a session that began while its user was being refused.
    ///
    /// # Errors
    /// It is so.
    pub(super) fn is_still_welcome(&self, session: &Arc<Session>) -> Result<(), Refusal> {
        let welcome = self.is_welcome(session.granted().identity());
        welcome.inspect_err(|_| self.end(session, EndReason::Administrator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_refused_until_its_time_is_over() {
        let (users, memory) = (RefusedUsers::default(), Budget::default());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let left = |user, seconds| {
            let left = users.left(user, at(seconds), &memory);
            left.map(|left| left.as_secs())
        };
        assert_eq!(left("u1", 0), None);
        users.add("u1", at(10), start, 2, &memory).expect("room");
        assert_eq!(left("u1", 3), Some(7));
        assert_eq!(left("u2", 3), None);
        users.add("u1", at(5), start, 2, &memory).expect("again");
        assert_eq!(left("u1", 3), Some(2), "the last time counts");
        users.add("u2", at(20), start, 2, &memory).expect("room");
        let third = users.add("u3", at(20), at(4), 2, &memory);
        assert_eq!(third, Err(TooManyRefused(2)));
        users
            .add("u3", at(20), at(5), 2, &memory)
            .expect("u1 is over");
        assert_eq!(left("u1", 5), None);
        assert_eq!(left("u3", 20), None, "it is over");
        users.remove("u2", &memory);
        users.remove("u2", &memory);
        assert_eq!(left("u2", 6), None);
        assert_eq!(users.count.load(SeqCst), 0);
        assert_eq!(memory.of(Kind::Sessions), 0, "nothing is kept");
    }
}
