//! A response that is kept back for a while.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::{Step, Wait};
use crate::web::{Response, Socket};

/// A response that is kept back, unless its client leaves or the server stops.
#[derive(Debug)]
pub struct Delay {
    response: Option<Response>,
    sleep: Pin<Box<Sleep>>,
}

impl Delay {
    /// Keeps a response back for so long.
    #[must_use]
    pub fn new(response: Response, delay: Duration) -> Self {
        Self {
            response: Some(response),
            sleep: Box::pin(tokio::time::sleep(delay)),
        }
    }
}

impl Wait for Delay {
    fn poll(&mut self, _: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        let waited = self.sleep.as_mut().poll(context);
        waited.map(|()| match self.response.take() {
            Some(response) => Step::Last(response, None),
            None => Step::End,
        })
    }

    fn stop(&mut self) {
        self.sleep.set(tokio::time::sleep(Duration::ZERO));
    }

    fn give_up(&mut self) -> Option<Response> {
        self.response.take()
    }
}
