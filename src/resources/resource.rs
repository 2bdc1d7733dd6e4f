//! One resource behind its lock: what it holds, and whom a change wakes.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;

use super::{Current, Version};
use crate::bayeux::ChannelName;
use crate::memory::sizes;

/// What there is of a resource.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing: there never was, or it is forgotten.
    #[default]
    Nothing,
    /// The knowledge that it was deleted.
    Deleted,
    /// A representation.
    Whole(Bytes),
}

/// A resource, or the place of one that is waited for.
#[derive(Debug)]
pub(super) struct Resource {
    channel: ChannelName,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) version: Version,
    /// The how-manieth change of all it was at.
    pub(super) turn: u64,
    pub(super) content: Content,
    /// The version before was of the same second.
    pub(super) shares_second: bool,
    /// If the last change was within a range: the version before, and the range.
    pub(super) range: Option<(Version, Range<usize>)>,
    /// How many wait, or are about to.
    pub(super) watches: usize,
    /// Whom to wake, by the number of their watch.
    pub(super) wakers: HashMap<u64, Waker>,
    pub(super) next_watch: u64,
    /// It left the index: whoever still holds it must look it up again.
    pub(super) is_gone: bool,
}

impl Resource {
    pub(super) fn new(channel: ChannelName) -> Self {
        Self {
            channel,
            state: Mutex::default(),
        }
    }

    pub(super) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn current(&self) -> Option<Current> {
        let data = match &self.content {
            Content::Nothing => return None,
            Content::Deleted => None,
            Content::Whole(data) => Some(data.clone()),
        };
        Some(Current {
            version: self.version,
            turn: self.turn,
            data,
            shares_second: self.shares_second,
        })
    }

    /// What counts against the bound on bytes.
    pub(super) fn kept_bytes(&self, resource: &Resource) -> usize {
        let name = resource.channel.as_str().len();
        match &self.content {
            Content::Nothing => 0,
            Content::Deleted => name,
            Content::Whole(data) => name + data.len(),
        }
    }

    /// Returns the bytes that it takes, with its entries in what finds it.
    pub(super) fn memory(&self, resource: &Resource) -> usize {
        const ENTRIES: usize = 128;
        let data = match &self.content {
            Content::Nothing => return 0,
            Content::Deleted => 0,
            Content::Whole(data) => sizes::block(data.len()),
        };
        let name = sizes::shared(resource.channel.as_str().len());
        sizes::shared(size_of::<Resource>()) + ENTRIES + name + data
    }

    pub(super) fn is_idle(&self) -> bool {
        self.content == Content::Nothing && self.watches == 0
    }

    /// Takes the wakers, to be woken when the lock is released.
    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }
}
