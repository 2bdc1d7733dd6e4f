//! The last message of every channel that is a resource, and who waits for the next; knows no HTTP,
//! and time is an argument.
//!
//! A change locks the one resource it is of. Beside that there is one lock for the order in which
//! resources are forgotten: it is taken when a resource is new, and when a bound is passed. A
//! resource has one place in that order, by the change it was at when it got the place; whoever
//! looks for the least recently changed one sets those back that were changed since.

mod resource;
pub mod settings;
mod version;
mod watch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use dashmap::DashMap;

use crate::bayeux::ChannelName;
use crate::memory::Kind;
use crate::metrics::{Limit, Metrics};
use resource::{Content, Resource, State};
pub use settings::Settings;
pub use version::{Conditions, Version, Versions};
pub use watch::{Had, Watch, Woken};

/// A resource as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Which of its states this is.
    pub version: Version,
    /// The representation; nothing: it was deleted.
    pub data: Option<Bytes>,
    /// The how-manieth change of all it was.
    turn: u64,
    /// Whether the version before it was of the same second.
    shares_second: bool,
}

impl Current {
    /// Tells whether somebody who has what there was at a date, to the second, may lack this.
    #[must_use]
    pub fn is_after(&self, date: SystemTime) -> bool {
        self.version.is_after(date) || (self.shares_second && !self.version.is_before(date))
    }

    /// Returns the version of the representation, if there is one.
    #[must_use]
    pub fn represented(&self) -> Option<Version> {
        self.data.as_ref().map(|_| self.version)
    }
}

/// What a resource is changed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It has this representation.
    Whole(Bytes),
    /// The same, which differs from the one before only within a range of it.
    Range(Bytes, Range<usize>),
    /// It has none.
    Delete,
}

/// A change that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The version it led to.
    pub version: Version,
    /// Whether there was no representation before.
    pub is_new: bool,
    /// The version before, if there was one.
    pub before: Version,
}

/// Why a resource was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// There is nothing to change.
    Nothing,
    /// It was deleted before.
    Deleted,
    /// A condition is not met; the version of the representation there is.
    Condition(Option<Version>),
}

/// All resources.
#[derive(Debug)]
pub struct Resources {
    settings: Settings,
    metrics: Arc<Metrics>,
    by_channel: DashMap<ChannelName, Arc<Resource>>,
    /// Those that hold something, by the number of a change that was their last when they came here.
    ages: Mutex<BTreeMap<u64, Arc<Resource>>>,
    changes: AtomicU64,
    is_stopping: AtomicBool,
}

