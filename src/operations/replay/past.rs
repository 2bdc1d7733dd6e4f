//! What a request without a session does with what is kept: it reads a part of that, or has it forgotten.
//! Extensions see who reads as subscribing, and who has something forgotten as publishing there.

use super::decide::judge;
use super::part::Part;
use crate::bayeux::{ChannelName, ChannelPattern, NotRecovered};
use crate::extensions::Refusal;
use crate::history::{Failed, Kept, Query, Selection, Store, Want};
use crate::operations::{Actor, Denied, Scope, implied};
use crate::session::From;

/// The bytes of bodies in one part at most, but for its first message.
const MAX_BYTES: usize = 1024 * 1024;
/// How often the store is asked for one part, if it gives up each time before it has found enough.
const MAX_READS: usize = 50;

/// What is asked for of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Of which channels.
    pub pattern: ChannelPattern,
    /// The messages after this number; nothing: all there are.
    pub after: Option<u64>,
    /// The name of the store's numbers, as far as it is known.
    pub epoch: Option<String>,
    /// How many messages at most, 1 or more.
    pub limit: usize,
}

/// Asks whether somebody may read what is kept.
///
/// # Errors
/// An extension refuses it, or access rules do not allow it.
pub fn may_read(
    pattern: &ChannelPattern,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<(), Denied> {
    let name = implied::pattern_name(pattern);
    scope.incoming(&mut implied::subscribe(&name, None), None, actor)?;
    Ok(scope.may_subscribe(std::slice::from_ref(pattern), None, actor)?)
}

/// Asks whether somebody may have what is kept of a channel forgotten.
///
/// # Errors
/// An extension refuses it, or no access rule allows it.
pub fn may_forget(
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<(), Refusal> {
    let name = implied::name(channel);
    scope.incoming(&mut implied::publish(&name, None), None, actor)?;
    scope.may_forget(channel, actor)
}

/// Reads a part.
///
/// # Errors
/// The store cannot be read.
pub async fn part(ask: Ask, store: &dyn Store) -> Result<Part, Failed> {
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
        position: after,
        max_messages: ask.limit,
        max_bytes: MAX_BYTES,
    };
    let mut messages: Vec<Kept> = Vec::new();
    let mut is_end = false;
    for _ in 0..MAX_READS {
        let page = store.read(query.clone()).await?;
        // Some of it may have gone since that was looked up.
        if page.lost > 0 {
            missing = missing.or(Some(NotRecovered::Expired));
        }
        query.position = page.position;
        messages.extend(page.messages);
        is_end = page.is_end;
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
