//! One feed: a queue with a bound in bytes between whatever happens and whoever watches.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::Feeds;

/// What an entry counts for beside its bytes.
const PLACE: usize = 64;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event that is published.
    Published,
    /// An event that the session published.
    Sent,
    /// An event that the session is given.
    Delivered,
    /// Figures.
    Figures,
}

impl Kind {
    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Figures => "figures",
        }
    }
}

/// Something that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// A JSON object.
    pub json: Bytes,
}

impl Item {
    pub(super) fn new(kind: Kind, json: &Bytes) -> Self {
        Self {
            kind,
            json: json.clone(),
        }
    }

    fn size(&self) -> usize {
        self.json.len() + PLACE
    }
}

/// What was taken from a feed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// So many were dropped before the first of these.
    pub missed: u64,
    /// In their order.
    pub items: Vec<Item>,
    /// Nothing more will come.
    pub is_over: bool,
}

#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    missed: u64,
    is_over: bool,
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            max_bytes,
        }
    }

    /// Adds an item, and drops the oldest as long as they are too many bytes.
    pub(super) fn push(&self, item: Item) {
        let mut waiting = self.lock();
        waiting.bytes += item.size();
        waiting.items.push_back(item);
        while waiting.bytes > self.max_bytes {
            let Some(oldest) = waiting.items.pop_front() else {
                break;
            };
            waiting.bytes -= oldest.size();
            waiting.missed += 1;
        }
        Self::wake(waiting);
    }

    pub(super) fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        Self::wake(waiting);
    }

    fn wake(mut waiting: MutexGuard<'_, Waiting>) {
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn poll(&self, most: usize, context: &mut Context<'_>) -> Poll<Taken> {
        let mut waiting = self.lock();
        if waiting.items.is_empty() && waiting.missed == 0 && !waiting.is_over {
            waiting.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut taken = Taken {
            missed: std::mem::take(&mut waiting.missed),
            ..Taken::default()
        };
        let mut bytes = 0;
        while bytes < most
            && let Some(item) = waiting.items.pop_front()
        {
            bytes += item.size();
            taken.items.push(item);
        }
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        taken.is_over = waiting.is_over && waiting.items.is_empty();
        Poll::Ready(taken)
    }

    /// Locks what is whole between any two calls, so also after a panic elsewhere.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of a feed that is read. Dropped, nothing comes any more.
#[derive(Debug)]
pub struct Feed {
    feeds: Arc<Feeds>,
    number: u64,
    queue: Arc<Queue>,
}

impl Feed {
    pub(super) fn new(feeds: Arc<Feeds>, number: u64, queue: Arc<Queue>) -> Self {
        Self {
            feeds,
            number,
            queue,
        }
    }

    /// Waits for what comes next; about so many bytes at most.
    pub fn poll(&self, most: usize, context: &mut Context<'_>) -> Poll<Taken> {
        self.queue.poll(most, context)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.feeds.forget(self.number);
    }
}
