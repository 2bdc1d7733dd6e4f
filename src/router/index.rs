//! The subscribers of every channel and pattern, found by its text.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::DashMap;
use indexmap::IndexSet;

use super::rate::Rate;
use crate::bayeux::{ChannelName, ChannelPattern};
use crate::memory::{Kind, sizes};
use crate::session::{IdHasher, Session};

/// A session in a set of subscribers, the same as another if its client id is.
#[derive(Debug, Clone)]
pub(super) struct Subscriber(Arc<Session>);

impl Subscriber {
    pub(super) fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl PartialEq for Subscriber {
    fn eq(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

impl Eq for Subscriber {}

impl Hash for Subscriber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id().hash(state);
    }
}

type Set = IndexSet<Subscriber, BuildHasherDefault<IdHasher>>;

/// What a subscription takes beside its text, which the session's list has: a place in the set, one in the
/// index of that, and one in the list; each has room for half as many again.
const SUBSCRIPTION: usize = 80;
/// What a channel or pattern takes with its first: its entry, and its set with the least room.
const CHANNEL: usize = sizes::shared(size_of::<Subscribers>()) + 160;

/// Returns the bytes of a subscription, which is a channel's only one.
fn size(pattern: &ChannelPattern, is_only: bool) -> usize {
    let channel = if is_only { CHANNEL } else { 0 };
    SUBSCRIPTION + sizes::shared(pattern.as_str().len()) + channel
}

/// The subscribers of one channel or pattern; an empty set is on its way out of the index.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    state: RwLock<State>,
    rate: Rate,
}

#[derive(Debug, Default)]
struct State {
    set: Set,
    /// The set left the index: whoever still holds it must look it up again.
    is_gone: bool,
}

/// A set of subscribers that cannot change meanwhile.
pub(super) struct Reading<'a>(RwLockReadGuard<'a, State>);

impl Reading<'_> {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscriber> {
        self.0.set.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.0.set.len()
    }

    pub(super) fn contains(&self, subscriber: &Subscriber) -> bool {
        self.0.set.contains(subscriber)
    }
}

impl Subscribers {
    pub(super) fn read(&self) -> Reading<'_> {
        Reading(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns what counts the events that they are sent.
    pub(super) fn rate(&self) -> &Rate {
        &self.rate
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the messages of a channel or pattern come here, which is locked, so that it is heard in its order that it
/// is wanted and not.
fn take_interest(pattern: &ChannelPattern, session: &Session) {
    if let Some(interest) = &session.shared().interest {
        interest.add(pattern);
    }
}

fn lose_interest(pattern: &ChannelPattern, session: &Session) {
    if let Some(interest) = &session.shared().interest {
        interest.remove(pattern);
    }
}

/// All channels and patterns that have subscribers.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_pattern: DashMap<ChannelPattern, Arc<Subscribers>>,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.by_pattern.len()
    }

    pub(super) fn get(&self, pattern: &str) -> Option<Arc<Subscribers>> {
        self.by_pattern
            .get(pattern)
            .map(|entry| Arc::clone(entry.value()))
    }

    /// Visits all of them, in no order. A part of the index is locked meanwhile: nothing else may be.
    pub(super) fn each(&self, mut visit: impl FnMut(&ChannelPattern, &Arc<Subscribers>)) {
        for entry in &self.by_pattern {
            visit(entry.key(), entry.value());
        }
    }

    /// Visits the channels and patterns with subscribers; of each nothing changes meanwhile.
    pub(super) fn each_occupied(&self, mut visit: impl FnMut(&ChannelPattern)) {
        let mut all = Vec::with_capacity(self.len());
        self.each(|pattern, subscribers| all.push((pattern.clone(), Arc::clone(subscribers))));
        for (pattern, subscribers) in all {
            let reading = subscribers.read();
            if reading.len() > 0 {
                visit(&pattern);
            }
        }
    }

    /// Returns the subscribers of everything that matches a channel.
    pub(super) fn matching(&self, channel: &ChannelName) -> Vec<Arc<Subscribers>> {
        let mut matching = Vec::new();
        channel.each_pattern(|pattern| matching.extend(self.get(pattern)));
        matching
    }

    pub(super) fn insert(&self, pattern: &ChannelPattern, session: &Arc<Session>) {
        self.add(pattern, session, true);
    }

    /// Does so with a subscription of which all have heard already.
    pub(super) fn insert_known(&self, pattern: &ChannelPattern, session: &Arc<Session>) {
        self.add(pattern, session, false);
    }

    fn add(&self, pattern: &ChannelPattern, session: &Arc<Session>, is_new: bool) {
        loop {
            let subscribers = self.get(pattern.as_str()).unwrap_or_else(|| {
                let entry = self.by_pattern.entry(pattern.clone()).or_default();
                Arc::clone(entry.value())
            });
            let mut state = subscribers.write();
            if !state.is_gone {
                let is_first = state.set.is_empty();
                if state.set.insert(Subscriber(Arc::clone(session))) {
                    let size = size(pattern, is_first);
                    session.memory().add(Kind::Subscriptions, size);
                }
                if is_first {
                    take_interest(pattern, session);
                }
                if is_first {
                    // It is locked, so that the first and the last are heard in their order.
                    session.shared().lifecycle.note_occupied(pattern, is_new);
                }
                return;
            }
            drop(state);
            self.drop_from_index(pattern, &subscribers);
        }
    }

    pub(super) fn remove(&self, pattern: &ChannelPattern, session: &Arc<Session>) {
        let Some(subscribers) = self.get(pattern.as_str()) else {
            return;
        };
        let mut state = subscribers.write();
        let is_removed = state.set.swap_remove(&Subscriber(Arc::clone(session)));
        if is_removed {
            let is_last = state.set.is_empty();
            let size = size(pattern, is_last);
            session.memory().sub(Kind::Subscriptions, size);
            if is_last {
                lose_interest(pattern, session);
                session.shared().lifecycle.note_vacated(pattern);
            }
        }
        let leaves = state.set.is_empty() && !std::mem::replace(&mut state.is_gone, true);
        drop(state);
        if leaves {
            self.drop_from_index(pattern, &subscribers);
        }
    }

    fn drop_from_index(&self, pattern: &ChannelPattern, gone: &Arc<Subscribers>) {
        self.by_pattern
            .remove_if(pattern.as_str(), |_, current| Arc::ptr_eq(current, gone));
    }
}
