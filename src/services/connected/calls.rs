//! The calls that connected application servers have, and which of these has the fewest: without a clock, and
//! without anybody to send to.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

use crate::bayeux::{ChannelName, ChannelPattern, ClientId};

/// The bounds of calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of all sessions.
    pub(super) all: usize,
    /// Of one session.
    pub(super) of_one: usize,
}

/// Application servers, and the calls that they have.
#[derive(Debug)]
pub(super) struct Calls<C> {
    bounds: Bounds,
    backends: HashMap<ClientId, Backend>,
    by_pattern: HashMap<ChannelPattern, Vec<ClientId>>,
    /// By their numbers, which grow with their deadlines.
    waiting: BTreeMap<u64, Waiting<C>>,
    /// How many each caller has, if it has any.
    callers: HashMap<ClientId, usize>,
    /// Calls whose application server is gone.
    orphans: VecDeque<u64>,
}

#[derive(Debug, Default)]
struct Backend {
    patterns: Vec<ChannelPattern>,
    calls: BTreeSet<u64>,
    /// The newest call that it was given.
    newest: u64,
}

#[derive(Debug)]
struct Waiting<C> {
    channel: ChannelName,
    caller: ClientId,
    backend: Option<ClientId>,
    deadline: Instant,
    call: C,
}

/// A call that is to wait for its answer.
#[derive(Debug)]
pub(super) struct New<C> {
    pub(super) number: u64,
    pub(super) channel: ChannelName,
    pub(super) caller: ClientId,
    pub(super) deadline: Instant,
    pub(super) call: C,
}

/// Why a call does not wait; it is given back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused<C> {
    /// There are as many as there may be.
    TooMany(C),
    /// Nobody takes calls on its channel.
    NoBackend(C),
}

impl<C> Calls<C> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            backends: HashMap::new(),
            by_pattern: HashMap::new(),
            waiting: BTreeMap::new(),
            callers: HashMap::new(),
            orphans: VecDeque::new(),
        }
    }

    /// Lets an application server take calls on channels that match a pattern.
    pub(super) fn add(&mut self, backend: ClientId, pattern: &ChannelPattern) {
        let taken = &mut self.backends.entry(backend).or_default().patterns;
        if !taken.contains(pattern) {
            taken.push(pattern.clone());
            let takers = self.by_pattern.entry(pattern.clone()).or_default();
            takers.push(backend);
        }
    }

    /// Lets it take no more there; those that it has are its own until it is gone.
    pub(super) fn remove(&mut self, backend: ClientId, pattern: &ChannelPattern) {
        if let Some(taken) = self.backends.get_mut(&backend) {
            taken.patterns.retain(|known| known != pattern);
            if taken.patterns.is_empty() && taken.calls.is_empty() {
                self.backends.remove(&backend);
            }
            self.forget(backend, pattern);
        }
    }

    /// Forgets an application server; its calls are orphans, if it has any, which is told.
    pub(super) fn remove_all(&mut self, backend: ClientId) -> bool {
        let Some(gone) = self.backends.remove(&backend) else {
            return false;
        };
        let had_any = !gone.calls.is_empty();
        for pattern in &gone.patterns {
            self.forget(backend, pattern);
        }
        for number in gone.calls {
            if let Some(waiting) = self.waiting.get_mut(&number) {
                waiting.backend = None;
                self.orphans.push_back(number);
            }
        }
        had_any
    }

    fn forget(&mut self, backend: ClientId, pattern: &ChannelPattern) {
        if let Some(takers) = self.by_pattern.get_mut(pattern) {
            takers.retain(|taker| *taker != backend);
            if takers.is_empty() {
                self.by_pattern.remove(pattern);
            }
        }
    }

    /// Returns the application servers that take calls on a channel, some perhaps more than once.
    pub(super) fn takers(&self, channel: &ChannelName) -> Vec<ClientId> {
        let mut takers = Vec::new();
        channel.each_pattern(|pattern| {
            takers.extend(self.by_pattern.get(pattern).into_iter().flatten());
        });
        takers
    }

    /// Gives a call to the application server that has the fewest, and of these to the one that was given none
    /// for the longest.
    pub(super) fn begin(&mut self, new: New<C>) -> Result<ClientId, Refused<C>> {
        let Some(backend) = self.choose(&new.channel) else {
            return Err(Refused::NoBackend(new.call));
        };
        let of_one = self.callers.get(&new.caller).copied().unwrap_or(0);
        if self.waiting.len() >= self.bounds.all || of_one >= self.bounds.of_one {
            return Err(Refused::TooMany(new.call));
        }
        self.callers.insert(new.caller, of_one + 1);
        let waiting = Waiting {
            channel: new.channel,
            caller: new.caller,
            backend: None,
            deadline: new.deadline,
            call: new.call,
        };
        self.waiting.insert(new.number, waiting);
        self.give(new.number, backend);
        Ok(backend)
    }

    /// Gives the next orphan to another application server; or returns it if there is none. Nothing: there is
    /// no orphan.
    pub(super) fn next_orphan(&mut self) -> Option<Result<(u64, ClientId), C>> {
        loop {
            let number = self.orphans.pop_front()?;
            // It may have been over since.
            let Some(channel) = self.waiting.get(&number).map(|call| call.channel.clone()) else {
                continue;
            };
            return Some(match self.choose(&channel) {
                Some(backend) => {
                    self.give(number, backend);
                    Ok((number, backend))
                }
                None => Err(self.end(number)?),
            });
        }
    }

    fn choose(&self, channel: &ChannelName) -> Option<ClientId> {
        let takers = self.takers(channel).into_iter();
        takers.min_by_key(|taker| {
            let backend = self.backends.get(taker);
            backend.map(|backend| (backend.calls.len(), backend.newest))
        })
    }

    fn give(&mut self, number: u64, to: ClientId) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            waiting.backend = Some(to);
        }
        if let Some(backend) = self.backends.get_mut(&to) {
            backend.calls.insert(number);
            backend.newest = backend.newest.max(number);
        }
    }

    /// Returns a call that waits.
    pub(super) fn get(&self, number: u64) -> Option<&C> {
        self.waiting.get(&number).map(|waiting| &waiting.call)
    }

    /// Ends a call that its own application server answers; nothing if it is not there, or another's.
    pub(super) fn answer(&mut self, number: u64, by: ClientId) -> Option<C> {
        let is_own = self.waiting.get(&number)?.backend == Some(by);
        if is_own { self.end(number) } else { None }
    }

    /// Ends the oldest call if its time is over.
    pub(super) fn next_overdue(&mut self, now: Instant) -> Option<C> {
        let (number, oldest) = self.waiting.first_key_value()?;
        if oldest.deadline > now {
            return None;
        }
        self.end(*number)
    }

    /// Returns when the time of the oldest call is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let oldest = self.waiting.first_key_value();
        oldest.map(|(_, waiting)| waiting.deadline)
    }

    fn end(&mut self, number: u64) -> Option<C> {
        let waiting = self.waiting.remove(&number)?;
        if let Some(backend) = waiting.backend.and_then(|id| self.backends.get_mut(&id)) {
            backend.calls.remove(&number);
        }
        if let Some(count) = self.callers.get_mut(&waiting.caller) {
            *count -= 1;
            if *count == 0 {
                self.callers.remove(&waiting.caller);
            }
        }
        Some(waiting.call)
    }

    /// Returns how many calls wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns how many application servers take calls, or have some.
    pub(super) fn backends(&self) -> usize {
        self.backends.len()
    }
}

#[cfg(test)]
mod tests;
