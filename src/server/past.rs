//! What is kept of channels with history, for requests that read it or have it forgotten.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use super::BayeuxServer;
use crate::bayeux::{ChannelKind, ChannelName, ChannelPattern, NotRecovered};
use crate::history::{Failed, Kept, Query, Selection, Settings, Store, Want};
pub use crate::operations::replay::Part;
use crate::operations::replay::judge;
use crate::operations::replay::past::{self, Ask};
use crate::operations::{Actor, Denied};
use crate::session::From;

/// The bytes of bodies in one part at most, but for its first message.
const MAX_BYTES: usize = 1024 * 1024;
/// How often the store is asked for one part, if it gives up each time before it has found enough.
const MAX_READS: usize = 50;

/// What is kept of a channel or pattern, for whoever may have it.
#[derive(Debug)]
pub struct ChannelHistory {
    store: Arc<dyn Store>,
    pattern: ChannelPattern,
}

impl BayeuxServer {
    /// Tells whether any channel has history.
    #[must_use]
    pub fn has_history(&self) -> bool {
        self.core.history.store().is_some()
    }

    /// Returns what the operator has set about history.
    #[must_use]
    pub fn history_settings(&self) -> &Settings {
        self.core.history.settings()
    }

    /// Returns the channel or pattern of this name, if any of its channels can have history.
    #[must_use]
    pub fn history_pattern(&self, name: &str) -> Option<ChannelPattern> {
        let pattern = ChannelPattern::parse(name, &self.core.terms.get().limits).ok()?;
        let is_kept = self.has_history()
            && pattern.kind() == ChannelKind::Broadcast
            && self.core.router.replay(&pattern).is_some();
        is_kept.then_some(pattern)
    }

    /// Tells whether history works, as far as was seen last.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn history_health(&self) -> Result<(), Failed> {
        let store = self.core.history.store();
        store.map_or(Ok(()), |store| store.health())
    }

    /// Returns the name of the numbers that messages of history have, if there is history.
    #[must_use]
    pub fn history_epoch(&self) -> Option<Arc<str>> {
        self.core.history.store().map(|store| store.epoch())
    }

    /// Writes what history has to write, and closes it: the last thing that is done with it.
    pub async fn close_history(&self) {
        if let Some(store) = self.core.history.store() {
            store.close().await;
        }
    }

    /// Returns what is kept of a channel or pattern, without asking who wants it.
    #[must_use]
    pub fn past(&self, pattern: ChannelPattern) -> Option<ChannelHistory> {
        let store = Arc::clone(self.core.history.store()?);
        Some(ChannelHistory { store, pattern })
    }

    /// Asks whether somebody may read what is kept of a channel or pattern.
    ///
    /// # Errors
    /// An extension refuses it, or access rules do not allow it.
    pub fn may_read_past(
        &self,
        pattern: &ChannelPattern,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<(), Denied> {
        past::may_read(pattern, actor, &self.core.scope(now))
    }

    /// Asks whether somebody may have what is kept of a channel forgotten.
    ///
    /// # Errors
    /// An extension refuses it, or no access rule allows it.
    pub fn may_forget_past(
        &self,
        channel: &ChannelName,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<(), Denied> {
        Ok(past::may_forget(channel, actor, &self.core.scope(now))?)
    }
}

impl ChannelHistory {
    /// Finds the numbers of the oldest message that is kept, and of the newest.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn ends(
        self,
    ) -> impl Future<Output = Result<(Option<u64>, Option<u64>), Failed>> + Send + 'static {
        let Self { store, pattern } = self;
        async move {
            let survey = store
                .survey(Want { pattern, after: 0 }, usize::MAX >> 1)
                .await?;
            Ok((survey.first, survey.last))
        }
    }

    /// Reads a part of it: so many messages after a number, of the numbers of a name if that is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(
        self,
        after: Option<u64>,
        epoch: Option<String>,
        limit: usize,
    ) -> impl Future<Output = Result<Part, Failed>> + Send + 'static {
        let Self { store, pattern } = self;
        let ask = Ask {
            pattern,
            after,
            epoch,
            limit,
        };
        async move { part(ask, &*store).await }
    }

    /// Has it forgotten, up to a number if there is one; tells how many messages that are.
    ///
    /// # Errors
    /// None is forgotten for sure.
    pub fn forget(
        self,
        up_to: Option<u64>,
    ) -> impl Future<Output = Result<u64, Failed>> + Send + 'static {
        let Self { store, pattern } = self;
        async move { store.remove(pattern, up_to.unwrap_or(u64::MAX >> 1)).await }
    }
}

/// Reads a part.
async fn part(ask: Ask, store: &dyn Store) -> Result<Part, Failed> {
    let from = match ask.after {
        None => From::All,
        Some(id) => From::After(id, ask.epoch.map(Into::into)),
    };
    let want = Want {
        pattern: ask.pattern.clone(),
        after: 0,
    };
    let survey = store.survey(want.clone(), usize::MAX).await?;
    let epoch = store.epoch();
    let (mut missing, after) = judge(&from, &survey, &epoch);
    let mut query = Query {
        wants: vec![Want { after, ..want }],
        selection: Selection::All,
        position: 0,
        max_messages: ask.limit,
        max_bytes: MAX_BYTES,
    };
    let mut messages: Vec<Kept> = Vec::new();
    let mut is_end = false;
    for _ in 0..MAX_READS {
        let page = store.read(query.clone()).await?;
        // Some of it may have gone since that was looked up.
        if page.lost > survey.lost {
            missing = missing.or(Some(NotRecovered::Expired));
        }
        query.position = page.position;
        is_end = page.is_end;
        messages.extend(page.without_deletions().messages);
        if is_end || !messages.is_empty() {
            break;
        }
    }
    Ok(Part {
        pattern: ask.pattern,
        epoch,
        messages,
        after,
        next: query.position,
        missing,
        is_end,
    })
}
