//! What the messages of a batch wait for, all at once: bounded in time and in number, and an extension
//! or a check that fails fails its message only.

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

use super::verdicts::{Place, Verdicts};
use crate::authentication::{Checking, Known};
use crate::bayeux::BayeuxError;
use crate::extensions::{Refusal, Wait, WaitBounds};
use crate::memory::{Charge, Kind};
use crate::metrics::{Limit, Metrics, Notice};
use crate::operations::{Extra, Later};

/// What a batch that waits takes beside its text: its timer, what it waits for, and what is to be done then.
const SEAT: usize = 2048;
/// After which time whoever waited in vain may try again.
const RETRY: Duration = Duration::from_secs(1);

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

    /// Returns how long anything may wait.
    pub(super) fn max_wait(&self) -> Duration {
        self.max_wait
    }

    /// Takes a place for a batch, within a Tokio runtime; if there is none all its messages that would
    /// wait are refused. `verdicts` are those that are known already; the batch has so many bytes.
    pub(super) fn enter(
        &self,
        asked: Asked,
        mut verdicts: Verdicts,
        bytes: usize,
        now: Instant,
    ) -> Waits {
        let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() else {
            self.metrics.limited(Limit::MaxWaiting);
            for pending in asked.into_pending() {
                verdicts.refuse(pending.place, later(BayeuxError::TooManyWaiting));
            }
            return Waits {
                seat: None,
                pending: Vec::new(),
                verdicts,
            };
        };
        self.metrics.waiting_batches.increment();
        Waits {
            seat: Some(Seat {
                deadline: Box::pin(sleep_until((now + self.max_wait).into())),
                metrics: Arc::clone(&self.metrics),
                _permit: permit,
                _charge: Charge::new(&self.metrics.memory, Kind::Waits, SEAT + bytes),
            }),
            pending: asked.into_pending(),
            verdicts,
        }
    }
}

/// What is waited for.
type Awaited = Pin<Box<dyn Future<Output = Result<Said, Refusal>> + Send>>;

/// What a wait that went well has led to.
enum Said {
    /// The message may go on.
    Nothing,
    /// It is known who the client is.
    Known(Known),
    /// The reply is to tell this.
    Extra(Extra),
}

/// Which messages of a batch wait, and for what. Mostly none does: then it is one word, as [`Verdicts`] are.
#[derive(Default)]
pub(super) struct Asked(Option<Box<Waiting>>);

#[derive(Default)]
struct Waiting(Vec<Pending>);

impl Asked {
    /// Notes what a message waits for, if it does.
    pub(super) fn note(&mut self, index: usize, waits: Vec<Wait>) {
        if !waits.is_empty() {
            let place = Place::Message(index);
            let waits = waits.into_iter().map(awaited).collect();
            self.pending().push(Pending::new(place, waits));
        }
    }

    /// Notes what the reply to a message waits for.
    pub(super) fn note_later(&mut self, index: usize, mut later: Vec<Later>) {
        if !later.is_empty() {
            let place = Place::Message(index);
            let too_late = later.iter_mut().find_map(Later::take_too_late);
            let waits = later.into_iter().map(told).collect();
            self.pending().push(Pending {
                too_late,
                ..Pending::new(place, waits)
            });
        }
    }

    /// Notes that the session has to come here first.
    pub(super) fn note_fetching(
        &mut self,
        fetching: impl Future<Output = Result<(), Refusal>> + Send + 'static,
    ) {
        let place = Place::Session;
        let fetched: Awaited = Box::pin(async move { fetching.await.map(|()| Said::Nothing) });
        let waits = VecDeque::from([fetched]);
        self.pending().push(Pending::new(place, waits));
    }

    /// Notes a check that is going on.
    pub(super) fn note_check(&mut self, place: Place, checking: Checking) {
        let waits = VecDeque::from([checked(checking)]);
        self.pending().push(Pending::new(place, waits));
    }

    fn pending(&mut self) -> &mut Vec<Pending> {
        &mut self.0.get_or_insert_default().0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn into_pending(self) -> Vec<Pending> {
        self.0.map(|waiting| waiting.0).unwrap_or_default()
    }
}

/// The waits of a batch. Dropped, they are given up.
pub(super) struct Waits {
    /// The batch's, while some are pending.
    seat: Option<Seat>,
    pending: Vec<Pending>,
    verdicts: Verdicts,
}

impl Waits {
    /// Waits until all are over. Whenever one of them may go on all are looked at: a batch is short.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Verdicts> {
        if let Some(seat) = &mut self.seat {
            let verdicts = &mut self.verdicts;
            self.pending.retain_mut(|pending| {
                match pending.poll(context, verdicts, &seat.metrics) {
                    Poll::Pending => true,
                    Poll::Ready(Ok(())) => false,
                    Poll::Ready(Err(refusal)) => {
                        verdicts.refuse(pending.place, refusal);
                        false
                    }
                }
            });
            if !self.pending.is_empty() {
                if seat.deadline.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                seat.metrics.limited(Limit::MaxWait);
                for late in self.pending.drain(..) {
                    let timed_out = || later(BayeuxError::WaitTimedOut);
                    verdicts.refuse(late.place, late.too_late.unwrap_or_else(timed_out));
                }
            }
            self.seat = None;
        }
        Poll::Ready(std::mem::take(&mut self.verdicts))
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits")
            .field("pending", &self.pending.len())
            .field("verdicts", &self.verdicts)
            .finish_non_exhaustive()
    }
}

/// A batch's place among those that wait; dropped, it is free.
struct Seat {
    deadline: Pin<Box<Sleep>>,
    metrics: Arc<Metrics>,
    _permit: OwnedSemaphorePermit,
    _charge: Charge,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.metrics.waiting_batches.decrement();
    }
}

/// What a message waits for, one after the other.
struct Pending {
    place: Place,
    waits: VecDeque<Awaited>,
    /// What it is refused with if that takes too long; nothing: that it does.
    too_late: Option<Refusal>,
}

impl Pending {
    fn new(place: Place, waits: VecDeque<Awaited>) -> Self {
        Self {
            place,
            waits,
            too_late: None,
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        verdicts: &mut Verdicts,
        metrics: &Metrics,
    ) -> Poll<Result<(), Refusal>> {
        while let Some(wait) = self.waits.front_mut() {
            // What has panicked is not polled again.
            let polled = catch_unwind(AssertUnwindSafe(|| wait.as_mut().poll(context)));
            match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Ok(said))) => {
                    self.waits.pop_front();
                    match said {
                        Said::Nothing => {}
                        Said::Known(known) => verdicts.know(self.place, known),
                        Said::Extra(extra) => verdicts.add(self.place, extra),
                    }
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

fn awaited(wait: Wait) -> Awaited {
    Box::pin(async move { wait.await.map(|()| Said::Nothing) })
}

fn told(later: Later) -> Awaited {
    Box::pin(async move {
        later
            .into_future()
            .await
            .map(|extra| extra.map_or(Said::Nothing, Said::Extra))
    })
}

fn checked(checking: Checking) -> Awaited {
    Box::pin(async move { checking.await.map(Said::Known).map_err(Refusal::from) })
}

fn failed(error: BayeuxError) -> Refusal {
    Refusal::Failed(error.text().into())
}

fn later(error: BayeuxError) -> Refusal {
    Refusal::Later(error.text().into(), RETRY)
}
