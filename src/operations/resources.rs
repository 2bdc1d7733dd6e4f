//! What a request without a message does with a resource. Extensions see who reads one as subscribing to
//! its channel, and who changes one as publishing there; subscribers hear of changes.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::extensions::Denied;
use super::kept::{Unavailable, submit_deletion};
use super::publish::{Announced, announce, draft};
use super::{Actor, Scope, implied};
use crate::bayeux::{ChannelName, ChannelPattern, DataError, Draft, Limits, parse_data};
use crate::extensions::{Refusal, Wait};
use crate::history::{Kept, Page, Query, Selection, Want};
use crate::resources::{Conditions, Current, Had, Unmet, Watch, Write, Written};
use crate::sequence::{Change, NotSequenced, Sequenced, Sequencing};

/// How many messages are read at once, and bytes.
const PAGE: usize = 1000;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Why a resource was not changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotWritten {
    /// What was sent is no message's `data`.
    #[error("the body is not what a channel can carry: {0}")]
    Data(DataError),
    /// What the change would lead to is no message's `data`.
    #[error("with this change the resource is not what a channel can carry: {0}")]
    Result(DataError),
    /// The range begins behind the representation's end, or does not end where it should.
    #[error("the range does not fit: the resource has {length} bytes")]
    Range {
        /// How long the representation is.
        length: usize,
    },
    /// It would be larger than a message can be.
    #[error("the resource would be larger than {0} bytes (bayeux.max_message_size)")]
    TooLarge(u64),
    /// An extension refuses it, or access rules do not allow it.
    #[error("{0}")]
    Denied(Denied),
    /// An extension took its data away.
    #[error("there is no data left to be published")]
    NoData,
    /// There is nothing, or a condition is not met.
    #[error("the resource is not in a state to be changed")]
    Unmet(Unmet),
}

impl From<Unmet> for NotWritten {
    fn from(unmet: Unmet) -> Self {
        Self::Unmet(unmet)
    }
}

impl From<Refusal> for NotWritten {
    fn from(refusal: Refusal) -> Self {
        Self::Denied(refusal.into())
    }
}

/// What a change has led to, and what the response to it has to wait for.
pub type Changed = (Changing, Vec<Wait>);

/// What becomes of a change.
#[derive(Debug)]
pub enum Changing {
    /// It is made.
    Done(Written),
    /// It is made once it is kept.
    Pending(Sequencing),
    /// It is deleted once that is kept; what is kept of what was before is forgotten then.
    Deleting(Sequencing),
}

/// Where a part of a representation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Its first byte; the length so far appends.
    pub start: usize,
    /// How long the representation will be, if the client knows.
    pub total: Option<usize>,
}

