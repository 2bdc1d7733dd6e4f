//! How much there is of each kind, and how near that is to all there may be.

use std::sync::atomic::{AtomicI64, AtomicU8, Ordering::Relaxed};

use tokio::sync::Notify;

use super::charge::Registry;
use crate::stripes::{STRIPES, own_stripe};

/// Bytes that a thread counts before it adds them to the total. The total is off by at most so many for each
/// stripe: half a megabyte, where the smallest budget is sixteen.
pub const QUANTUM: i64 = 64 * 1024;

/// What grows; its label is what metrics call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sessions, with their places in what finds them.
    Sessions,
    /// The places of events: queued, sent but not acknowledged, kept to be repeated.
    Queues,
    /// Events, each once however many have it, with the forms that transports write them in.
    Events,
    /// Subscriptions, and the channels that have them.
    Subscriptions,
    /// Resources.
    Resources,
    /// Connections, whatever they wait for.
    Connections,
    /// Requests and frames that have not arrived whole, or are not served yet.
    Requests,
    /// Responses and frames that the kernel did not take at once.
    Responses,
    /// Batches that wait for an extension, and calls that wait for a hook.
    Waits,
    /// Receipts of what application servers have sent.
    Receipts,
    /// Messages that can be had again, kept in memory.
    History,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Sessions,
        Self::Queues,
        Self::Events,
        Self::Subscriptions,
        Self::Resources,
        Self::Connections,
        Self::Requests,
        Self::Responses,
        Self::Waits,
        Self::Receipts,
        Self::History,
    ];

    /// Returns the label that metrics carry.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::Queues => "queues",
            Self::Events => "events",
            Self::Subscriptions => "subscriptions",
            Self::Resources => "resources",
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::Responses => "responses",
            Self::Waits => "waits",
            Self::Receipts => "receipts",
            Self::History => "history",
        }
    }
}

/// How near the budget is, and so what is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not near.
    Ample,
    /// The largest are ended.
    Pressed,
    /// No new sessions begin.
    Short,
    /// Nothing is taken that would grow.
    Full,
}

/// The marks, in sixteenths of the budget.
const PRESSED: u64 = 12;
const SHORT: u64 = 14;
const FULL: u64 = 15;
/// Down to here the largest are ended, so that the next to come do not pass the mark at once.
const RELIEVED: u64 = 11;

impl Level {
    /// Returns the level at so many bytes of a budget.
    fn at(used: u64, budget: u64) -> Self {
        match used / (budget / 16).max(1) {
            ..PRESSED => Self::Ample,
            PRESSED..SHORT => Self::Pressed,
            SHORT..FULL => Self::Short,
            _ => Self::Full,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Ample,
            1 => Self::Pressed,
            2 => Self::Short,
            _ => Self::Full,
        }
    }
}

/// What one thread counts, on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    kinds: [AtomicI64; Kind::ALL.len()],
    /// What the total does not have yet.
    pending: AtomicI64,
}

/// What all threads write now and then.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Total {
    counted: AtomicI64,
    /// What the allocator had beyond what was counted, when it was asked last.
    uncounted: AtomicI64,
    allocated: AtomicI64,
}

/// What all threads read with everything they take.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Marked(AtomicU8);

/// The memory that all clients of a server share.
#[derive(Debug)]
pub struct Budget {
    bytes: u64,
    marked: Marked,
    stripes: [Stripe; STRIPES],
    total: Total,
    pressed: Notify,
    pub(super) registry: Registry,
}

