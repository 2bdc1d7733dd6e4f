//! What an operator may watch as it happens: figures, channels, one session; and what there is to say of the rules.

use super::BayeuxServer;
use crate::alias::Alias;
use crate::bayeux::ChannelPattern;
use crate::cluster::{Held, NodeId};
use crate::feeds::{Bounds, Feed, TooMany, Topic};
use crate::metrics::Limit;

/// A feed, and what brings the messages of a cluster to this node as long as it is read.
#[derive(Debug)]
pub struct Watching {
    /// The feed.
    pub feed: Feed,
    _held: Option<Held>,
}

impl BayeuxServer {
    /// Begins to watch figures.
    ///
    /// # Errors
    /// There are as many feeds as there may be.
    pub fn watch_figures(&self, bounds: Bounds) -> Result<Watching, TooMany> {
        self.watch(Topic::Figures, bounds, None)
    }

    /// Begins to watch what is published on a channel, or on all channels of a pattern: in a cluster by all nodes.
    ///
    /// # Errors
    /// There are as many feeds as there may be.
    pub fn watch_channels(
        &self,
        pattern: ChannelPattern,
        bounds: Bounds,
    ) -> Result<Watching, TooMany> {
        let interest = self.core.shared.interest.as_ref();
        let held = interest.map(|interest| interest.hold(vec![pattern.clone()]));
        self.watch(Topic::Channels(pattern), bounds, held)
    }

    /// Begins to watch what a session of this node is given, and publishes, on channels that one of these covers.
    ///
    /// # Errors
    /// There are as many feeds as there may be.
    pub fn watch_session(
        &self,
        alias: Alias,
        within: &[ChannelPattern],
        bounds: Bounds,
    ) -> Result<Watching, TooMany> {
        let topic = Topic::Session(self.client_of(alias), within.to_vec());
        self.watch(topic, bounds, None)
    }

    /// Tells whether a session is at this node.
    #[must_use]
    pub fn has_session(&self, alias: Alias) -> bool {
        self.core.sessions.find(self.client_of(alias)).is_some()
    }

    fn watch(&self, topic: Topic, bounds: Bounds, held: Option<Held>) -> Result<Watching, TooMany> {
        let feed = self.core.shared.feeds.watch(topic, bounds);
        let feed = feed.inspect_err(|_| self.metrics().limited(Limit::MaxWatchers))?;
        Ok(Watching { feed, _held: held })
    }

    /// Returns which node of a cluster this is.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.core.cluster.as_ref().map(|cluster| cluster.links.me)
    }
}
