//! A response that is kept back for a while.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use super::{PendingAnswer, Step};
use crate::web::{Response, Socket};

/// A response that is kept back, unless its client leaves or the server stops.
#[derive(Debug)]
pub struct Delay {
    response: Option<Response>,
    sleep: Pin<Box<Sleep>>,
    is_stopping: bool,
}

impl Delay {
    /// Keeps a response back for so long.
    #[must_use]
    pub fn new(response: Response, delay: Duration) -> Self {
        Self {
            response: Some(response),
            sleep: Box::pin(tokio::time::sleep(delay)),
            is_stopping: false,
        }
    }
}

impl PendingAnswer for Delay {
    fn poll(&mut self, _: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        if !self.is_stopping {
            ready!(self.sleep.as_mut().poll(context));
        }
        Poll::Ready(match self.response.take() {
            Some(response) => Step::Last(response, None),
            None => Step::End,
        })
    }

    fn stop(&mut self) {
        self.is_stopping = true;
    }

    fn give_up(&mut self) -> Option<Response> {
        self.response.take()
    }
}
