//! The browsers that sessions run in, by their cookie, and how many connects each has held.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use dashmap::DashMap;
use dashmap::Entry;

use crate::bayeux::RandomId;

/// The browsers with at least one session.
#[derive(Debug, Default)]
pub struct Browsers {
    /// By their cookies, which clients may choose: hence the hash with a key.
    browsers: DashMap<RandomId, Sessions>,
}

#[derive(Debug)]
struct Sessions {
    count: u32,
    browser: Arc<Browser>,
}

/// A browser. Its sessions hold on to it, so that their connects are counted without a look-up.
#[derive(Debug)]
pub struct Browser {
    id: RandomId,
    held: AtomicU32,
}

impl Browsers {
    /// Returns the browser of a cookie, if a session stands for it.
    #[must_use]
    pub fn find(&self, id: RandomId) -> Option<Arc<Browser>> {
        let entry = self.browsers.get(&id)?;
        Some(Arc::clone(&entry.browser))
    }

    /// Counts one more session of a browser.
    pub fn add_session(&self, id: RandomId) -> Arc<Browser> {
        let mut sessions = self.browsers.entry(id).or_insert_with(|| Sessions {
            count: 0,
            browser: Arc::new(Browser::new(id)),
        });
        sessions.count += 1;
        Arc::clone(&sessions.browser)
    }

    /// Counts one session less, and forgets the browser with its last.
    pub fn remove_session(&self, id: RandomId) {
        if let Entry::Occupied(mut entry) = self.browsers.entry(id) {
            let sessions = entry.get_mut();
            sessions.count = sessions.count.saturating_sub(1);
            if sessions.count == 0 {
                entry.remove();
            }
        }
    }
}

impl Browser {
    /// Makes a browser that no session stands for yet.
    #[must_use]
    pub fn new(id: RandomId) -> Self {
        Self {
            id,
            held: AtomicU32::new(0),
        }
    }

    /// Returns its cookie.
    #[must_use]
    pub fn id(&self) -> RandomId {
        self.id
    }

    /// Counts one more held connect, unless there are `max` of them; below zero there is no bound.
    #[must_use]
    pub fn hold(&self, max: i32) -> bool {
        let max = u32::try_from(max).unwrap_or(u32::MAX);
        let more = |held: u32| (held < max).then_some(held + 1);
        self.held.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Counts one held connect less.
    pub fn release(&self) {
        self.held.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_connects_are_bounded_per_browser() {
        let browser = Browser::new(RandomId::from_random([1; 16]));
        assert!(!browser.hold(0));
        assert!(browser.hold(1));
        assert!(!browser.hold(1));
        assert!(browser.hold(-1));
        browser.release();
        browser.release();
        assert!(browser.hold(1));
    }

    #[test]
    fn a_browser_is_known_while_it_has_sessions() {
        let browsers = Browsers::default();
        let id = RandomId::from_random([1; 16]);
        assert!(browsers.find(id).is_none());
        let first = browsers.add_session(id);
        let second = browsers.add_session(id);
        assert!(Arc::ptr_eq(&first, &second), "one browser for all");
        browsers.remove_session(id);
        assert!(browsers.find(id).is_some_and(|found| found.id() == id));
        browsers.remove_session(id);
        assert!(browsers.find(id).is_none());
    }
}
