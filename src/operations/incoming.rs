//! What comes to a node of a cluster: a message that some node has published, or that one is missing.

use std::sync::Arc;

use futures_util::FutureExt;

use super::{Later, Scope};
use crate::bayeux::{ChannelName, ChannelPattern, Event, Limits};
use crate::cluster::Incoming;
use crate::resources::Current;

impl Scope<'_> {
    /// Sends a message of the cluster to its subscribers here, and changes the resource that it is of; returns what
    /// they get, if it is for them at all, and whether there are any.
    pub fn send_incoming(&self, message: &Incoming) -> (Option<Arc<Event>>, bool) {
        let Incoming {
            place,
            entry,
            publisher,
        } = message;
        let channel = &entry.channel;
        let delivery = self.delivery(channel);
        if delivery.is_resource {
            self.keep_resource(entry, place.id);
        }
        let sent = (!entry.is_deletion()).then(|| {
            let id = delivery.history.map_or(0, |_| place.id);
            let event = self.made_event(entry, id, place.id, delivery);
            let visited = self.sent(channel, &event, *publisher, delivery);
            (event, visited > 0)
        });
        self.shared.replays.note_sent(place.id);
        self.metrics().cluster.received.increment();
        match sent {
            Some((event, is_heard)) => (Some(event), is_heard),
            None => (None, false),
        }
    }

    /// Lets the reply to the message that is being done wait until all that is subscribed to comes to this node.
    pub(super) fn wait_for_interest(&self) {
        if let Some(settled) = self.interest_settled() {
            self.keep_back(Later::new(settled.map(|()| Ok(None))));
        }
        // If this node dies another one is to know of it.
        let is_up = self.cluster.is_some_and(|links| links.backplane.is_up());
        let ownership = self.shared.ownership.as_ref().filter(|_| is_up);
        if let Some(told) = ownership.and_then(|ownership| ownership.settled()) {
            self.keep_back(Later::new(told.map(|()| Ok(None))));
        }
    }

    /// Waits until all that is subscribed to comes to this node; nothing: it does.
    pub(super) fn interest_settled(&self) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.shared.interest.as_ref()?.settled()
    }

    /// Returns a resource as it is now, for the node itself.
    #[must_use]
    pub fn resource_now(&self, channel: &ChannelName) -> Option<Current> {
        self.resources.current(channel)
    }

    /// Tells whether a channel has history.
    #[must_use]
    pub fn has_history(&self, channel: &ChannelName) -> bool {
        self.delivery(channel).history.is_some()
    }

    /// Tells those who are subscribed to a channel, in whatever way, that messages may be missing.
    pub fn tell_gap_of(&self, channel: &ChannelName) {
        let mut patterns = Vec::new();
        let any = Limits::of_known_channels();
        channel.each_pattern(|text| patterns.extend(ChannelPattern::parse(text, &any)));
        for pattern in patterns {
            self.tell_gap(&pattern);
        }
    }

    /// Tells those who are subscribed to just this channel or pattern that messages may be missing.
    pub fn tell_gap(&self, pattern: &ChannelPattern) {
        for session in self.router.subscribed(pattern) {
            self.note_work(1);
            session.note_gap(std::slice::from_ref(pattern));
        }
    }
}