impl Resources {
    /// Makes a store without resources.
    #[must_use]
    pub fn new(settings: Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            settings,
            metrics,
            by_channel: DashMap::new(),
            ages: Mutex::default(),
            changes: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// Returns a resource as it is now, if there ever was something of it that is not forgotten.
    #[must_use]
    pub fn current(&self, channel: &ChannelName) -> Option<Current> {
        let resource = self.get(channel)?;
        resource.lock().current()
    }

    /// Changes a resource, and wakes who waits for it.
    ///
    /// # Errors
    /// A condition is not met, or there is nothing to delete.
    pub fn write(
        &self,
        channel: &ChannelName,
        write: &Write,
        conditions: &Conditions,
        at: SystemTime,
    ) -> Result<Written, Unmet> {
        self.write_as(channel, write, (at, None), |current| {
            check(write, conditions, current)
        })
    }

    /// Gives a resource what a message that is kept says, whatever it is; the message's number is then that of the
    /// version.
    pub fn keep(&self, channel: &ChannelName, write: &Write, at: SystemTime, id: u64) -> Written {
        let version = (at, Some(id));
        let Ok(written) = self.write_as::<Infallible>(channel, write, version, |_| Ok(()));
        written
    }

    fn write_as<E>(
        &self,
        channel: &ChannelName,
        write: &Write,
        version: (SystemTime, Option<u64>),
        check: impl Fn(Option<&Current>) -> Result<(), E>,
    ) -> Result<Written, E> {
        loop {
            let resource = self.entry(channel);
            if let Some(written) = self.write_to(&resource, write, version, &check) {
                return written;
            }
            self.drop_from_index(&resource);
        }
    }

    /// Tells whether a change could be made now.
    ///
    /// # Errors
    /// A condition is not met, or there is nothing to delete.
    pub fn check(
        &self,
        channel: &ChannelName,
        write: &Write,
        conditions: &Conditions,
    ) -> Result<(), Unmet> {
        check(write, conditions, self.current(channel).as_ref())
    }

    /// Begins to wait for a change after what somebody has of a resource, which need not be there.
    #[must_use]
    pub fn watch(self: &Arc<Self>, channel: &ChannelName, had: &Had) -> Watch {
        loop {
            let resource = self.entry(channel);
            if let Some(watch) = Watch::new(self, &resource, had) {
                return watch;
            }
            self.drop_from_index(&resource);
        }
    }

    /// Ends every wait, and those that begin from now on.
    pub fn stop(&self) {
        self.is_stopping.store(true, SeqCst);
        let all: Vec<_> = self
            .by_channel
            .iter()
            .map(|entry| Arc::clone(entry.value()))
            .collect();
        for resource in all {
            let wakers = resource.lock().take_wakers();
            wakers.into_iter().for_each(std::task::Waker::wake);
        }
    }

    /// Changes a resource, unless it left the index.
    fn write_to<E>(
        &self,
        resource: &Arc<Resource>,
        write: &Write,
        (at, number): (SystemTime, Option<u64>),
        check: impl Fn(Option<&Current>) -> Result<(), E>,
    ) -> Option<Result<Written, E>> {
        let mut state = resource.lock();
        if state.is_gone {
            return None;
        }
        let current = state.current();
        if let Err(error) = check(current.as_ref()) {
            self.leave_if_idle(resource, state);
            return Some(Err(error));
        }
        let turn = self.changes.fetch_add(1, Relaxed) + 1;
        let earlier = state.version;
        let version = Version::after(earlier, at, number.unwrap_or(turn));
        let before = state.kept_bytes(resource);
        let memory_before = state.memory(resource);
        state.range = match write {
            Write::Range(_, range) => Some((state.version, range.clone())),
            Write::Whole(_) | Write::Delete => None,
        };
        state.content = match write {
            Write::Whole(data) | Write::Range(data, _) => Content::Whole(data.clone()),
            Write::Delete => Content::Deleted,
        };
        state.shares_second = current.is_some() && !version.is_after(state.version.modified());
        state.version = version;
        state.turn = turn;
        self.count_bytes(before, state.kept_bytes(resource));
        let memory = &self.metrics.memory;
        memory.resize(Kind::Resources, memory_before, state.memory(resource));
        let wakers = state.take_wakers();
        drop(state);
        wakers.into_iter().for_each(std::task::Waker::wake);
        if current.is_none() {
            self.metrics.resources.increment();
            self.ages().insert(turn, Arc::clone(resource));
        }
        self.make_room();
        Some(Ok(Written {
            version,
            is_new: current.and_then(|current| current.data).is_none(),
            before: earlier,
        }))
    }

    fn make_room(&self) {
        while self.passed().is_some() && self.forget_oldest() {}
    }

    /// Forgets the least recently changed resource, if there is still too much; false if not.
    fn forget_oldest(&self) -> bool {
        let mut ages = self.ages();
        let Some(limit) = self.passed() else {
            return false;
        };
        while let Some((turn, resource)) = ages.pop_first() {
            let mut state = resource.lock();
            let last = state.turn;
            if last != turn {
                drop(state);
                ages.insert(last, resource);
                continue;
            }
            self.count_bytes(state.kept_bytes(&resource), 0);
            let memory = &self.metrics.memory;
            memory.sub(Kind::Resources, state.memory(&resource));
            self.metrics.resources.decrement();
            self.metrics.limited(limit);
            state.content = Content::Nothing;
            state.range = None;
            drop(ages);
            self.leave_if_idle(&resource, state);
            return true;
        }
        false
    }

    fn passed(&self) -> Option<Limit> {
        let is_above = |value: i64, bound: u64| u64::try_from(value).unwrap_or(0) > bound;
        let max_resources = self.settings.max_resources as u64;
        if is_above(self.metrics.resources.value(), max_resources) {
            return Some(Limit::MaxResources);
        }
        let max_bytes = self.settings.max_bytes.as_u64();
        is_above(self.metrics.resource_bytes.value(), max_bytes).then_some(Limit::MaxResourceBytes)
    }

    fn count_bytes(&self, before: usize, after: usize) {
        let count = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.metrics
            .resource_bytes
            .add(count(after) - count(before));
    }

    fn get(&self, channel: &ChannelName) -> Option<Arc<Resource>> {
        self.by_channel
            .get(channel)
            .map(|entry| Arc::clone(entry.value()))
    }

    fn entry(&self, channel: &ChannelName) -> Arc<Resource> {
        self.get(channel).unwrap_or_else(|| {
            let entry = self.by_channel.entry(channel.clone());
            let new = || Arc::new(Resource::new(channel.clone()));
            Arc::clone(entry.or_insert_with(new).value())
        })
    }

    /// Removes a resource that holds nothing and that nobody waits for; who still has it finds the
    /// mark, and looks it up again.
    fn leave_if_idle(&self, resource: &Arc<Resource>, mut state: MutexGuard<'_, State>) {
        if !state.is_idle() {
            return;
        }
        state.is_gone = true;
        drop(state);
        self.drop_from_index(resource);
    }

    fn drop_from_index(&self, gone: &Arc<Resource>) {
        self.by_channel
            .remove_if(gone.channel(), |_, current| Arc::ptr_eq(current, gone));
    }

    fn ages(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Resource>>> {
        self.ages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(write: &Write, conditions: &Conditions, current: Option<&Current>) -> Result<(), Unmet> {
    let represented = current.and_then(Current::represented);
    if represented.is_none() && *write == Write::Delete {
        return Err(current.map_or(Unmet::Nothing, |_| Unmet::Deleted));
    }
    if conditions.are_met(represented) {
        Ok(())
    } else {
        Err(Unmet::Condition(represented))
    }
}

#[cfg(test)]
mod tests;
