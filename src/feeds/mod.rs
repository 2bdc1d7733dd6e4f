//! What somebody watches as it happens: figures, the messages of channels, the messages of one session.
//!
//! A feed never makes anybody wait: who reads too slowly loses the oldest, and is told how many. While nobody watches,
//! a publish and a delivery cost a look at a word that nobody writes.

mod feed;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::bayeux::{ChannelPattern, ClientId, Event};
use feed::Queue;
pub use feed::{Feed, Item, Kind, Taken};

/// What is watched.
#[derive(Debug, Clone)]
pub enum Topic {
    /// The figures of the server.
    Figures,
    /// What is published on channels.
    Channels(ChannelPattern),
    /// What a session is given, and what it publishes itself, on channels that one of these covers.
    Session(ClientId, Vec<ChannelPattern>),
}

/// How much may be watched.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// So many feeds at once.
    pub feeds: usize,
    /// So many bytes may wait for who reads one.
    pub bytes: usize,
}

/// There are as many feeds as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany;

#[derive(Debug)]
struct Watched {
    number: u64,
    topic: Topic,
    queue: Arc<Queue>,
}

/// All that is watched.
#[derive(Debug, Default)]
pub struct Feeds {
    watched: RwLock<Vec<Watched>>,
    numbers: AtomicU64,
    /// How many are about channels or a session, and how many of those about a session.
    of_messages: AtomicUsize,
    of_sessions: AtomicUsize,
}

impl Feeds {
    /// Begins to watch something, until the feed is dropped.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn watch(self: &Arc<Self>, topic: Topic, bounds: Bounds) -> Result<Feed, TooMany> {
        let mut watched = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        if watched.len() >= bounds.feeds {
            return Err(TooMany);
        }
        let number = self.numbers.fetch_add(1, Relaxed);
        let queue = Arc::new(Queue::new(bounds.bytes));
        watched.push(Watched {
            number,
            topic,
            queue: Arc::clone(&queue),
        });
        self.count(&watched);
        Ok(Feed::new(Arc::clone(self), number, queue))
    }

    /// Tells whether anybody watches messages: most often not.
    #[must_use]
    pub fn has_of_messages(&self) -> bool {
        self.of_messages.load(Relaxed) > 0
    }

    /// Tells whether anybody watches a session: most often not.
    #[must_use]
    pub fn has_of_sessions(&self) -> bool {
        self.of_sessions.load(Relaxed) > 0
    }

    /// Shows an event that is published, perhaps by a session.
    pub fn published(&self, event: &Event, publisher: Option<ClientId>) {
        self.each(|topic| match topic {
            Topic::Channels(pattern) => pattern
                .covers(event.channel())
                .then(|| Item::new(Kind::Published, event.json())),
            Topic::Session(id, within) => (publisher == Some(*id) && is_within(within, event))
                .then(|| Item::new(Kind::Sent, event.json())),
            Topic::Figures => None,
        });
    }

    /// Shows an event that is given to a session.
    pub fn delivered(&self, session: ClientId, event: &Event) {
        self.each(|topic| match topic {
            Topic::Session(id, within) => (*id == session && is_within(within, event))
                .then(|| Item::new(Kind::Delivered, event.json())),
            Topic::Channels(_) | Topic::Figures => None,
        });
    }

    /// Shows figures.
    pub fn counted(&self, figures: &Bytes) {
        self.each(|topic| {
            matches!(topic, Topic::Figures).then(|| Item::new(Kind::Figures, figures))
        });
    }

    /// Ends the feeds of a session that has ended.
    pub fn ended(&self, session: ClientId) {
        for one in &*self.watched.read().unwrap_or_else(PoisonError::into_inner) {
            if matches!(one.topic, Topic::Session(id, _) if id == session) {
                one.queue.end();
            }
        }
    }

    fn each(&self, item: impl Fn(&Topic) -> Option<Item>) {
        for one in &*self.watched.read().unwrap_or_else(PoisonError::into_inner) {
            if let Some(item) = item(&one.topic) {
                one.queue.push(item);
            }
        }
    }

    fn forget(&self, number: u64) {
        let mut watched = self.watched.write().unwrap_or_else(PoisonError::into_inner);
        watched.retain(|one| one.number != number);
        self.count(&watched);
    }

    fn count(&self, watched: &[Watched]) {
        let count = |is: fn(&Topic) -> bool| watched.iter().filter(|one| is(&one.topic)).count();
        let of_messages = count(|topic| !matches!(topic, Topic::Figures));
        let of_sessions = count(|topic| matches!(topic, Topic::Session(..)));
        self.of_messages.store(of_messages, Relaxed);
        self.of_sessions.store(of_sessions, Relaxed);
    }
}

fn is_within(patterns: &[ChannelPattern], event: &Event) -> bool {
    let mut patterns = patterns.iter();
    patterns.any(|pattern| pattern.covers(event.channel()))
}

#[cfg(test)]
mod tests;
