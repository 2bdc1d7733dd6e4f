//! Which channels and patterns have subscribers: how many, and how much is published there.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Router;
use super::index::Subscribers;
use crate::bayeux::ChannelPattern;
use crate::session::Session;
use crate::smallest::{Page, Smallest};

/// A channel or pattern with at least one subscriber.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Listed {
    /// Its name.
    pub pattern: ChannelPattern,
    /// The sessions subscribed to just this.
    pub subscribers: usize,
    /// The events a second, over about the last ten seconds, that these were sent by it.
    pub rate: f64,
}

/// What is to be listed.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// What one of these covers.
    pub within: &'a [ChannelPattern],
    /// What this covers as well, if it is given.
    pub asked: Option<&'a ChannelPattern>,
    /// What comes behind this name.
    pub after: Option<&'a str>,
    /// So many at most.
    pub limit: usize,
}

impl Selection<'_> {
    fn has(&self, name: &str) -> bool {
        self.after.is_none_or(|after| after < name)
            && self.asked.is_none_or(|asked| asked.covers(name))
            && self.within.iter().any(|pattern| pattern.covers(name))
    }
}

impl Router {
    /// Lists channels and patterns by name. It looks at all names there are.
    #[must_use]
    pub fn list(&self, selection: &Selection<'_>, now: Instant) -> Page<Listed> {
        let mut smallest = Smallest::new(selection.limit);
        self.index.each(|pattern, subscribers| {
            if selection.has(pattern.as_str()) {
                smallest.offer(pattern.clone(), || {
                    (pattern.clone(), Arc::clone(subscribers))
                });
            }
        });
        let page = smallest.into_page();
        page.map(|(pattern, subscribers)| self.listed(pattern, &subscribers, now))
    }

    /// Returns a channel or pattern, and some of its subscribers, in no order; nothing if it has none.
    #[must_use]
    pub fn subscribers(
        &self,
        pattern: &ChannelPattern,
        max: usize,
        now: Instant,
    ) -> Option<(Listed, Vec<Arc<Session>>)> {
        let subscribers = self.index.get(pattern.as_str())?;
        let listed = self.listed(pattern.clone(), &subscribers, now);
        let reading = subscribers.read();
        let sessions = reading.iter().take(max);
        let sessions = sessions.map(|subscriber| Arc::clone(subscriber.session()));
        Some((listed, sessions.collect()))
    }

    /// Tells whether it may be told who is subscribed to a channel or pattern.
    #[must_use]
    pub fn has_presence(&self, pattern: &ChannelPattern) -> bool {
        self.rules.get().options.have_presence(pattern)
    }

    fn listed(&self, pattern: ChannelPattern, subscribers: &Subscribers, now: Instant) -> Listed {
        Listed {
            pattern,
            subscribers: subscribers.read().len(),
            rate: subscribers.rate().per_second(self.time(now)),
        }
    }
}
