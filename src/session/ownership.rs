//! Whose the sessions of a cluster's node are: for how long they may be taken for its own, and what the others have
//! yet to know of them. Without a cluster there is none.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::IdHasher;
use super::state::Wake;
use crate::bayeux::ClientId;
use crate::cluster::Lease;

type Ids = HashSet<ClientId, BuildHasherDefault<IdHasher>>;

/// What is kept of sessions that are a node's.
#[derive(Debug)]
pub struct Ownership {
    /// For how long they are.
    pub lease: Lease,
    /// They are for as long as nobody says otherwise: the node goes on alone while Redis is away.
    goes_on_alone: bool,
    changed: Mutex<Changed>,
    more: Notify,
    /// How many changes were told.
    told: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Changed {
    /// Something has changed that another node has to know if it is to go on with them.
    sessions: Ids,
    /// Their clients have acknowledged something.
    acknowledged: Ids,
    ended: Ids,
    /// How many changes there were.
    made: u64,
}

/// What has changed of sessions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that are to be written anew.
    pub sessions: Vec<ClientId>,
    /// Those that have ended.
    pub ended: Vec<ClientId>,
    /// How many changes there were up to these, if all of them are among these.
    pub made: Option<u64>,
}

impl Changes {
    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.ended.is_empty()
    }
}

impl Ownership {
    /// Makes that of a node that has yet to tell the others that it lives.
    #[must_use]
    pub fn new(now: Instant, goes_on_alone: bool) -> Self {
        Self {
            lease: Lease::new(now),
            goes_on_alone,
            changed: Mutex::default(),
            more: Notify::new(),
            told: watch::Sender::new(0),
        }
    }