impl Default for Budget {
    /// Makes one that is never used up.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl Budget {
    /// Makes a budget of so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            marked: Marked::default(),
            stripes: Default::default(),
            total: Total::default(),
            pressed: Notify::new(),
            registry: Registry::default(),
        }
    }

    /// Returns how many bytes it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how near it is.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::of(self.marked.0.load(Relaxed))
    }

    /// Counts so many bytes more.
    pub fn add(&self, kind: Kind, bytes: usize) {
        self.change(kind, signed(bytes));
    }

    /// Counts so many bytes less, which were counted before.
    pub fn sub(&self, kind: Kind, bytes: usize) {
        self.change(kind, -signed(bytes));
    }

    /// Counts the difference between what something took and what it takes.
    pub fn resize(&self, kind: Kind, before: usize, after: usize) {
        if before != after {
            self.change(kind, signed(after) - signed(before));
        }
    }

    fn change(&self, kind: Kind, bytes: i64) {
        let stripe = &self.stripes[own_stripe()];
        stripe.kinds[kind as usize].fetch_add(bytes, Relaxed);
        let pending = stripe.pending.fetch_add(bytes, Relaxed) + bytes;
        if pending.abs() >= QUANTUM {
            self.flush(stripe);
        }
    }

    #[cold]
    fn flush(&self, stripe: &Stripe) {
        let pending = stripe.pending.swap(0, Relaxed);
        self.total.counted.fetch_add(pending, Relaxed);
        self.mark();
    }

    /// Sets the level to what it is now, and calls whoever relieves it.
    fn mark(&self) {
        let level = Level::at(self.used(), self.bytes);
        if self.level() != level {
            self.marked.0.store(level as u8, Relaxed);
        }
        if level >= Level::Pressed {
            self.pressed.notify_one();
        }
    }

    /// Returns how many bytes the marks are compared with.
    #[must_use]
    pub fn used(&self) -> u64 {
        let counted = unsigned(self.total.counted.load(Relaxed));
        counted + unsigned(self.total.uncounted.load(Relaxed))
    }

    /// Takes what the allocator says, and what threads have yet to add.
    pub fn observe(&self, allocated: u64) {
        for stripe in &self.stripes {
            let pending = stripe.pending.swap(0, Relaxed);
            self.total.counted.fetch_add(pending, Relaxed);
        }
        let allocated = i64::try_from(allocated).unwrap_or(i64::MAX);
        let counted = self.total.counted.load(Relaxed).max(0);
        self.total.allocated.store(allocated, Relaxed);
        let uncounted = allocated.saturating_sub(counted).max(0);
        self.total.uncounted.store(uncounted, Relaxed);
        self.mark();
    }

    /// Tells whether more has to be ended, once some were, by which so many bytes will yet be free.
    #[must_use]
    pub fn is_unrelieved(&self, promised: u64) -> bool {
        for stripe in &self.stripes {
            let pending = stripe.pending.swap(0, Relaxed);
            self.total.counted.fetch_add(pending, Relaxed);
        }
        self.mark();
        self.used().saturating_sub(promised) / (self.bytes / 16).max(1) >= RELIEVED
    }

    /// Waits until the largest have to be ended.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }

    /// Returns how many bytes are counted of a kind.
    #[must_use]
    pub fn of(&self, kind: Kind) -> u64 {
        let stripes = self.stripes.iter();
        let bytes = stripes.map(|stripe| stripe.kinds[kind as usize].load(Relaxed));
        unsigned(bytes.sum())
    }

    /// Returns how many bytes the allocator had when it was asked last.
    #[must_use]
    pub fn allocated(&self) -> u64 {
        unsigned(self.total.allocated.load(Relaxed))
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn unsigned(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    #[test]
    fn each_mark_has_its_level() {
        for (used, level) in [
            (0, Level::Ample),
            (1199, Level::Ample),
            (1200, Level::Pressed),
            (1399, Level::Pressed),
            (1400, Level::Short),
            (1499, Level::Short),
            (1500, Level::Full),
            (1600, Level::Full),
            (u64::MAX, Level::Full),
        ] {
            assert_eq!(Level::at(used, 1600), level, "{used}");
        }
        assert_eq!(Level::at(1 << 60, u64::MAX), Level::Ample);
    }

    #[test]
    fn what_is_counted_now_and_what_the_allocator_had_beyond_it_is_used() {
        let budget = Budget::new(64 * MIB as u64);
        let observe = |allocated: usize| budget.observe(allocated as u64);
        budget.add(Kind::Events, 40 * MIB);
        assert_eq!(budget.level(), Level::Ample);
        // The allocator has what is counted, and 9 MiB more.
        observe(49 * MIB);
        assert_eq!(budget.level(), Level::Pressed);
        // More is counted at once, and asks nobody.
        budget.add(Kind::Queues, 12 * MIB);
        assert_eq!(budget.level(), Level::Full);
        assert_eq!(budget.of(Kind::Events), 40 * MIB as u64);
        assert_eq!(budget.of(Kind::Queues), 12 * MIB as u64);
        assert!(budget.is_unrelieved(0));
        assert!(!budget.is_unrelieved(40 * MIB as u64));
        budget.sub(Kind::Events, 40 * MIB);
        assert_eq!(budget.level(), Level::Ample);
        assert!(!budget.is_unrelieved(0));
        // It has less than was estimated: the estimate counts.
        budget.add(Kind::Queues, 40 * MIB);
        observe(MIB);
        assert_eq!(budget.level(), Level::Pressed);
        budget.resize(Kind::Queues, 52 * MIB, MIB);
        assert_eq!(budget.level(), Level::Ample);
    }

    #[test]
    fn a_little_is_added_when_the_allocator_is_asked() {
        let budget = Budget::new(16 * MIB as u64);
        budget.add(Kind::Sessions, 12 * MIB - 1);
        budget.add(Kind::Sessions, 1);
        assert_eq!(budget.level(), Level::Ample);
        budget.observe(0);
        assert_eq!(budget.level(), Level::Pressed);
    }
}
