//! The server's resources: which channels are, what they hold, and how they change.

use std::time::Instant;

use super::BayeuxServer;
use crate::bayeux::{ChannelKind, ChannelName};
use crate::operations::resources::{self, ByteRange, NotWritten};
use crate::resources::{Conditions, Current, Had, Watch, Written};

impl BayeuxServer {
    /// Tells whether any channel can be a resource.
    #[must_use]
    pub fn has_resources(&self) -> bool {
        self.core.router.has_resources()
    }

    /// Returns the channel of this name, if it is a resource.
    #[must_use]
    pub fn resource_channel(&self, name: &str) -> Option<ChannelName> {
        let channel = ChannelName::parse(name, &self.core.limits).ok()?;
        let is_broadcast = channel.kind() == ChannelKind::Broadcast;
        let delivery = self.core.scope(Instant::now()).delivery(&channel);
        (is_broadcast && delivery.is_resource).then_some(channel)
    }

    /// Returns a resource as it is now.
    #[must_use]
    pub fn resource(&self, channel: &ChannelName) -> Option<Current> {
        self.core.resources.current(channel)
    }

    /// Begins to wait for a resource's change.
    #[must_use]
    pub fn watch_resource(&self, channel: &ChannelName, had: &Had) -> Watch {
        self.core.resources.watch(channel, had)
    }

    /// Gives a resource a representation, and publishes it; tells also how much work that was.
    ///
    /// # Errors
    /// It is no JSON within the bounds, or a condition is not met.
    pub fn put_resource(
        &self,
        channel: &ChannelName,
        body: &[u8],
        conditions: &Conditions,
        now: Instant,
    ) -> (Result<Written, NotWritten>, usize) {
        let scope = self.core.scope(now);
        let written = resources::put(channel, body, conditions, &scope);
        (written, scope.work.get())
    }

    /// Replaces or appends a part of a resource's representation, and publishes the whole; tells also how
    /// much work that was.
    ///
    /// # Errors
    /// There is no representation, the part does not fit, the whole would be no JSON within the
    /// bounds, or a condition is not met.
    pub fn patch_resource(
        &self,
        channel: &ChannelName,
        part: &[u8],
        range: ByteRange,
        conditions: &Conditions,
        now: Instant,
    ) -> (Result<Written, NotWritten>, usize) {
        let scope = self.core.scope(now);
        let written = resources::patch(channel, part, range, conditions, &scope);
        (written, scope.work.get())
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// There is none, or a condition is not met.
    pub fn delete_resource(
        &self,
        channel: &ChannelName,
        conditions: &Conditions,
        now: Instant,
    ) -> Result<Written, NotWritten> {
        resources::delete(channel, conditions, &self.core.scope(now))
    }
}
