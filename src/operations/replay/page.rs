//! The next page of what a session missed.

use std::sync::Arc;
use std::time::Duration;

use crate::bayeux::{BayeuxError, ChannelPattern, ClientId, Event};
use crate::history::{Kept, Store};
use crate::memory::Level;
use crate::operations::{RETRY, Scope};
use crate::session::Session;

/// How long a session waits for its page while memory is short.
const SHORT: Duration = Duration::from_millis(200);

/// Reads the next page for a session, which has room for it, and queues it.
///
/// `scope` makes what it is done with.
pub async fn page<'s>(id: ClientId, store: &dyn Store, scope: impl Fn() -> Scope<'s>) {
    let Some(session) = scope().sessions.find(id) else {
        return;
    };
    if session.memory().level() == Level::Full {
        tokio::time::sleep(SHORT).await;
        return session.give_up_replay();
    }
    let Some((run, query)) = session.next_replay() else {
        return;
    };
    match store.read(query).await {
        Ok(page) => {
            let scope = scope();
            let event = |kept: &Kept| scope.replayed_event(kept);
            let (queued, lost) = session.replay(run, &page, event, scope.now);
            scope.metrics().delivered.add(queued);
            scope.metrics().history.replayed.add(queued);
            if let Some((patterns, position)) = lost {
                scope.lose(&session, &patterns, position);
            }
        }
        Err(_) => {
            tokio::time::sleep(RETRY).await;
            session.give_up_replay();
        }
    }
}

impl Scope<'_> {
    /// Makes the event of a message that is read; sessions that read the same share it.
    fn replayed_event(&self, kept: &Kept) -> Arc<Event> {
        let delivery = self.delivery(&kept.entry.channel);
        self.history.event(kept.place.id, || {
            self.kept_event(&kept.entry, kept.place.id, delivery)
        })
    }

    /// Tells a client that something it was to get is not kept any more: it is not subscribed to that any more,
    /// and may ask again from where it is.
    fn lose(&self, session: &Arc<Session>, patterns: &[ChannelPattern], position: u64) {
        self.unsubscribe(session, patterns);
        for pattern in patterns {
            let position = position.to_string();
            let error = BayeuxError::ReplayExpired.about(&[pattern.as_str(), &position]);
            tracing::debug!(client_id = ?session.id(), channel = pattern.as_str(), "a replay was overtaken");
            self.metrics().lost_subscriptions.increment();
            let event = Event::subscription_lost(pattern, &error);
            let event = Arc::new(event.counted(&self.metrics().memory));
            if let Some(reason) = session.deliver(&event, None, || self.now).end() {
                return self.end(session, reason);
            }
        }
    }
}
