//! When which events go to a hook: batches in order, one at a time, and again until they arrive. It knows no
//! network and no clock; time is an argument.
//!
//! One batch at a time keeps the order of all events, and so that of each session, whatever is tried again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::backoff::Backoff;

/// The bounds of one hook's events.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Events that wait; above it the oldest is dropped. Those of the batch on its way come on top.
    pub(super) max_queue: usize,
    /// Events of a batch.
    pub(super) max_batch: usize,
    /// How long an event waits for others to go with.
    pub(super) batch_wait: Duration,
    /// How old an event may be when it is sent, again or for the first time.
    pub(super) max_age: Duration,
    /// How long it is waited until a batch is sent again.
    pub(super) backoff: Backoff,
}

/// An event and its number, by which whoever gets it can tell that it did before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Numbered<T> {
    pub(super) number: u64,
    pub(super) event: T,
    since: Instant,
}

/// Events that are sent together.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) events: Vec<Numbered<T>>,
    /// How many were dropped since the batch before.
    pub(super) dropped: u64,
    failures: u32,
}

/// What became of an attempt to send a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// It arrived.
    Delivered,
    /// It is not wanted, now or later.
    Refused,
    /// It did not arrive, or is not wanted yet; perhaps it is said when it is.
    Failed(Option<Duration>),
}

/// What is to be done with a batch after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done with.
    Done,
    /// Send it again then.
    Again(Instant),
    /// So many events were given up because they are too old.
    Expired(usize),
    /// So many were because they were refused.
    Refused(usize),
}

/// What is to be done next, while no batch is on its way; and how many events were dropped just now because they
/// are too old.
#[derive(Debug)]
pub(super) enum Next<T> {
    /// Send this.
    Send(Batch<T>, usize),
    /// Wait until then, or until there are more events.
    At(Instant, usize),
    /// Wait until there are events.
    Nothing(usize),
}

/// What was done with a new event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// Whether it may now be time to send that was not before.
    pub(super) is_news: bool,
    /// Whether the oldest had to go.
    pub(super) has_dropped: bool,
}

/// The events of one hook that are to be sent.
#[derive(Debug)]
pub(super) struct Delivery<T> {
    bounds: Bounds,
    queue: VecDeque<Numbered<T>>,
    next: u64,
    dropped: u64,
}

impl<T> Delivery<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            queue: VecDeque::new(),
            next: 1,
            dropped: 0,
        }
    }

    /// Takes an event.
    pub(super) fn push(&mut self, event: T, now: Instant) -> Pushed {
        let has_dropped = self.queue.len() >= self.bounds.max_queue;
        if has_dropped {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(Numbered {
            number: self.next,
            event,
            since: now,
        });
        self.next += 1;
        let length = self.queue.len();
        Pushed {
            is_news: !has_dropped && (length == 1 || length == self.bounds.max_batch),
            has_dropped,
        }
    }

    /// Says what is to be done, while no batch is on its way.
    pub(super) fn next(&mut self, now: Instant) -> Next<T> {
        let expired = self.expire(now);
        let Some(first) = self.queue.front() else {
            return Next::Nothing(expired);
        };
        let due = first.since + self.bounds.batch_wait;
        if self.queue.len() < self.bounds.max_batch && now < due {
            return Next::At(due, expired);
        }
        Next::Send(self.batch(), expired)
    }

    /// Makes a batch of those that wait although it is not time; none if there are none.
    pub(super) fn rest(&mut self) -> Option<Batch<T>> {
        (!self.queue.is_empty()).then(|| self.batch())
    }

    fn batch(&mut self) -> Batch<T> {
        let count = self.queue.len().min(self.bounds.max_batch);
        Batch {
            events: self.queue.drain(..count).collect(),
            dropped: std::mem::take(&mut self.dropped),
            failures: 0,
        }
    }

    /// Says what is to be done with a batch after an attempt to send it. What it said to be dropped and those
    /// that are with it are for the next batch to tell.
    pub(super) fn settle(
        &mut self,
        batch: &mut Batch<T>,
        attempt: Attempt,
        now: Instant,
        chance: f64,
    ) -> Verdict {
        let count = batch.events.len();
        match attempt {
            Attempt::Delivered => Verdict::Done,
            Attempt::Refused => {
                self.give_up(batch);
                Verdict::Refused(count)
            }
            Attempt::Failed(asked) => {
                let newest = batch.events.last().map_or(now, |event| event.since);
                let end = newest + self.bounds.max_age;
                if now >= end {
                    self.give_up(batch);
                    return Verdict::Expired(count);
                }
                batch.failures = batch.failures.saturating_add(1);
                let delay = self.bounds.backoff.delay(batch.failures, asked, chance);
                Verdict::Again((now + delay).min(end))
            }
        }
    }

    /// Drops all that wait, and says how many these are.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.queue.len();
        self.queue.clear();
        count
    }

    fn give_up(&mut self, batch: &Batch<T>) {
        self.dropped += batch.dropped + batch.events.len() as u64;
    }

    fn expire(&mut self, now: Instant) -> usize {
        let max_age = self.bounds.max_age;
        let is_old = |event: &Numbered<T>| now.saturating_duration_since(event.since) > max_age;
        let count = self.queue.iter().take_while(|event| is_old(event)).count();
        self.queue.drain(..count);
        self.dropped += count as u64;
        count
    }
}

#[cfg(test)]
mod tests;
