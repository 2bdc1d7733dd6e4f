//! Subscriptions, and the way of an event from a channel to the sessions subscribed to it.
//!
//! A publish looks up the `depth + 2` patterns that match its channel and visits their
//! subscribers; no other channel or session is touched. A session that matches by several patterns
//! is skipped under all but the first, which one look-up a visit decides.

mod index;
mod listing;
mod options;
mod rate;
mod replay;
pub mod settings;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::bayeux::{ChannelName, ChannelPattern, ClientId, Event};
use crate::live::Live;
use crate::session::{self, Delivered, EndReason, Session};
use index::Index;
pub use listing::{Listed, Selection};
use options::Options;
pub use options::{Delivery, HistoryOptions};
use replay::Replays;
pub use replay::{ReplayOptions, history_policy};
pub use settings::{ChannelOptions, ReplayDefault, ReplayExpired, Settings};

/// Why a session was not subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSubscribed {
    /// There would be more channels than `bayeux.max_channels`.
    TooManyChannels,
    /// The session ended meanwhile.
    SessionEnded,
}

/// Who is subscribed to what.
#[derive(Debug)]
pub struct Router {
    rules: Live<Rules>,
    index: Index,
    /// From when on the rates of channels are counted: the first publish.
    began: OnceLock<Instant>,
}

/// What an operator has set about channels.
#[derive(Debug)]
struct Rules {
    settings: Settings,
    options: Options,
    replays: Replays,
}

impl Rules {
    fn new(settings: Settings, channels: &[ChannelOptions]) -> Self {
        let options = Options::new(channels, settings.broadcast_to_publisher);
        Self {
            settings,
            replays: Replays::new(&options),
            options,
        }
    }
}

/// What a publish did.
#[derive(Debug, Default)]
pub struct Published {
    /// The sessions that it was offered to, some perhaps more than once.
    pub visited: usize,
    /// The sessions that it is queued for.
    pub receivers: usize,
    /// The sessions that it was dropped for, and that go on: as many events are queued as may be.
    pub dropped: usize,
    /// The sessions that have to end, and why: their queues are full, or there is no memory for them.
    pub ended: Vec<(Arc<Session>, EndReason)>,
}

impl Default for Router {
    fn default() -> Self {
        Self::new(Settings::default(), &[])
    }
}

impl Router {
    /// Makes a router without subscriptions.
    #[must_use]
    pub fn new(settings: Settings, channels: &[ChannelOptions]) -> Self {
        Self {
            rules: Rules::new(settings, channels).into(),
            index: Index::default(),
            began: OnceLock::new(),
        }
    }

    /// Takes up other settings and options, for what is published and subscribed from now on.
    pub fn renew(&self, settings: Settings, channels: &[ChannelOptions]) {
        self.rules.set(Rules::new(settings, channels));
    }

    /// Tells whether a message without a `clientId` may be published.
    #[must_use]
    pub fn may_publish_without_session(&self) -> bool {
        self.rules.get().settings.publish_without_session
    }

    /// Returns which fields of a message its subscribers receive beside what Bayeux defines: its `ext`, and others.
    #[must_use]
    pub fn relayed(&self) -> (bool, bool) {
        let rules = self.rules.get();
        (rules.settings.relay_ext, rules.settings.relay_custom_fields)
    }

    fn has_room_for(&self, new: usize) -> bool {
        self.index.len() + new <= self.rules.get().settings.max_channels
    }

    /// Visits the channels and patterns that have a subscriber; of each nothing changes meanwhile.
    pub fn each_occupied(&self, visit: impl FnMut(&ChannelPattern)) {
        self.index.each_occupied(visit);
    }

    /// Returns how many channels and patterns have a subscriber.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Tells whether none has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells whether a channel or pattern has a subscriber.
    #[must_use]
    pub fn has_subscribers(&self, pattern: &ChannelPattern) -> bool {
        self.index.get(pattern.as_str()).is_some()
    }

    /// Subscribes a session to all of these, or to none.
    ///
    /// # Errors
    /// There would be too many channels, or the session has ended, which leaves it without any.
    pub fn subscribe(
        &self,
        session: &Arc<Session>,
        patterns: &[ChannelPattern],
    ) -> Result<(), NotSubscribed> {
        let new = patterns
            .iter()
            .filter(|pattern| !self.has_subscribers(pattern))
            .count();
        if new > 0 && !self.has_room_for(new) {
            return Err(NotSubscribed::TooManyChannels);
        }
        for pattern in patterns {
            self.index.insert(pattern, session);
            if !session.add_subscription(pattern) {
                self.index.remove(pattern, session);
                return Err(NotSubscribed::SessionEnded);
            }
        }
        Ok(())
    }

