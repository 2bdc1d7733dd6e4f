//! The store in memory: bounded, and gone with the process.
//!
//! Each channel has its messages in a row, found by halves; all together are in one order too, from whose
//! front the oldest go when there are too many. A lock is held for a batch, or for a page: nothing is written
//! or copied under it but handles.

mod channel;
mod reading;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use bytesize::ByteSize;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use indexmap::IndexMap;

use super::{
    Entry, Epoch, Failed, Figures, Page, Place, Policy, Query, Saved, Store, Survey, Want,
};
use crate::bayeux::ChannelPattern;
use crate::memory::Kind;
use crate::metrics::Metrics;
use channel::Message;
use reading::{Few, WayBack};
use state::State;

/// How many channels, or how many messages of one, are looked at before others may use the store.
const STEP: usize = 4096;

/// A store whose messages are in memory.
#[derive(Debug)]
pub struct MemoryStore {
    epoch: Epoch,
    metrics: Arc<Metrics>,
    few: Few,
    state: Mutex<State>,
    sessions: Mutex<IndexMap<String, Bytes>>,
}

impl MemoryStore {
    /// Makes an empty store. It takes at most so much memory and knows so many channels, and of each keeps what
    /// the policy says.
    #[must_use]
    pub fn new(
        max_bytes: ByteSize,
        max_channels: usize,
        policy: Policy,
        metrics: Arc<Metrics>,
    ) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = since_epoch.unwrap_or_default().as_micros();
        // So that the numbers of a store that is gone are older than any of this one.
        let head = u64::try_from(micros).unwrap_or(0);
        let max_bytes = usize::try_from(max_bytes.as_u64()).unwrap_or(usize::MAX);
        Self {
            epoch: random_name(),
            metrics,
            few: Few::default(),
            state: Mutex::new(State::new(max_bytes, max_channels, policy, head)),
            sessions: Mutex::default(),
        }
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes something, and counts what that did.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.bytes();
        let result = change(&mut state);
        let after = state.bytes();
        let passed = std::mem::take(&mut state.passed);
        drop(state);
        self.metrics.memory.resize(Kind::History, before, after);
        for limit in passed {
            self.metrics.limited(limit);
        }
        result
    }

    fn keep(&self, batch: Vec<Entry>) -> Vec<Place> {
        let messages: Vec<_> = batch
            .into_iter()
            .map(|entry| {
                let message = Message::new(0, entry.at, &entry.body);
                (entry.channel, entry.at, message)
            })
            .collect();
        let keep = |state: &mut State| {
            let places = messages.into_iter().map(|(channel, at, mut message)| {
                let id = state.next();
                message.id = id;
                let before = state.push(&channel, message, at);
                Place { id, before }
            });
            places.collect()
        };
        self.change(keep)
    }

    fn find(&self, want: &Want, max: usize) -> Survey {
        let (mut survey, count) = reading::survey(&self.lock(), want);
        if let Some(last) = survey.last
            && count > max
        {
            let mut way = WayBack::new(want, last, max);
            while survey.too_many.is_none() {
                survey.too_many = way.go(&self.lock(), self.few);
            }
        }
        survey
    }

    fn forget(&self, pattern: &ChannelPattern, up_to: u64) -> u64 {
        let slots: Vec<_> = {
            let state = self.lock();
            let matching = state.matching(pattern);
            let channels = matching.map(|(slot, channel)| (slot, channel.name.clone()));
            channels.collect()
        };
        let mut count = 0;
        for slots in slots.chunks(STEP) {
            count += self.change(|state| {
                let mut count = 0;
                for (slot, name) in slots {
                    // Another may have come to its place.
                    let is_same =
                        |state: &State| state.channel(*slot).is_some_and(|c| c.name == *name);
                    if is_same(state) {
                        count += state.remove(*slot, up_to);
                    }
                }
                count
            });
        }
        count
    }

    fn let_go(&self, now: SystemTime) {
        let mut slot = 0;
        let mut is_done = false;
        while !is_done {
            is_done = self.change(|state| {
                let mut left = STEP;
                while left > 0 && slot < state.slots() {
                    let count = state.trim(slot, now, left);
                    left -= count;
                    if left > 0 {
                        left -= 1;
                        slot += 1;
                    }
                }
                slot >= state.slots()
            });
        }
    }

    fn sessions(&self) -> MutexGuard<'_, IndexMap<String, Bytes>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        let bytes = self.lock().bytes();
        self.metrics.memory.sub(Kind::History, bytes);
    }
}

impl Store for MemoryStore {
    fn epoch(&self) -> Epoch {
        Arc::clone(&self.epoch)
    }

    fn append(&self, batch: Vec<Entry>) -> BoxFuture<'_, Result<Vec<Place>, Failed>> {
        ready(Ok(self.keep(batch))).boxed()
    }

    fn read(&self, query: Query) -> BoxFuture<'_, Result<Page, Failed>> {
        let page = reading::read(&self.lock(), &query, self.few);
        ready(Ok(page)).boxed()
    }

    fn survey(&self, want: Want, max: usize) -> BoxFuture<'_, Result<Survey, Failed>> {
        ready(Ok(self.find(&want, max))).boxed()
    }

    fn remove(&self, pattern: ChannelPattern, up_to: u64) -> BoxFuture<'_, Result<u64, Failed>> {
        ready(Ok(self.forget(&pattern, up_to))).boxed()
    }

    fn trim(&self, now: SystemTime) -> BoxFuture<'_, Result<(), Failed>> {
        self.let_go(now);
        ready(Ok(())).boxed()
    }

    fn figures(&self) -> Figures {
        self.lock().figures()
    }

    fn health(&self) -> Result<(), Failed> {
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn is_synced(&self) -> bool {
        false
    }

    fn save_sessions(&self, batch: Vec<Saved>) -> BoxFuture<'_, Result<(), Failed>> {
        let saved = batch.into_iter().map(|saved| (saved.key, saved.state));
        self.sessions().extend(saved);
        ready(Ok(())).boxed()
    }

    fn take_sessions(
        &self,
        max_sessions: usize,
        max_bytes: usize,
    ) -> BoxFuture<'_, Result<Vec<Saved>, Failed>> {
        let mut sessions = self.sessions();
        let count = first_within(sessions.values().map(Bytes::len), max_sessions, max_bytes);
        let taken = sessions.drain(..count);
        let taken = taken.map(|(key, state)| Saved { key, state }).collect();
        ready(Ok(taken)).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// Returns how many of the first are at most so many, and of so many bytes but for the first.
fn first_within(sizes: impl Iterator<Item = usize>, max: usize, max_bytes: usize) -> usize {
    let mut bytes = 0;
    let within = sizes.take(max).enumerate().take_while(|(number, size)| {
        bytes += size;
        *number == 0 || bytes <= max_bytes
    });
    within.count()
}

/// Returns a name that no other store has.
fn random_name() -> Epoch {
    let mut bytes = [0; 9];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes).into()
}

#[cfg(test)]
mod tests;
