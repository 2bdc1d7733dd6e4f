//! A request that is passed on: the wait for its answer, and what the owner is told then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use super::Answer;
use super::body::Body;
use super::inbox::Inbox;
use super::line::{Line, Sending};
use crate::cluster::node::NodeId;
use crate::cluster::peers::CallFailed;
use crate::memory::Kind;
use crate::metrics::Metrics;

/// A request that is passed on, until its answer has come.
pub struct Pass {
    line: Arc<Line>,
    to: NodeId,
    answer: Asking,
    metrics: Arc<Metrics>,
    is_over: bool,
}

/// The wait for an answer, which a task of its own reads: whoever waits may be kept from looking, and what is not read
/// stands in the way of all others on the connection.
enum Asking {
    New(BoxFuture<'static, Answered>),
    Begun(JoinHandle<Answered>),
}

type Answered = Result<Bytes, CallFailed>;

/// What hears what becomes of the answer. Dropped, it was not written.
#[derive(Debug)]
#[must_use = "dropped, it tells that the answer was not written"]
pub struct Receipt(Option<Arc<Line>>);

impl Pass {
    pub(super) fn new<F>(
        to: NodeId,
        request: Bytes,
        metrics: &Arc<Metrics>,
        ask: impl FnOnce(Body) -> F,
    ) -> Self
    where
        F: Future<Output = Result<Answer, CallFailed>> + Send + 'static,
    {
        let line = Arc::<Line>::default();
        let asked = ask(Body::Passing(Sending::new(&line, request)));
        let answered = Arc::clone(&line);
        let memory = Arc::clone(&metrics.memory);
        metrics.cluster.passed.increment();
        metrics.cluster.passed_total.increment();
        Self {
            line,
            to,
            answer: Asking::New(Box::pin(async move {
                let Answer { body, signature } = asked.await?;
                let mut inbox = Inbox::new(body);
                let said = inbox.whole(&memory, Kind::Responses).await;
                let said = signature.checked(said).ok_or(CallFailed::NoAnswer(to))?;
                answered.answered(inbox);
                Ok(said)
            })),
            metrics: Arc::clone(metrics),
            is_over: false,
        }
    }

    /// Asks the owner to answer soon, because this node stops.
    pub fn hasten(&self) {
        self.line.hasten();
    }

    /// Asks the owner for an answer without events, because the client reads but sends nothing more, and may be gone.
    pub fn note_closed(&self) {
        self.line.note_closed();
    }
}

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pass").finish_non_exhaustive()
    }
}

impl Future for Pass {
    type Output = Result<(Bytes, Receipt), CallFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let to = self.to;
        let answer = loop {
            match &mut self.answer {
                Asking::New(answer) => {
                    let answer = std::mem::replace(answer, Box::pin(std::future::pending()));
                    self.answer = Asking::Begun(tokio::spawn(answer));
                }
                Asking::Begun(answer) => break ready!(Pin::new(answer).poll(context)),
            }
        };
        let answer = answer.unwrap_or(Err(CallFailed::NoAnswer(to)))?;
        self.is_over = true;
        Poll::Ready(Ok((answer, Receipt(Some(Arc::clone(&self.line))))))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.metrics.cluster.passed.decrement();
        if !self.is_over {
            // The task goes on until the owner has heard that: a stream that is reset may lose what was said by it.
            self.line.end(false);
        }
    }
}

impl Receipt {
    /// Tells the owner that the answer was written.
    pub fn written(mut self) {
        if let Some(line) = self.0.take() {
            line.end(true);
        }
    }

    /// Waits until there is no use any more in writing the answer: its client has asked again, or the owner is gone.
    pub fn poll_useless(&self, context: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Some(line) => line.poll_useless(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(line) = self.0.take() {
            line.end(false);
        }
    }
}
