//! The server's resources: which channels are, what they hold, and how they change.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::BayeuxServer;
use super::core::Core;
use super::verdicts::Verdicts;
use super::waits::{Asked, Waits};
use crate::bayeux::{ChannelKind, ChannelName};
use crate::operations::resources::{self, ByteRange, Changing, NotWritten};
use crate::operations::{Actor, Denied};
use crate::resources::{Conditions, Current, Had, Watch, Written};

/// A resource that is changed.
#[derive(Debug)]
pub enum Changed {
    /// That led to this.
    Done(Written),
    /// The response has to wait.
    Unsettled(Unsettled),
}

/// What the response to a change has to wait for: that it is stored, or why not. Dropped, it ends that.
#[must_use = "the response leaves when it is over"]
pub struct Unsettled {
    changing: Pin<Box<dyn Future<Output = Result<Written, NotWritten>> + Send>>,
    written: Option<Written>,
    waits: Waits,
}

impl Future for Unsettled {
    type Output = Result<Written, NotWritten>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let written = match self.written {
            Some(written) => written,
            None => match ready!(self.changing.as_mut().poll(context)) {
                Ok(written) => *self.written.insert(written),
                Err(error) => return Poll::Ready(Err(error)),
            },
        };
        let verdicts = self.waits.poll(context);
        verdicts.map(|verdicts| match verdicts.into_result() {
            Ok(()) => Ok(written),
            Err(refusal) => Err(NotWritten::Denied(refusal.into())),
        })
    }
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsettled")
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl BayeuxServer {
    /// Tells whether any channel can be a resource.
    #[must_use]
    pub fn has_resources(&self) -> bool {
        self.core.router.has_resources()
    }

    /// Takes the resources up that a store has kept since before the server was started. A store that fails is
    /// told of, and leaves them to come with their next change.
    pub async fn take_up_resources(&self) {
        let store = self.core.history.store();
        if store.is_some_and(|store| store.is_durable()) {
            take_up(&self.core).await;
        }
    }

    /// Returns the channel of this name, if it is a resource.
    #[must_use]
    pub fn resource_channel(&self, name: &str) -> Option<ChannelName> {
        let channel = ChannelName::parse(name, &self.core.terms.get().limits).ok()?;
        let is_broadcast = channel.kind() == ChannelKind::Broadcast;
        let delivery = self.core.scope(Instant::now()).delivery(&channel);
        (is_broadcast && delivery.is_resource).then_some(channel)
    }

    /// Returns a resource as it is now.
    ///
    /// # Errors
    /// An extension refuses it.
    pub fn resource(
        &self,
        channel: &ChannelName,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<Option<Current>, Denied> {
        resources::read(channel, actor, &self.core.scope(now))
    }

    /// Begins to wait for a resource's changes.
    ///
    /// # Errors
    /// An extension refuses it.
    pub fn watch_resource(
        &self,
        channel: &ChannelName,
        had: &Had,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<Watch, Denied> {
        resources::watch(channel, had, actor, &self.core.scope(now))
    }

    /// Gives a resource a representation, and publishes it; tells also how much work that was.
    ///
    /// # Errors
    /// It is no JSON within the bounds, an extension refuses it, or a condition is not met.
    pub fn put_resource(
        &self,
        channel: &ChannelName,
        body: &[u8],
        conditions: &Conditions,
        actor: &Actor<'_>,
        now: Instant,
    ) -> (Result<Changed, NotWritten>, usize) {
        let scope = self.core.scope(now);
        let written = resources::put(channel, body, conditions, actor, &scope);
        (self.changed(channel, written, now), scope.work.get())
    }

    /// Replaces or appends a part of a resource's representation, and publishes the whole; tells also how
    /// much work that was.
    ///
    /// # Errors
    /// An extension refuses it, there is no representation, the part does not fit, the whole would be no
    /// JSON within the bounds, or a condition is not met.
    pub fn patch_resource(
        &self,
        channel: &ChannelName,
        part: &[u8],
        range: ByteRange,
        conditions: &Conditions,
        actor: &Actor<'_>,
        now: Instant,
    ) -> (Result<Changed, NotWritten>, usize) {
        let scope = self.core.scope(now);
        let written = resources::patch(channel, part, range, conditions, actor, &scope);
        (self.changed(channel, written, now), scope.work.get())
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// An extension refuses it, there is none, or a condition is not met.
    pub fn delete_resource(
        &self,
        channel: &ChannelName,
        conditions: &Conditions,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<Changed, NotWritten> {
        let deleted = resources::delete(channel, conditions, actor, &self.core.scope(now));
        self.changed(channel, deleted, now)
    }

    fn changed(
        &self,
        channel: &ChannelName,
        changed: Result<resources::Changed, NotWritten>,
        now: Instant,
    ) -> Result<Changed, NotWritten> {
        let (changing, waits) = changed?;
        let mut asked = Asked::default();
        asked.note(0, waits);
        let store = self.core.history.store().map(Arc::clone);
        let (written, changing) = match changing {
            Changing::Done(written) if asked.is_empty() => return Ok(Changed::Done(written)),
            Changing::Done(written) => (Some(written), None),
            changing => (None, Some(changing)),
        };
        let channel = channel.clone();
        let unavailable = self.core.scope(now).unavailable();
        Ok(Changed::Unsettled(Unsettled {
            changing: Box::pin(async move {
                let (sequencing, is_deleting) = match changing {
                    Some(Changing::Pending(sequencing)) => (sequencing, false),
                    Some(Changing::Deleting(sequencing)) => (sequencing, true),
                    Some(Changing::Done(written)) => return Ok(written),
                    None => return std::future::pending().await,
                };
                let sequenced = sequencing.await.ok();
                if let (true, Some(store), Some(Ok(sequenced))) = (is_deleting, store, &sequenced) {
                    let before = sequenced.id.saturating_sub(1);
                    // It is deleted, whether this works or not.
                    if let Err(failed) = store.remove(channel.clone().into(), before).await {
                        tracing::warn!("the history of a deleted resource is kept: {failed}");
                    }
                }
                resources::changed(&channel, sequenced.as_ref(), unavailable)
            }),
            written,
            waits: self.waiting.enter(asked, Verdicts::default(), 0, now),
        }))
    }
}

/// Takes up the resources that are kept.
pub(super) async fn take_up(core: &Core) {
    let Some(store) = core.history.store() else {
        return;
    };
    if !core.router.has_resources() {
        return;
    }
    let mut position = 0;
    loop {
        let query = resources::kept_after(position, &core.terms.get().limits);
        match store.read(query).await {
            Ok(page) => {
                let (is_end, next) = (page.is_end, page.position);
                resources::take_up(page, &core.scope(Instant::now()));
                if is_end {
                    return;
                }
                position = next;
            }
            Err(failed) => {
                tracing::error!("resources cannot be taken up from history: {failed}");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
