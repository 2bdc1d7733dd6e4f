//! What is done when memory is short: the largest are ended, sessions and connections, until there is some again.
//!
//! To find them all sessions are looked at. That is not done on the way of any message, but by a task of its own,
//! once a mark is passed, on a thread that may block; and not again before ten times as long has passed, so it
//! takes a tenth of one core at most. A structure that always knows the largest would cost something with every
//! delivery, and be of use to nobody on most days.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::BayeuxServer;
use super::core::Core;
use crate::memory::{Large, Level, allocated};
use crate::metrics::{Limit, Notice};
use crate::session::{EndReason, Session};

/// How often the allocator is asked.
const OBSERVED: Duration = Duration::from_millis(100);
/// How long a search is not repeated: so many times as it took, and at least so long.
const REST: u32 = 10;
const LEAST_REST: Duration = Duration::from_millis(5);
/// Whoever has less than this queued is no offender.
const LEAST: usize = 1024;

/// Somebody who holds memory.
enum Holder {
    Session(Arc<Session>),
    Connection(Arc<Large>),
}

impl BayeuxServer {
    /// Keeps within the budget of memory, for ever.
    pub async fn relieve(&self) {
        let memory = &self.core.shared.metrics.memory;
        loop {
            // Either will do.
            let _ = timeout(OBSERVED, memory.pressed()).await;
            memory.observe(allocated());
            if memory.level() < Level::Pressed {
                continue;
            }
            let begun = Instant::now();
            let core = Arc::clone(&self.core);
            if let Err(error) = tokio::task::spawn_blocking(move || core.end_largest()).await {
                tracing::error!(%error, "the largest could not be ended");
            }
            sleep((begun.elapsed() * REST).max(LEAST_REST)).await;
        }
    }
}

impl Core {
    /// Ends the largest sessions and connections, until there is memory again.
    fn end_largest(&self) {
        let metrics = &self.shared.metrics;
        let memory = &metrics.memory;
        let sessions = self.sessions.all().into_iter();
        let sessions = sessions.map(|session| (session.weight(), Holder::Session(session)));
        let connections = memory.large().into_iter();
        let connections = connections.map(|large| (large.bytes(), Holder::Connection(large)));
        let mut largest: Vec<_> = sessions.filter(|(bytes, _)| *bytes >= LEAST).collect();
        largest.extend(connections);
        largest.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        let scope = self.scope(std::time::Instant::now());
        // What connections hold is free when they have noticed.
        let (mut ended, mut cut, mut promised) = (0_u64, 0_u64, 0);
        for (bytes, holder) in largest {
            if !memory.is_unrelieved(promised) {
                break;
            }
            match holder {
                Holder::Session(session) => {
                    scope.end(&session, EndReason::Memory);
                    ended += 1;
                }
                Holder::Connection(large) => {
                    large.cut();
                    metrics.memory_cut.increment();
                    promised += bytes as u64;
                    cut += 1;
                }
            }
        }
        if ended + cut == 0 {
            return;
        }
        metrics.limited(Limit::Memory);
        if let Some(permit) = metrics.may_log(Notice::Memory) {
            tracing::warn!(
                sessions = ended,
                connections = cut,
                suppressed = permit.suppressed,
                "memory is short (memory.budget): those that held most of it were ended"
            );
        }
    }
}
