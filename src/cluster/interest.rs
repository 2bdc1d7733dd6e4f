//! Which channels and patterns this node has subscribers of.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::bayeux::{ChannelName, ChannelPattern};

/// Channels and patterns of which it is remembered that they may not have come all the time.
const MAX_TOUCHED: usize = 10_000;

/// A channel or pattern that has got its first subscriber here, or lost its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The channel or pattern.
    pub pattern: ChannelPattern,
    /// It has a subscriber.
    pub is_wanted: bool,
}

/// Which channels and patterns this node has subscribers of, and whether their messages come.
#[derive(Debug)]
pub struct Interest {
    wanted: Mutex<Wanted>,
    more: Notify,
    /// How many changes are done, and whether the backplane is connected.
    done: watch::Sender<Done>,
}

#[derive(Debug, Default)]
struct Wanted {
    patterns: HashMap<ChannelPattern, Why>,
    /// What was not taken yet: whether it is wanted. What has come and gone meanwhile is no change.
    changes: HashMap<ChannelPattern, bool>,
    /// What has got its first subscriber, or lost its last, and with which change last: until that is passed its
    /// messages may not come all the time.
    touched: HashMap<ChannelPattern, u64>,
    /// So many were touched that it may be any, up to this change.
    any_touched: Option<u64>,
    /// What was touched, and is passed.
    passed: Touched,
    /// How many changes there were.
    made: u64,
}

/// What has got its first subscriber, or lost its last, some time before, and comes all the time, or never, from now on.
#[derive(Debug, Default)]
pub struct Touched {
    /// The channels and patterns.
    pub patterns: HashSet<ChannelPattern>,
    /// There were so many that it may be any.
    pub may_be_any: bool,
}

impl Touched {
    fn add(&mut self, pattern: ChannelPattern) {
        if self.patterns.len() >= MAX_TOUCHED {
            self.patterns.clear();
            self.may_be_any = true;
        }
        self.patterns.insert(pattern);
    }
}

impl Wanted {
    fn touch(&mut self, pattern: &ChannelPattern) {
        if self.touched.len() >= MAX_TOUCHED {
            self.touched.clear();
            self.any_touched = Some(self.made);
        }
        self.touched.insert(pattern.clone(), self.made);
    }

    fn pass(&mut self, changes: u64) {
        let passed = self.touched.extract_if(|_, made| *made <= changes);
        for (pattern, _) in passed {
            self.passed.add(pattern);
        }
        if self.any_touched.take_if(|made| *made <= changes).is_some() {
            self.passed.may_be_any = true;
        }
    }
}

/// Why a channel or pattern is wanted.
#[derive(Debug, Default, Clone, Copy)]
struct Why {
    is_subscribed: bool,
    /// So many hold it for sessions that are about to come.
    held: u32,
}

impl Why {
    fn is_any(self) -> bool {
        self.is_subscribed || self.held > 0
    }
}

/// Channels and patterns that are wanted whether or not they have subscribers, until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it holds nothing"]
pub struct Held {
    interest: Arc<Interest>,
    patterns: Vec<ChannelPattern>,
}

