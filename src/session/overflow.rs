//! What is counted and said of a session that is given more than it may have queued.

use super::queue::{AtBound, Pushed};
use super::{EndReason, MaxQueuePolicy, Session};
use crate::bayeux::Event;
use crate::metrics::{Dropped, Limit, Notice};

/// What became of an event that was delivered to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Delivered {
    /// It is queued.
    Queued,
    /// It is kept, and comes to the session with what it has yet to get of the past.
    Later,
    /// It was dropped, because as many are queued as may be.
    Dropped,
    /// As many are queued as may be, and the session has to end.
    Refused,
    /// There is no memory for a longer queue, and the session has to end.
    NoMemory,
}

impl Delivered {
    /// Returns why the session has to end, if it has.
    #[must_use]
    pub fn end(self) -> Option<EndReason> {
        match self {
            Self::Queued | Self::Later | Self::Dropped => None,
            Self::Refused => Some(EndReason::MaxQueue),
            Self::NoMemory => Some(EndReason::Memory),
        }
    }
}

impl Session {
    /// Counts what happened at the bounds, and says it once. The session is not locked.
    pub(super) fn note(&self, event: &Event, pushed: &Pushed) -> Delivered {
        if let Some(at_bound) = &pushed.at_channel_bound {
            self.count(Limit::MaxChannelQueue, at_bound);
            let is_refused = pushed.is_refused && pushed.at_bound.is_none();
            if (at_bound.is_first || is_refused)
                && let Some(permit) = self.shared.metrics.may_log(Notice::ChannelQueue)
            {
                let consequence = consequence(at_bound, is_refused);
                tracing::warn!(
                    client_id = ?self.id,
                    channel = event.channel(),
                    suppressed = permit.suppressed,
                    "too many events of a channel are queued (max_queue of its [[channel]] entry): \
                     {consequence}; raise max_queue there, or choose another max_queue_policy"
                );
            }
        }
        if let Some(at_bound) = &pushed.at_bound {
            self.count(Limit::MaxQueue, at_bound);
            if (at_bound.is_first || pushed.is_refused)
                && let Some(permit) = self.shared.metrics.may_log(Notice::Queue)
            {
                let consequence = consequence(at_bound, pushed.is_refused);
                tracing::warn!(
                    client_id = ?self.id,
                    suppressed = permit.suppressed,
                    "the queue is full (bayeux.max_queue, bayeux.max_queue_bytes): {consequence}; \
                     raise them, or choose another bayeux.max_queue_policy"
                );
            }
        }
        match pushed {
            Pushed {
                is_refused: true, ..
            } => Delivered::Refused,
            Pushed {
                is_dropped: true, ..
            } => Delivered::Dropped,
            _ => Delivered::Queued,
        }
    }

    fn count(&self, limit: Limit, at_bound: &AtBound) {
        let metrics = &self.shared.metrics;
        metrics.limited(limit);
        let policy = match at_bound.policy {
            MaxQueuePolicy::End => return,
            MaxQueuePolicy::DropOldest => Dropped::Oldest,
            MaxQueuePolicy::DropNewest => Dropped::Newest,
            MaxQueuePolicy::Conflate => Dropped::Superseded,
        };
        metrics.dropped(policy, at_bound.dropped);
    }
}

fn consequence(at_bound: &AtBound, is_refused: bool) -> &'static str {
    match at_bound.policy {
        MaxQueuePolicy::End => "ending the session",
        MaxQueuePolicy::Conflate if is_refused => {
            "ending the session, which has no room for one event of every channel"
        }
        MaxQueuePolicy::DropOldest => "dropping the oldest",
        MaxQueuePolicy::DropNewest => "dropping the new ones",
        MaxQueuePolicy::Conflate => "keeping only the latest of every channel",
    }
}
