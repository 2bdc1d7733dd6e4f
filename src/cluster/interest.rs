//! Which channels and patterns this node has subscribers of.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::bayeux::ChannelPattern;

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
    patterns: HashSet<ChannelPattern>,
    changes: Vec<Change>,
    /// What has got its first subscriber, or lost its last, since that was asked for.
    touched: Vec<ChannelPattern>,
    /// How many changes there were.
    made: u64,
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
        self.change(pattern, true);
    }

    /// Notes that it has lost its last.
    pub fn remove(&self, pattern: &ChannelPattern) {
        self.change(pattern, false);
    }

    fn change(&self, pattern: &ChannelPattern, is_wanted: bool) {
        let mut wanted = self.lock();
        let is_new = if is_wanted {
            wanted.patterns.insert(pattern.clone())
        } else {
            wanted.patterns.remove(pattern)
        };
        if is_new {
            wanted.made += 1;
            wanted.touched.push(pattern.clone());
            let pattern = pattern.clone();
            wanted.changes.push(Change { pattern, is_wanted });
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

    /// Takes what has got its first subscriber, or lost its last, since this was called before: its messages may
    /// not have come all the time.
    pub fn take_touched(&self) -> Vec<ChannelPattern> {
        std::mem::take(&mut self.lock().touched)
    }

    /// Takes the changes that were not taken yet, and how many there were with them.
    pub fn take(&self) -> (Vec<Change>, u64) {
        let mut wanted = self.lock();
        (std::mem::take(&mut wanted.changes), wanted.made)
    }

    /// Takes all that is wanted, for a connection that has nothing yet.
    pub fn take_all(&self) -> (Vec<ChannelPattern>, u64) {
        let mut wanted = self.lock();
        wanted.changes.clear();
        (wanted.patterns.iter().cloned().collect(), wanted.made)
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
        self.lock().patterns.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