impl Held {
    /// Returns what is held.
    #[must_use]
    pub fn patterns(&self) -> &[ChannelPattern] {
        &self.patterns
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for pattern in &self.patterns {
            self.interest
                .change(pattern, |why| why.held = why.held.saturating_sub(1));
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
struct Done {
    changes: u64,
    is_up: bool,
}

impl Default for Interest {
    fn default() -> Self {
        Self {
            wanted: Mutex::default(),
            more: Notify::new(),
            done: watch::Sender::new(Done::default()),
        }
    }
}

impl Interest {
    /// Notes that a channel or pattern has got its first subscriber.
    pub fn add(&self, pattern: &ChannelPattern) {
        self.change(pattern, |why| why.is_subscribed = true);
    }

    /// Notes that it has lost its last.
    pub fn remove(&self, pattern: &ChannelPattern) {
        self.change(pattern, |why| why.is_subscribed = false);
    }

    /// Wants these for sessions that are about to come, until that is dropped.
    pub fn hold(self: &Arc<Self>, patterns: Vec<ChannelPattern>) -> Held {
        for pattern in &patterns {
            self.change(pattern, |why| why.held += 1);
        }
        Held {
            interest: Arc::clone(self),
            patterns,
        }
    }

    fn change(&self, pattern: &ChannelPattern, change: impl FnOnce(&mut Why)) {
        let mut wanted = self.lock();
        let why = wanted.patterns.entry(pattern.clone()).or_default();
        let before = why.is_any();
        change(why);
        let is_wanted = why.is_any();
        if !is_wanted {
            wanted.patterns.remove(pattern);
        }
        if is_wanted != before {
            wanted.made += 1;
            wanted.touch(pattern);
            if wanted.changes.remove(pattern).is_none() {
                wanted.changes.insert(pattern.clone(), is_wanted);
            }
            drop(wanted);
            self.more.notify_one();
        }
    }

    /// Waits until all that is wanted now comes here; at once while the backplane is away, as whatever is missed
    /// then is looked for later. Nothing: it comes already.
    pub fn settled(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        let made = self.lock().made;
        let is_done = move |done: &Done| !done.is_up || done.changes >= made;
        let mut done = self.done.subscribe();
        if is_done(&done.borrow()) {
            return None;
        }
        Some(async move {
            // The other end may be gone when the server is.
            let _ = done.wait_for(is_done).await;
        })
    }

    /// Takes what was passed since this was called before: its messages may not have come all the time until then.
    pub fn take_passed(&self) -> Touched {
        std::mem::take(&mut self.lock().passed)
    }

    /// Tells whether messages on a channel may be missing now because it, or a pattern that covers it, has just got
    /// its first subscriber, or lost its last.
    #[must_use]
    pub fn is_settling(&self, channel: &ChannelName) -> bool {
        let wanted = self.lock();
        let mut is_touched = wanted.any_touched.is_some();
        channel.each_pattern(|pattern| is_touched |= wanted.touched.contains_key(pattern));
        is_touched
    }

    /// Notes that whoever takes messages has taken all that came before so many changes had led to something.
    pub fn note_passed(&self, changes: u64) {
        self.lock().pass(changes);
    }

    /// Takes the changes that were not taken yet, and how many there were with them.
    pub fn take(&self) -> (Vec<Change>, u64) {
        let mut wanted = self.lock();
        let changes = std::mem::take(&mut wanted.changes).into_iter();
        let changes = changes.map(|(pattern, is_wanted)| Change { pattern, is_wanted });
        (changes.collect(), wanted.made)
    }

    /// Takes all that is wanted, for a connection that has nothing yet.
    pub fn take_all(&self) -> (Vec<ChannelPattern>, u64) {
        let mut wanted = self.lock();
        wanted.changes.clear();
        (wanted.patterns.keys().cloned().collect(), wanted.made)
    }

    /// Waits for a change.
    pub async fn changed(&self) {
        self.more.notified().await;
    }

    /// Notes that the messages of all that so many changes have led to come here.
    pub fn note_done(&self, changes: u64) {
        self.done.send_modify(|done| done.changes = changes);
    }

    /// Notes whether the backplane is connected.
    pub fn note_up(&self, is_up: bool) {
        self.done.send_modify(|done| done.is_up = is_up);
    }

    /// Returns all that is wanted.
    #[must_use]
    pub fn patterns(&self) -> Vec<ChannelPattern> {
        self.lock().patterns.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::Limits;

    #[test]
    fn what_is_held_or_subscribed_is_wanted_once() {
        let interest = Arc::new(Interest::default());
        let pattern = ChannelPattern::parse("/a/*", &Limits::default()).expect("a pattern");
        let changes = || {
            let (changes, _) = interest.take();
            let is_wanted = changes.iter().map(|change| change.is_wanted);
            is_wanted.collect::<Vec<_>>()
        };
        let held = interest.hold(vec![pattern.clone()]);
        let also = interest.hold(vec![pattern.clone()]);
        assert_eq!(changes(), [true]);
        interest.add(&pattern);
        drop(held);
        interest.remove(&pattern);
        assert!(changes().is_empty());
        assert_eq!(interest.patterns(), also.patterns());
        interest.add(&pattern);
        drop(also);
        assert!(changes().is_empty());
        interest.remove(&pattern);
        assert_eq!(changes(), [false]);
        assert!(interest.patterns().is_empty());
    }

    #[test]
    fn what_is_touched_settles_until_its_last_change_is_passed() {
        let interest = Interest::default();
        let limits = Limits::default();
        let pattern = ChannelPattern::parse("/a/*", &limits).expect("a pattern");
        let channel = |name| ChannelName::parse(name, &limits).expect("a channel");
        interest.add(&pattern);
        let (_, first) = interest.take();
        interest.remove(&pattern);
        interest.note_passed(first);
        assert!(interest.is_settling(&channel("/a/b")));
        assert!(!interest.is_settling(&channel("/b")));
        assert!(interest.take_passed().patterns.is_empty());
        let (_, second) = interest.take();
        interest.note_passed(second);
        assert!(!interest.is_settling(&channel("/a/b")));
        assert_eq!(interest.take_passed().patterns, [pattern].into());
        assert!(interest.take_passed().patterns.is_empty());
    }

    #[test]
    fn of_too_many_that_are_touched_it_may_be_any() {
        let interest = Interest::default();
        let limits = Limits::default();
        for number in 0..=MAX_TOUCHED {
            let name = format!("/a/{number}");
            interest.add(&ChannelPattern::parse(&name, &limits).expect("a pattern"));
        }
        let other = ChannelName::parse("/b", &limits).expect("a channel");
        assert!(interest.is_settling(&other));
        let (_, all) = interest.take();
        interest.note_passed(all);
        assert!(!interest.is_settling(&other));
        assert!(interest.take_passed().may_be_any);
    }
}
