//! What becomes of the pages that a session is given of the past.

use std::sync::Arc;

use crate::bayeux::{BayeuxError, ChannelPattern, Event, NotRecovered, Outcome};
use crate::history::{Kept, Page};
use crate::operations::Scope;
use crate::session::{Lost, Session};

impl Scope<'_> {
    /// Gives a session a page that was read for one of its runs.
    pub fn take_page(&self, session: &Arc<Session>, run: u64, page: &Page) {
        let event = |kept: &Kept| self.replayed_event(kept);
        let overtaken = |patterns: &[ChannelPattern], after| self.overtaken(patterns, after);
        let (queued, lost) = session.replay(run, page, event, overtaken, self.now);
        self.metrics().delivered.add(queued);
        self.metrics().history.replayed.add(queued);
        if let Some(Lost { patterns, after }) = lost {
            self.lose(session, &patterns, after);
        }
    }

    /// Makes what tells a client that some of what comes after a number is not kept any more; the rest comes.
    fn overtaken(&self, patterns: &[ChannelPattern], after: u64) -> Vec<Arc<Event>> {
        let epoch = self.history.store().map(|store| store.epoch());
        let told = |pattern: &ChannelPattern| {
            let outcome = Outcome {
                pattern: pattern.as_str(),
                failed: Some(NotRecovered::Expired),
                after,
                first: None,
                last: None,
                epoch: epoch.as_deref().unwrap_or_default(),
            };
            let event = Event::overtaken(pattern, &Outcome::json(&[outcome]));
            Arc::new(event.counted(&self.metrics().memory))
        };
        tracing::debug!(?patterns, after, "a replay was overtaken");
        patterns.iter().map(told).collect()
    }

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
