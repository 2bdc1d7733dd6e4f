//! The browsers that sessions run in, by their cookie, and how many connects each has held.

use std::hash::BuildHasherDefault;

use dashmap::DashMap;
use dashmap::Entry;

use super::IdHasher;
use crate::bayeux::RandomId;

/// The browsers with at least one session.
#[derive(Debug, Default)]
pub struct Browsers {
    browsers: DashMap<RandomId, Browser, BuildHasherDefault<IdHasher>>,
}

#[derive(Debug, Default)]
struct Browser {
    sessions: u32,
    held: u32,
}

impl Browsers {
    /// Tells whether a cookie is one this server made, and that a session still stands for.
    #[must_use]
    pub fn knows(&self, browser: RandomId) -> bool {
        self.browsers.contains_key(&browser)
    }

    /// Counts one more session of a browser.
    pub fn add_session(&self, browser: RandomId) {
        self.browsers.entry(browser).or_default().sessions += 1;
    }

    /// Counts one session less, and forgets the browser with its last.
    pub fn remove_session(&self, browser: RandomId) {
        self.change(browser, |browser| {
            browser.sessions = browser.sessions.saturating_sub(1)
        });
    }

    /// Counts one more held connect, unless there are `max` of them; below zero there is no bound.
    pub fn hold(&self, browser: RandomId, max: i32) -> bool {
        let Some(mut entry) = self.browsers.get_mut(&browser) else {
            return true;
        };
        let may = u32::try_from(max).map_or(true, |max| entry.held < max);
        if may {
            entry.held += 1;
        }
        may
    }

    /// Counts one held connect less.
    pub fn release(&self, browser: RandomId) {
        self.change(browser, |browser| {
            browser.held = browser.held.saturating_sub(1)
        });
    }

    fn change(&self, browser: RandomId, change: impl FnOnce(&mut Browser)) {
        if let Entry::Occupied(mut entry) = self.browsers.entry(browser) {
            change(entry.get_mut());
            if entry.get().sessions == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_connects_are_bounded_per_browser() {
        let browsers = Browsers::default();
        let browser = RandomId::from_random([1; 16]);
        assert!(
            browsers.hold(browser, 1),
            "an unknown browser is not counted"
        );
        browsers.add_session(browser);
        browsers.add_session(browser);
        assert!(!browsers.hold(browser, 0));
        assert!(browsers.hold(browser, 1));
        assert!(!browsers.hold(browser, 1));
        assert!(browsers.hold(browser, -1));
        browsers.release(browser);
        browsers.release(browser);
        assert!(browsers.hold(browser, 1));
        browsers.remove_session(browser);
        assert!(browsers.knows(browser));
        browsers.remove_session(browser);
        assert!(!browsers.knows(browser));
    }
}
