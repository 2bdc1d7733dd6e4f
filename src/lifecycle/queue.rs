//! Events that wait for whoever takes them to somebody outside: in their order, and so many at most.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use tokio::sync::Notify;

use super::LifecycleEvent;

/// A queue of events; of more than it may hold the oldest are dropped and counted.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    has_more: Notify,
    max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<LifecycleEvent>>,
    dropped: u64,
}

/// What was taken from a queue; as JSON `{"events": […]}`, and `"dropped"` if any were.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// The events, from the oldest.
    #[serde(serialize_with = "each")]
    pub events: Vec<Arc<LifecycleEvent>>,
    /// How many were dropped before the first of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub dropped: u64,
}

fn each<S: Serializer>(events: &[Arc<LifecycleEvent>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(AsRef::as_ref))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Queue {
    /// Makes one for so many events.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            has_more: Notify::new(),
            max: max.max(1),
        }
    }

    /// Adds an event; returns how many were dropped for it.
    pub fn push(&self, event: &Arc<LifecycleEvent>) -> usize {
        let mut waiting = self.lock();
        let is_full = waiting.events.len() >= self.max;
        if is_full {
            waiting.events.pop_front();
            waiting.dropped += 1;
        }
        waiting.events.push_back(Arc::clone(event));
        drop(waiting);
        self.has_more.notify_one();
        usize::from(is_full)
    }

    /// Takes so many at most, and waits for the first.
    ///
    /// It may be dropped while it waits; then nothing was taken. One may wait at a time.
    pub async fn take(&self, most: usize) -> Taken {
        loop {
            let more = self.has_more.notified();
            let taken = self.try_take(most);
            if !taken.events.is_empty() {
                return taken;
            }
            more.await;
        }
    }

    /// Takes what is there, and so many at most.
    #[must_use]
    pub fn try_take(&self, most: usize) -> Taken {
        let mut waiting = self.lock();
        let count = waiting.events.len().min(most);
        if count == 0 {
            return Taken::default();
        }
        Taken {
            events: waiting.events.drain(..count).collect(),
            dropped: std::mem::take(&mut waiting.dropped),
        }
    }

    /// Returns how many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().events.len()
    }

    /// Tells whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::{ChannelPattern, Limits};
    use crate::lifecycle::Kind;

    fn event(channel: &str) -> Arc<LifecycleEvent> {
        let channel = ChannelPattern::parse(channel, &Limits::default()).expect("a channel");
        Arc::new(LifecycleEvent::of_channel(Kind::Occupied, &channel))
    }

    #[tokio::test]
    async fn the_oldest_are_dropped_and_counted() {
        let queue = Queue::new(2);
        let events = ["/a", "/b", "/c", "/d"].map(event);
        let dropped = events.each_ref().map(|event| queue.push(event));
        assert_eq!(dropped, [0, 0, 1, 1]);
        let taken = queue.take(1).await;
        assert_eq!((taken.dropped, &taken.events[..]), (2, &events[2..3]));
        let text = serde_json::to_string(&taken).expect("JSON");
        let event = serde_json::to_string(&*events[2]).expect("JSON");
        assert_eq!(text, format!(r#"{{"events":[{event}],"dropped":2}}"#));
        let taken = queue.take(9).await;
        assert_eq!((taken.dropped, &taken.events[..]), (0, &events[3..]));
        let text = serde_json::to_string(&taken).expect("JSON");
        assert!(!text.contains("dropped"), "{text}");
        assert!(queue.is_empty());
    }

    #[tokio::test]
    async fn who_takes_waits_for_the_first() {
        let queue = Arc::new(Queue::new(2));
        let taking = Arc::clone(&queue);
        let taken = tokio::spawn(async move { taking.take(9).await });
        tokio::task::yield_now().await;
        let event = event("/a");
        queue.push(&event);
        assert_eq!(taken.await.expect("taken").events, [event]);
    }
}