/// Returns a resource as it is now, if there ever was something of it that is not forgotten.
///
/// # Errors
/// An extension refuses it, or access rules do not allow it.
pub fn read(
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Option<Current>, Denied> {
    may_read(channel, actor, scope)?;
    Ok(scope.resources.current(channel))
}

/// Begins to wait for a resource's changes; the extensions are not asked again for each.
///
/// # Errors
/// An extension refuses it, or access rules do not allow it.
pub fn watch(
    channel: &ChannelName,
    had: &Had,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Watch, Denied> {
    may_read(channel, actor, scope)?;
    Ok(scope.resources.watch(channel, had))
}

/// Gives a resource a representation, and publishes it.
///
/// # Errors
/// It is no JSON within the bounds, an extension refuses it, or a condition is not met.
pub fn put(
    channel: &ChannelName,
    body: &[u8],
    conditions: &Conditions,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Changed, NotWritten> {
    let data = parse_data(body, &scope.terms.limits).map_err(NotWritten::Data)?;
    let whole = || Write::Whole(Bytes::copy_from_slice(body));
    publish(channel, data, whole, conditions, actor, scope)
}

/// Replaces or appends a part of a resource's representation, and publishes the whole, which is what
/// extensions see. They are asked again if there was another change meanwhile.
///
/// # Errors
/// An extension refuses it; then there is no telling whether something else would. There is no
/// representation, the part does not fit, the whole would be no JSON within the bounds, or a condition is
/// not met.
pub fn patch(
    channel: &ChannelName,
    part: &[u8],
    range: ByteRange,
    conditions: &Conditions,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Changed, NotWritten> {
    loop {
        match patch_once(channel, part, range, conditions, actor, scope) {
            Ok(Some(changed)) => return Ok(changed),
            // There was another change meanwhile.
            Ok(None) => {}
            Err(denied @ NotWritten::Denied(_)) => return Err(denied),
            Err(error) => {
                // What is wrong says something of the resource.
                may_change(channel, actor, scope)?;
                return Err(error);
            }
        }
    }
}

/// Returns what a change that was to be kept has led to.
///
/// # Errors
/// It could not be kept, or a condition was not met when it was its turn.
pub fn changed(
    channel: &ChannelName,
    sequenced: Option<&Result<Sequenced, NotSequenced>>,
    unavailable: Unavailable,
) -> Result<Written, NotWritten> {
    match sequenced {
        Some(Ok(sequenced)) => sequenced.written.ok_or(NotWritten::NoData),
        Some(Err(NotSequenced::Unmet(unmet))) => Err((*unmet).into()),
        Some(Err(NotSequenced::Failed(_) | NotSequenced::Reused)) | None => {
            Err(unavailable.of(channel).into())
        }
    }
}

/// Returns what is to be read to take the resources up that are kept: the last message of each channel.
#[must_use]
pub fn kept_after(position: u64, limits: &Limits) -> Query {
    let all = ChannelPattern::parse("/**", limits).expect("a pattern");
    Query {
        wants: vec![Want {
            pattern: all,
            after: 0,
        }],
        selection: Selection::LastOfEach(u64::MAX >> 1),
        position,
        max_messages: PAGE,
        max_bytes: PAGE_BYTES,
    }
}

/// Takes the resources up that are among these.
pub fn take_up(page: Page, scope: &Scope<'_>) {
    for Kept { place, entry } in page.messages {
        let delivery = scope.delivery(&entry.channel);
        if delivery.is_resource && delivery.history.is_some() {
            scope.keep_resource(&entry, place.id);
        }
    }
}

/// Deletes a resource; subscribers hear nothing of it. Extensions see a message without data.
///
/// # Errors
/// An extension refuses it, there is none, or a condition is not met.
pub fn delete(
    channel: &ChannelName,
    conditions: &Conditions,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Changed, NotWritten> {
    may_change(channel, actor, scope)?;
    let name = implied::name(channel);
    let delivery = scope.delivery(channel);
    let changing = if scope.goes_through_row(delivery)? {
        scope.resources.check(channel, &Write::Delete, conditions)?;
        let sequencing = submit_deletion(channel, conditions, scope)?;
        match delivery.history {
            Some(_) => Changing::Deleting(sequencing),
            None => Changing::Pending(sequencing),
        }
    } else {
        Changing::Done(scope.write(channel, &Write::Delete, conditions)?)
    };
    let waits = scope.settle(&implied::publish(&name, None), None, actor);
    Ok((changing, waits))
}

fn may_read(channel: &ChannelName, actor: &Actor<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    let name = implied::name(channel);
    scope.incoming(&mut implied::subscribe(&name, None), None, actor)?;
    scope.may_subscribe(&[channel.clone().into()], None, actor)
}

fn may_change(channel: &ChannelName, actor: &Actor<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    let name = implied::name(channel);
    scope.incoming(&mut implied::publish(&name, None), None, actor)?;
    scope.may_publish(channel, None, actor)
}

/// Publishes data, and keeps it: as `unchanged` says, unless an extension has changed it.
fn publish(
    channel: &ChannelName,
    data: &RawValue,
    unchanged: impl FnOnce() -> Write,
    conditions: &Conditions,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Changed, NotWritten> {
    let name = implied::name(channel);
    let mut message = implied::publish(&name, Some(data));
    scope.incoming(&mut message, None, actor)?;
    scope.may_publish(channel, None, actor)?;
    scope.has_memory()?;
    let draft = draft(&message, channel, scope).ok_or(NotWritten::NoData)?;
    let announced = announce(draft, None, scope, |draft: &Draft<'_>, _| {
        let write = if draft.data.get() == data.get() {
            unchanged()
        } else {
            Write::Whole(Bytes::copy_from_slice(draft.data.get().as_bytes()))
        };
        Some(Change {
            write,
            conditions: conditions.clone(),
        })
    })?;
    let changing = match announced {
        Announced::Done(_, Some(written)) => Changing::Done(written),
        Announced::Done(_, None) => return Err(NotWritten::NoData),
        Announced::Pending(sequencing) => Changing::Pending(sequencing),
        Announced::Unmet(unmet) => return Err(unmet.into()),
    };
    scope.metrics().published.increment();
    tracing::trace!(?channel, "published by its resource");
    Ok((changing, scope.settle(&message, None, actor)))
}

/// Puts the whole together and checks it without a lock; does nothing if there was another change.
fn patch_once(
    channel: &ChannelName,
    part: &[u8],
    range: ByteRange,
    conditions: &Conditions,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<Option<Changed>, NotWritten> {
    let current = scope.resources.current(channel).ok_or(Unmet::Nothing)?;
    let before = current.data.as_ref().ok_or(Unmet::Deleted)?;
    if !conditions.are_met(Some(current.version)) {
        return Err(Unmet::Condition(Some(current.version)).into());
    }
    let whole = Bytes::from(joined(before, part, range, scope)?);
    let data = parse_data(&whole, &scope.terms.limits).map_err(NotWritten::Result)?;
    let changed = || Write::Range(whole.clone(), range.start..range.start + part.len());
    let still = Conditions::still(current.version);
    match publish(channel, data, changed, &still, actor, scope) {
        Err(NotWritten::Unmet(_)) => Ok(None),
        outcome => outcome.map(Some),
    }
}

fn joined(
    before: &[u8],
    part: &[u8],
    range: ByteRange,
    scope: &Scope<'_>,
) -> Result<Vec<u8>, NotWritten> {
    let length = before.len();
    let misfit = NotWritten::Range { length };
    let Some(head) = before.get(..range.start) else {
        return Err(misfit);
    };
    let tail = before.get(range.start + part.len()..).unwrap_or_default();
    let whole = [head, part, tail].concat();
    if range.total.is_some_and(|total| total != whole.len()) {
        return Err(misfit);
    }
    let max = scope.terms.limits.max_message_size.as_u64();
    if whole.len() as u64 > max {
        return Err(NotWritten::TooLarge(max));
    }
    Ok(whole)
}
