//! What all sessions of a server share, and what it tells clients that have none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Browsers, Ownership, Reconnects, Replays, Settings, Shares, Timers};
use crate::alias::Aliases;
use crate::bayeux::Advice;
use crate::cluster::Interest;
use crate::extensions::Pipeline;
use crate::feeds::Feeds;
use crate::lifecycle::Lifecycle;
use crate::live::Live;
use crate::metrics::Metrics;

/// What all sessions of a server share.
#[derive(Debug)]
pub struct Shared {
    /// Their settings.
    pub settings: Live<Settings>,
    /// The browsers they run in.
    pub browsers: Browsers,
    /// How many of them are whose.
    pub shares: Shares,
    /// When each of them is due.
    pub timers: Timers,
    /// When the clients come back that lose theirs.
    pub reconnects: Reconnects,
    /// Which of them are to be given of the past.
    pub replays: Replays,
    /// What they are subscribed to, for the other nodes of a cluster.
    pub interest: Option<Arc<Interest>>,
    /// Whose they are, if there are other nodes.
    pub ownership: Option<Arc<Ownership>>,
    /// What looks at all their messages.
    pub extensions: Pipeline,
    /// What they are called in the hearing of others.
    pub aliases: Aliases,
    /// Who hears of their beginnings and ends.
    pub lifecycle: Lifecycle,
    /// Who watches their messages.
    pub feeds: Arc<Feeds>,
    /// What is counted of them.
    pub metrics: Arc<Metrics>,
}

impl Shared {
    /// Makes what the sessions of a server by itself share.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of(settings: Settings, extensions: Pipeline) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.into(),
            browsers: Browsers::default(),
            shares: Shares::default(),
            timers: Timers::default(),
            reconnects: Reconnects::default(),
            replays: Replays::default(),
            interest: None,
            ownership: None,
            extensions,
            aliases: Aliases::default(),
            lifecycle: Lifecycle::default(),
            feeds: Arc::default(),
            metrics: Arc::default(),
        })
    }

    /// Returns what a client is told whose session is gone.
    #[must_use]
    pub fn handshake_advice(&self, is_blind: bool, now: Instant) -> Advice {
        Advice::handshake(self.wait(is_blind, now), self.settings.get().timeout)
    }

    /// Returns what a client is told that there is no room for a session now.
    #[must_use]
    pub fn full_advice(&self, least: Duration, is_blind: bool, now: Instant) -> Advice {
        Advice::retry(
            least + self.wait(is_blind, now),
            self.settings.get().timeout,
        )
    }

    /// Returns advice as it is, or if the server stops, with the time after which to come back.
    #[must_use]
    pub fn at_stop(&self, mut advice: Advice, is_blind: bool, now: Instant) -> Advice {
        if self.reconnects.is_stopping()
            && let Some(interval) = &mut advice.interval
        {
            *interval = self.wait(is_blind, now).max(*interval);
        }
        advice
    }

    /// Returns how long one more client is to wait before it comes back. One that is blind does not
    /// see that nothing listens, and would wait for the reply to its next poll for long.
    pub fn wait(&self, is_blind: bool, now: Instant) -> Duration {
        let least = if is_blind && self.reconnects.is_stopping() {
            self.settings.get().callback_reconnect_interval
        } else {
            Duration::ZERO
        };
        let settings = self.settings.get();
        least + self.reconnects.wait(&settings, &self.metrics, now)
    }
}
