//! The answer to a request that another node has passed on: its bytes, and then what becomes of it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::OwnedSemaphorePermit;

use super::inbox::{Inbox, framed, word};
use super::passing::Delivery;
use crate::metrics::Metrics;

/// The place of a request that is passed on.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit, metrics: &Arc<Metrics>) -> Self {
        metrics.cluster.served.increment();
        Self {
            _permit: permit,
            metrics: Arc::clone(metrics),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.cluster.served.decrement();
    }
}

/// The answer to a request that is passed on. It ends when it is known whether it was written.
pub(super) struct Answering {
    answer: Option<Bytes>,
    inbox: Inbox,
    delivery: Option<Box<dyn Delivery>>,
    /// The other node has heard that there is no use in writing it.
    is_told: bool,
    _place: Place,
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

impl Answering {
    pub(super) fn new(
        answer: &[u8],
        delivery: Option<Box<dyn Delivery>>,
        inbox: Inbox,
        place: Place,
    ) -> Self {
        Self {
            answer: Some(framed(answer)),
            inbox,
            delivery,
            is_told: false,
            _place: place,
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(answer) = self.answer.take() {
            return Poll::Ready(Some(Ok(Frame::data(answer))));
        }
        if self.poll_end(context).is_ready() {
            return Poll::Ready(None);
        }
        if let Some(delivery) = &mut self.delivery
            && !self.is_told
            && delivery.poll_useless(context).is_ready()
        {
            self.is_told = true;
            // It is heard that it was written, if it was before this is.
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[word::USELESS])))));
        }
        Poll::Pending
    }

    /// Waits until it is known what became of the answer.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match ready!(self.inbox.poll_word(context)) {
                Some(word::WRITTEN) => {
                    if let Some(delivery) = self.delivery.take() {
                        delivery.written();
                    }
                    return Poll::Ready(());
                }
                Some(word::NOT_WRITTEN) => {
                    self.delivery = None;
                    return Poll::Ready(());
                }
                Some(_) => {}
                None => {
                    self.lose();
                    return Poll::Ready(());
                }
            }
        }
    }

    fn lose(&mut self) {
        if let Some(delivery) = self.delivery.take() {
            delivery.lost();
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        // What has come says it, although the connection has broken behind it.
        if self.delivery.is_some() && self.answer.is_none() {
            let _ = self.poll_end(&mut Context::from_waker(Waker::noop()));
            self.lose();
        }
    }
}
