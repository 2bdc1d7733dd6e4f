//! What the messages of a batch wait for, all at once: bounded in time and in number, and an extension
//! that fails fails its message only.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep_until};

use crate::bayeux::BayeuxError;
use crate::extensions::{Refusal, Wait, WaitBounds};
use crate::metrics::{Limit, Metrics, Notice};

/// The room for batches that wait.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    max_wait: Duration,
    places: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl WaitingRoom {
    pub(super) fn new(bounds: WaitBounds, metrics: Arc<Metrics>) -> Self {
        let places = bounds.max_waiting.min(Semaphore::MAX_PERMITS);
        Self {
            max_wait: bounds.max_wait,
            places: Arc::new(Semaphore::new(places)),
            metrics,
        }
    }

    /// Takes a place for a batch, within a Tokio runtime; if there is none all its messages that would
    /// wait are refused.
    pub(super) fn enter(&self, asked: Asked, now: Instant) -> Waits {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.limited(Limit::MaxWaiting);
            let refuse = |pending: Pending| (pending.index, failed(BayeuxError::TooManyWaiting));
            return Waits {
                seat: None,
                pending: Vec::new(),
                refused: asked.into_pending().into_iter().map(refuse).collect(),
            };
        };
        self.metrics.waiting_batches.increment();
        Waits {
            seat: Some(Seat {
                deadline: Box::pin(sleep_until((now + self.max_wait).into())),
                metrics: Arc::clone(&self.metrics),
                _permit: permit,
            }),
            pending: asked.into_pending(),
            refused: Vec::new(),
        }
    }
}

/// Which messages of a batch wait, by their index in it, and for what. Mostly none does: then it is one
/// word, as [`Verdicts`] are.
#[derive(Default)]
pub(super) struct Asked(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting(Vec<Pending>);

impl Asked {
    /// Notes what a message waits for, if it does.
    pub(super) fn note(&mut self, index: usize, waits: Vec<Wait>) {
        if !waits.is_empty() {
            let waits = waits.into();
            let waiting = self.0.get_or_insert_default();
            waiting.0.push(Pending { index, waits });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn into_pending(self) -> Vec<Pending> {
        self.0.map(|waiting| waiting.0).unwrap_or_default()
    }
}

/// What became of the messages of a batch that waited: those that are not named may go on.
#[derive(Debug, Default)]
pub struct Verdicts(Option<Box<Refused>>);

#[derive(Debug)]
struct Refused(VecDeque<(usize, Refusal)>);

impl Verdicts {
    /// Takes that on a message; they are asked for in order.
    pub(super) fn take(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(refused) = &mut self.0 else {
            return Ok(());
        };
        match refused.0.front() {
            Some((at, _)) if *at == index => refused.0.pop_front().map_or(Ok(()), |it| Err(it.1)),
            _ => Ok(()),
        }
    }

    /// Returns the first refusal, for a request that is served only if all its messages may go on.
    ///
    /// # Errors
    /// One of them is refused.
    pub(super) fn into_result(self) -> Result<(), Refusal> {
        self.into_iter().next().map_or(Ok(()), |it| Err(it.1))
    }
}

impl From<Vec<(usize, Refusal)>> for Verdicts {
    fn from(refused: Vec<(usize, Refusal)>) -> Self {
        Self((!refused.is_empty()).then(|| Box::new(Refused(refused.into()))))
    }
}

impl IntoIterator for Verdicts {
    type Item = (usize, Refusal);
    type IntoIter = std::collections::vec_deque::IntoIter<(usize, Refusal)>;

    /// Goes through the refusals, in the order of the messages.
    fn into_iter(self) -> Self::IntoIter {
        let refused = self.0.map(|refused| refused.0);
        refused.unwrap_or_default().into_iter()
    }
}

/// The waits of a batch. Dropped, they are given up.
pub(super) struct Waits {
    /// The batch's, while some are pending.
    seat: Option<Seat>,
    pending: Vec<Pending>,
    refused: Vec<(usize, Refusal)>,
}

impl Waits {
    /// Waits until all are over. Whenever one of them may go on all are looked at: a batch is short.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Verdicts> {
        if let Some(seat) = &mut self.seat {
            let refused = &mut self.refused;
            self.pending
                .retain_mut(|pending| match pending.poll(context, &seat.metrics) {
                    Poll::Pending => true,
                    Poll::Ready(Ok(())) => false,
                    Poll::Ready(Err(refusal)) => {
                        refused.push((pending.index, refusal));
                        false
                    }
                });
            if !self.pending.is_empty() {
                if seat.deadline.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                seat.metrics.limited(Limit::MaxWait);
                let late = self.pending.drain(..).map(|pending| pending.index);
                refused.extend(late.map(|index| (index, failed(BayeuxError::WaitTimedOut))));
            }
            refused.sort_by_key(|(index, _)| *index);
            self.seat = None;
        }
        let refused = std::mem::take(&mut self.refused);
        Poll::Ready(Verdicts::from(refused))
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits")
            .field("pending", &self.pending.len())
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

/// A batch's place among those that wait; dropped, it is free.
struct Seat {
    deadline: Pin<Box<Sleep>>,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.waiting_batches.decrement();
    }
}

/// What a message waits for, one after the other.
struct Pending {
    index: usize,
    waits: VecDeque<Wait>,
}

impl Pending {
    fn poll(&mut self, context: &mut Context<'_>, metrics: &Metrics) -> Poll<Result<(), Refusal>> {
        while let Some(wait) = self.waits.front_mut() {
            // What has panicked is not polled again.
            let polled = catch_unwind(AssertUnwindSafe(|| wait.as_mut().poll(context)));
            match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(()))) => {
                    self.waits.pop_front();
                }
                Ok(Poll::Ready(Err(refusal))) => return Poll::Ready(Err(refusal)),
                Err(_) => {
                    if let Some(permit) = metrics.may_log(Notice::Extension) {
                        tracing::error!(
                            suppressed = permit.suppressed,
                            "an extension panicked while a message waited for it"
                        );
                    }
                    return Poll::Ready(Err(failed(BayeuxError::ExtensionFailed)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn failed(error: BayeuxError) -> Refusal {
    Refusal::Failed(error.text().into())
}
