//! Changes of a resource that are no Bayeux messages: its channel's subscribers hear of them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::Scope;
use super::publish::broadcast;
use crate::bayeux::{ChannelName, DataError, Draft, Event, parse_data};
use crate::resources::{Conditions, Unmet, Write, Written};
use crate::router::Delivery;

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
    /// There is nothing, or a condition is not met.
    #[error("the resource is not in a state to be changed")]
    Unmet(Unmet),
}

impl From<Unmet> for NotWritten {
    fn from(unmet: Unmet) -> Self {
        Self::Unmet(unmet)
    }
}

/// Where a part of a representation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// Its first byte; the length so far appends.
    pub start: usize,
    /// How long the representation will be, if the client knows.
    pub total: Option<usize>,
}

/// Gives a resource a representation, and publishes it.
///
/// # Errors
/// It is no JSON within the bounds, or a condition is not met.
pub fn put(
    channel: &ChannelName,
    body: &[u8],
    conditions: &Conditions,
    scope: &Scope<'_>,
) -> Result<Written, NotWritten> {
    let data = parse_data(body, scope.limits).map_err(NotWritten::Data)?;
    let announcement = Announcement::of(data, channel, scope);
    let whole = || Bytes::copy_from_slice(body);
    let write = Write::Whole(announcement.changed.clone().unwrap_or_else(whole));
    let at = (scope.time_of_day)();
    let written = scope.resources.write(channel, &write, conditions, at)?;
    announcement.make(channel, scope);
    Ok(written)
}

/// Replaces or appends a part of a resource's representation, and publishes the whole.
///
/// # Errors
/// There is no representation, the part does not fit, the whole would be no JSON within the bounds,
/// or a condition is not met.
pub fn patch(
    channel: &ChannelName,
    part: &[u8],
    range: ByteRange,
    conditions: &Conditions,
    scope: &Scope<'_>,
) -> Result<Written, NotWritten> {
    // The whole is put together and checked without a lock, and anew if there was another change.
    loop {
        let current = scope.resources.current(channel).ok_or(Unmet::Nothing)?;
        let before = current.data.as_ref().ok_or(Unmet::Deleted)?;
        if !conditions.are_met(Some(current.version)) {
            return Err(Unmet::Condition(Some(current.version)).into());
        }
        let whole = Bytes::from(joined(before, part, range, scope)?);
        let data = parse_data(&whole, scope.limits).map_err(NotWritten::Result)?;
        let announcement = Announcement::of(data, channel, scope);
        let range = range.start..range.start + part.len();
        let write = match &announcement.changed {
            Some(changed) => Write::Whole(changed.clone()),
            None => Write::Range(whole.clone(), range),
        };
        let still = Conditions::still(current.version);
        let at = (scope.time_of_day)();
        if let Ok(written) = scope.resources.write(channel, &write, &still, at) {
            announcement.make(channel, scope);
            return Ok(written);
        }
    }
}

/// Deletes a resource; subscribers hear nothing of it.
///
/// # Errors
/// There is none, or a condition is not met.
pub fn delete(
    channel: &ChannelName,
    conditions: &Conditions,
    scope: &Scope<'_>,
) -> Result<Written, NotWritten> {
    let at = (scope.time_of_day)();
    let deleted = scope
        .resources
        .write(channel, &Write::Delete, conditions, at)?;
    Ok(deleted)
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
    let max = scope.limits.max_message_size.as_u64();
    if whole.len() as u64 > max {
        return Err(NotWritten::TooLarge(max));
    }
    Ok(whole)
}

/// What subscribers will hear of a change, if that is made.
struct Announcement {
    event: Arc<Event>,
    delivery: Delivery,
    /// The data, if an extension changed it.
    changed: Option<Bytes>,
}

impl Announcement {
    fn of(data: &RawValue, channel: &ChannelName, scope: &Scope<'_>) -> Self {
        let delivery = scope.delivery(channel);
        let mut draft = Draft::new(channel, data);
        let event = scope.encode(&mut draft, delivery.bound);
        let is_changed = draft.data.get() != data.get();
        let changed = is_changed.then(|| Bytes::copy_from_slice(draft.data.get().as_bytes()));
        Self {
            event,
            delivery,
            changed,
        }
    }

    fn make(self, channel: &ChannelName, scope: &Scope<'_>) {
        scope.metrics().published.increment();
        tracing::trace!(?channel, "published by its resource");
        broadcast(channel, &self.event, None, self.delivery, scope);
    }
}
