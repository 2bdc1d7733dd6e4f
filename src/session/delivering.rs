//! How an event comes to a session: whatever has to go for it, or only if there is room.

use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::{Delivered, Inner, Session};
use crate::bayeux::Event;
use crate::memory::Level;

impl Session {
    /// Queues an event; a lazy one may wait for `lazy` before it resumes the held connect.
    pub fn deliver(
        &self,
        event: &Arc<Event>,
        lazy: Option<Duration>,
        now: impl Fn() -> Instant,
    ) -> Delivered {
        let Some(event) = self.passed(event, &now) else {
            return Delivered::Dropped;
        };
        let inner = self.lock();
        // One event for many sessions may double all their queues before anyone could be ended.
        if inner.state.queue_grows_long() && self.memory().level() == Level::Full {
            return Delivered::NoMemory;
        }
        self.push(inner, &event, lazy.map(|lazy| now() + lazy))
    }

    /// Queues an event if that takes at most a part of what may be queued, such as 4 for a quarter; else it is
    /// dropped, whatever the policy is, and nothing else has to go for it.
    pub fn offer(&self, event: &Arc<Event>, part: usize, now: impl Fn() -> Instant) -> Delivered {
        let Some(event) = self.passed(event, &now) else {
            return Delivered::Dropped;
        };
        let mut inner = self.lock();
        let is_short = inner.state.queue_grows_long() && self.memory().level() == Level::Full;
        if is_short
            || !inner
                .state
                .has_room_for(&event, part, &self.shared.settings)
        {
            return Delivered::Dropped;
        }
        self.push(inner, &event, None)
    }

    fn push(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        event: &Arc<Event>,
        lazy: Option<Instant>,
    ) -> Delivered {
        let (pushed, wake) = inner.state.deliver(event, lazy, &self.shared.settings);
        self.finish(inner, wake);
        self.note(event, &pushed)
    }
}