    /// Tells whether sessions may be taken for this node's now. It looks at the clock.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.goes_on_alone || self.is_leased()
    }

    fn is_leased(&self) -> bool {
        self.lease.holds(tokio::time::Instant::now().into_std())
    }

    /// Notes that a session has begun, or that something of it has changed.
    pub fn note(&self, id: ClientId) {
        let mut changed = self.lock();
        changed.sessions.insert(id);
        changed.made += 1;
        drop(changed);
        self.more.notify_one();
    }

    /// Notes that these were told.
    pub fn note_told(&self, changes: &Changes) {
        if let Some(made) = changes.made {
            self.told.send_modify(|told| *told = made.max(*told));
        }
    }

    /// Waits until all that has changed was told: only for a moment while others cannot be told, as the lease is over or
    /// the backplane is away (`is_up` tells). Nothing: it was.
    pub fn settled(
        self: &Arc<Self>,
        is_up: impl Fn() -> bool + Send + 'static,
    ) -> Option<impl Future<Output = ()> + Send + 'static> {
        let made = self.lock().made;
        let mut told = self.told.subscribe();
        if *told.borrow() >= made {
            return None;
        }
        let ownership = Arc::clone(self);
        Some(async move {
            let end = tokio::time::Instant::now() + PATIENCE;
            // They are counted, as time leaps while a node is frozen.
            let mut looks = 0;
            while looks < MOMENT && tokio::time::Instant::now() < end {
                let told = told.wait_for(|told| *told >= made);
                if timeout(LOOK, told).await.is_ok() {
                    return;
                }
                if !is_up() || !ownership.is_leased() {
                    looks += 1;
                }
            }
        })
    }

    /// Notes that a client has acknowledged something, which may wait until [`Self::hurry_acknowledged`].
    pub fn note_acknowledged(&self, id: ClientId) {
        self.lock().acknowledged.insert(id);
    }

    /// Notes that a session has ended.
    pub fn note_ended(&self, id: ClientId) {
        let mut changed = self.lock();
        changed.sessions.remove(&id);
        changed.acknowledged.remove(&id);
        changed.ended.insert(id);
        drop(changed);
        self.more.notify_one();
    }

    /// Notes that a session has left this node.
    pub fn forget(&self, id: ClientId) {
        let mut changed = self.lock();
        changed.sessions.remove(&id);
        changed.acknowledged.remove(&id);
    }

    /// Has what was acknowledged written, too.
    pub fn hurry_acknowledged(&self) {
        let mut changed = self.lock();
        if changed.acknowledged.is_empty() {
            return;
        }
        let acknowledged = std::mem::take(&mut changed.acknowledged);
        changed.sessions.extend(acknowledged);
        drop(changed);
        self.more.notify_one();
    }

    /// Tells whether a session has changed since it was written, or has ended since.
    #[must_use]
    pub fn is_changed(&self, id: ClientId) -> bool {
        let changed = self.lock();
        changed.sessions.contains(&id) || changed.ended.contains(&id)
    }

    /// Tells whether a session has ended, and the others have yet to know that.
    #[must_use]
    pub fn has_ended(&self, id: ClientId) -> bool {
        self.lock().ended.contains(&id)
    }

    /// Takes so many changes at most, those of one kind and those of the other.
    #[must_use]
    pub fn take(&self, most: usize) -> Changes {
        let mut changed = self.lock();
        let sessions = take(&mut changed.sessions, most);
        let ended = take(&mut changed.ended, most);
        let is_all = changed.sessions.is_empty();
        Changes {
            sessions,
            ended,
            made: is_all.then_some(changed.made),
        }
    }

    /// Gives back what could not be told.
    pub fn give_back(&self, changes: Changes) {
        let mut changed = self.lock();
        changed.sessions.extend(changes.sessions);
        changed.ended.extend(changes.ended);
    }

    /// Waits until something has changed.
    pub async fn changed(&self) {
        self.more.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes so many of these at most.
fn take(ids: &mut Ids, most: usize) -> Vec<ClientId> {
    let taken: Vec<_> = ids.iter().copied().take(most).collect();
    for id in &taken {
        ids.remove(id);
    }
    taken
}

impl super::Session {
    /// Tells whether its events may leave: not while others may take this node for dead, and own it.
    pub(super) fn is_owned(&self) -> bool {
        let ownership = self.shared.ownership.as_ref();
        ownership.is_none_or(|ownership| ownership.holds())
    }

    /// Lets whoever waits for something of it look again: it may leave now.
    pub fn stir(&self, now: Instant) {
        let mut inner = self.lock();
        let (state, settings) = (&mut inner.state, &*self.shared.settings.get());
        let wake = state.look_again(settings, now);
        self.finish(
            inner,
            Wake {
                stream: true,
                ..wake
            },
        );
    }

    /// Notes that others have to know something new of it.
    pub fn note_change(&self) {
        if let Some(ownership) = &self.shared.ownership {
            ownership.note(self.id);
        }
    }

    /// Notes that it is another node's now.
    pub(super) fn forget_change(&self) {
        if let Some(ownership) = &self.shared.ownership {
            ownership.forget(self.id);
        }
    }

    /// Notes that it has ended.
    pub(super) fn note_end(&self) {
        if let Some(ownership) = &self.shared.ownership {
            ownership.note_ended(self.id);
        }
    }
}

/// How long whoever subscribes waits until other nodes know of that, at most; how often it is looked meanwhile whether
/// they can be told, and for how many of these times it waits while they cannot.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);
const MOMENT: u32 = 10;

/// How often what was acknowledged is written.
pub const CHECKPOINT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::RandomId;

    #[test]
    fn changes_are_taken_once_and_what_was_acknowledged_later() {
        let ownership = Arc::new(Ownership::new(Instant::now(), false));
        let ids = [1, 2, 3].map(|byte| ClientId(RandomId::from_random([byte; 16])));
        let changes = |sessions: &[ClientId], ended: &[ClientId], made| Changes {
            sessions: sessions.to_vec(),
            ended: ended.to_vec(),
            made: Some(made),
        };
        ownership.note(ids[0]);
        ownership.note(ids[0]);
        ownership.note_acknowledged(ids[1]);
        assert!(ownership.is_changed(ids[0]) && !ownership.is_changed(ids[1]));
        let first = ownership.take(10);
        assert_eq!(first, changes(&ids[..1], &[], 2));
        assert!(ownership.settled(|| true).is_some());
        ownership.note_told(&first);
        assert!(ownership.settled(|| true).is_none());
        assert!(ownership.take(10).is_empty());
        ownership.give_back(first);
        ownership.note_ended(ids[0]);
        ownership.note_ended(ids[2]);
        assert!(ownership.has_ended(ids[0]));
        ownership.hurry_acknowledged();
        let some = ownership.take(1);
        assert_eq!((&*some.sessions, some.ended.len()), (&ids[1..2], 1));
        assert!(!ownership.has_ended(some.ended[0]));
        ownership.give_back(Changes {
            sessions: Vec::new(),
            ..some
        });
        ownership.note(ids[1]);
        ownership.forget(ids[1]);
        let mut all = ownership.take(10);
        all.ended.sort_unstable();
        let mut both = [ids[0], ids[2]];
        both.sort_unstable();
        assert_eq!(all, changes(&[], &both, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscribe_waits_for_others_to_know_as_long_as_they_can_be_told() {
        let now = || tokio::time::Instant::now();
        let ownership = Arc::new(Ownership::new(now().into_std(), false));
        let lives = Duration::from_secs(10);
        ownership.lease.renew(now().into_std(), lives);
        ownership.note(ClientId(RandomId::from_random([1; 16])));
        let begun = now();
        let mut settled = Box::pin(ownership.settled(|| true).expect("nobody knows"));
        let slow = timeout(Duration::from_secs(4), &mut settled).await;
        assert!(slow.is_err(), "Redis is slow");
        ownership.note_told(&ownership.take(10));
        settled.await;
        assert_eq!(begun.elapsed(), Duration::from_secs(4));
        ownership.note(ClientId(RandomId::from_random([1; 16])));
        let settled = ownership.settled(|| true).expect("nobody knows");
        settled.await;
        let moment = LOOK * MOMENT;
        let whole = lives + moment;
        assert!(begun.elapsed() <= whole, "the lease is over");
        ownership.lease.renew(now().into_std(), lives);
        let begun = now();
        let settled = ownership.settled(|| false).expect("nobody knows");
        settled.await;
        assert_eq!(begun.elapsed(), moment, "Redis is away");
    }
}