    /// Lets a session that was begun by another process go on with what it is subscribed to, of which all have
    /// heard there; returns for what of that there is no room any more.
    #[must_use]
    pub fn resume(&self, session: &Arc<Session>, max: usize) -> Vec<ChannelPattern> {
        let mut without_room = Vec::new();
        for (number, pattern) in session.subscriptions().into_iter().enumerate() {
            let has_room = self.has_subscribers(&pattern) || self.has_room_for(1);
            if number < max && has_room {
                self.index.insert_known(&pattern, session);
            } else {
                without_room.push(pattern);
            }
        }
        without_room
    }

    /// Takes subscriptions back.
    pub fn unsubscribe(&self, session: &Arc<Session>, patterns: &[ChannelPattern]) {
        for pattern in patterns {
            session.remove_subscription(pattern);
            self.index.remove(pattern, session);
        }
    }

    /// Removes a session that has ended from all it was subscribed to.
    pub fn forget(&self, session: &Arc<Session>, patterns: &[ChannelPattern]) {
        for pattern in patterns {
            self.index.remove(pattern, session);
        }
    }

    /// Returns how events of a channel are delivered; what its options leave open is as for all
    /// sessions.
    #[must_use]
    pub fn delivery(&self, channel: &ChannelName, sessions: &session::Settings) -> Delivery {
        self.rules.get().options.of(channel, sessions)
    }

    /// Tells whether any channel can be a resource.
    #[must_use]
    pub fn has_resources(&self) -> bool {
        self.rules.get().options.have_resources()
    }

    /// Returns how a subscribe to a channel or pattern gets what is kept of it; nothing if none of its channels
    /// can have history.
    #[must_use]
    pub fn replay(&self, pattern: &ChannelPattern) -> Option<ReplayOptions> {
        let rules = self.rules.get();
        rules.replays.of(pattern, &rules.options)
    }

    /// Tells whether all channels that a pattern matches have history.
    #[must_use]
    pub fn is_kept(&self, pattern: &ChannelPattern) -> bool {
        replay::is_kept(&self.rules.get().options, pattern)
    }

    /// Returns the sessions that are subscribed to just this channel or pattern.
    #[must_use]
    pub fn subscribed(&self, pattern: &ChannelPattern) -> Vec<Arc<Session>> {
        let subscribers = self.index.get(pattern.as_str());
        subscribers.map_or_else(Vec::new, |subscribers| {
            let set = subscribers.read();
            set.iter().map(|one| Arc::clone(one.session())).collect()
        })
    }

    /// Returns the time by the clock that rates are counted by.
    fn time(&self, now: Instant) -> Duration {
        let began = self.began.get_or_init(|| now);
        now.saturating_duration_since(*began)
    }

    /// Delivers an event to every session subscribed to its channel, once to each.
    pub fn publish(
        &self,
        channel: &ChannelName,
        event: &Arc<Event>,
        publisher: Option<ClientId>,
        delivery: Delivery,
        now: Instant,
    ) -> Published {
        let matching = self.index.matching(channel);
        let time = self.time(now);
        for subscribers in &matching {
            subscribers.rate().count(time);
        }
        let matching: Vec<_> = matching
            .iter()
            .map(|subscribers| subscribers.read())
            .collect();
        let mut published = Published::default();
        let mut settings = None;
        for (position, subscribers) in matching.iter().enumerate() {
            published.visited += subscribers.len();
            for subscriber in subscribers.iter() {
                let id = subscriber.session().id();
                let is_excluded = Some(id) == publisher && !delivery.to_publisher;
                let is_served = matching[..position]
                    .iter()
                    .any(|earlier| earlier.contains(subscriber));
                if is_excluded || is_served {
                    continue;
                }
                let session = subscriber.session();
                let settings = settings.get_or_insert_with(|| session.shared().settings.get());
                let delivered = session.deliver_by(event, delivery.lazy, || now, settings);
                if matches!(delivered, Delivered::Queued | Delivered::Later) {
                    published.receivers += 1;
                } else if delivered == Delivered::Dropped {
                    published.dropped += 1;
                } else if let Some(reason) = delivered.end() {
                    published.ended.push((Arc::clone(session), reason));
                }
            }
        }
        published
    }
}

#[cfg(test)]
mod tests;
