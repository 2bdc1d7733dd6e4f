//! The timers of all sessions in one ordered set, and the task that fires them.
//!
//! A session has one entry, set for its earliest deadline. Deadlines mostly move further away, and
//! then the entry stays: when it fires, the session is asked again. So a session that connects a
//! thousand times before its first deadline sets its timer once, and nothing is scanned.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::bayeux::ClientId;
use crate::pause::Pauses;

/// When sessions are due.
#[derive(Debug, Default)]
pub struct Timers {
    due: Mutex<BTreeSet<(Instant, ClientId)>>,
    earlier: Notify,
}

impl Timers {
    /// Sets the timer of a session instead of the one it had; true if it is now the earliest of all,
    /// so that the sweeper has to be told with [`hurry`](Self::hurry).
    pub(super) fn set(&self, before: Option<Instant>, due: Instant, id: ClientId) -> bool {
        let mut all = self.lock();
        if let Some(before) = before {
            all.remove(&(before, id));
        }
        let is_earliest = all.first().is_none_or(|(earliest, _)| due < *earliest);
        all.insert((due, id));
        is_earliest
    }

    /// Takes the timer of a session away.
    pub(super) fn remove(&self, due: Instant, id: ClientId) {
        self.lock().remove(&(due, id));
    }

    /// Wakes the sweeper, which waits for a later timer.
    pub(super) fn hurry(&self) {
        self.earlier.notify_one();
    }

    /// Takes the entries that are due, earliest first, and returns when the next one is.
    pub(crate) fn take_due(
        &self,
        now: Instant,
        due: &mut Vec<(Instant, ClientId)>,
    ) -> Option<Instant> {
        let mut all = self.lock();
        while let Some(next) = all.first() {
            if next.0 > now {
                return Some(next.0);
            }
            due.extend(all.pop_first());
        }
        None
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.lock().len()
    }

    /// Locks the set, which is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<(Instant, ClientId)>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time at which timers fire.
#[derive(Debug, Clone, Copy)]
pub struct Tick {
    /// Now.
    pub now: Instant,
    /// When the last pause of the process ended.
    pub resumed: Option<Instant>,
    /// Until when clients may not have been heard that had asked another node.
    pub unheard: Option<Instant>,
}

impl Tick {
    /// The time at which they fire while all clients are heard.
    #[must_use]
    pub fn at(now: Instant) -> Self {
        Self {
            now,
            resumed: None,
            unheard: None,
        }
    }
}

/// Calls `fire` for every session that is due, with the time it was due at and the time it is.
pub async fn sweep(timers: &Timers, fire: impl Fn(ClientId, Instant, Tick)) {
    let clock = || tokio::time::Instant::now().into_std();
    let mut pauses = Pauses::default();
    let mut due = Vec::new();
    loop {
        let earlier = timers.earlier.notified();
        let now = clock();
        let next = timers.take_due(now, &mut due);
        let resumed = pauses.wake(due.first().map(|(at, _)| *at), now);
        for (at, id) in due.drain(..) {
            let tick = Tick {
                resumed,
                ..Tick::at(now)
            };
            fire(id, at, tick);
        }
        sleep_until(pauses.sleep(next, clock()), earlier).await;
    }
}

async fn sleep_until(next: Option<Instant>, earlier: impl Future<Output = ()>) {
    match next {
        None => earlier.await,
        Some(next) => tokio::select! {
            () = earlier => {}
            () = tokio::time::sleep_until(next.into()) => {}
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::bayeux::{ClientAdvice, RandomId};
    use crate::extensions::{Begun, Pipeline};
    use crate::session::{
        Browser, Connect, EndReason, EventsBy, Origin, Session, Settings, Shared,
    };

    fn session() -> (Arc<Session>, Arc<Shared>, Instant) {
        let shared = Shared::of(Settings::default(), Pipeline::default());
        let now = Instant::now();
        let id = RandomId::from_random([1; 16]);
        let session = Session::new(
            ClientId(id),
            Arc::new(Browser::new(id)),
            false,
            Arc::clone(&shared),
            Begun::new(now),
            None,
            Origin::default(),
        );
        (session, shared, now)
    }

    fn connect(interval: Duration) -> Connect {
        Connect {
            advice: Some(ClientAdvice {
                timeout: Some(Duration::ZERO),
                interval: Some(interval),
            }),
            may_be_held: true,
            lifetime: None,
            events_by: EventsBy::Replies,
            browser: None,
            by_http2: false,
            ack: None,
        }
    }

    fn tick(now: Instant) -> Tick {
        Tick::at(now)
    }

    #[test]
    fn a_session_has_one_entry_however_near_its_deadlines_come() {
        let (session, shared, now) = session();
        let far = Duration::from_secs(60);
        assert_eq!(shared.timers.len(), 1);
        // Until its first timer fires, no deadline is nearer.
        let first = now + Duration::from_secs(10);
        session.connect(&connect(far), now);
        let mut due = Vec::new();
        shared.timers.take_due(first, &mut due);
        assert_eq!(session.on_timer(due[0].0, tick(first)), None);
        for nearer in 0..1000 {
            session.connect(&connect(far - Duration::from_millis(nearer)), now);
            assert_eq!(shared.timers.len(), 1, "after {nearer} connects");
        }
        let last = now + far + Duration::from_secs(10) - Duration::from_millis(999);
        due.clear();
        assert_eq!(shared.timers.take_due(last, &mut due), None);
        assert_eq!(due, [(last, session.id())], "the nearest is what is kept");
        let ended = session.on_timer(last, tick(last));
        assert_eq!(ended, Some(EndReason::Expired), "and it expires then");
    }

    #[test]
    fn a_session_that_has_ended_has_no_entry() {
        let (session, shared, _) = session();
        assert!(session.end(EndReason::Disconnect).is_some());
        assert_eq!(shared.timers.len(), 0);
    }
}
