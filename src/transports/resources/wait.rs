//! A request that waits for a resource to change: a socket, a waker, and a timer.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Sleep;

use super::super::{Polled, allow, vary};
use super::{changed, exposed, unchanged};
use crate::resources::Watch;
use crate::web::{Response, Socket};

/// A request that waits.
#[derive(Debug)]
pub struct Waiting {
    watch: Watch,
    deadline: Pin<Box<Sleep>>,
    pub(in super::super) origin: Option<HeaderValue>,
}

impl Waiting {
    pub(super) fn new(watch: Watch, timeout: Duration) -> Self {
        Self {
            watch,
            deadline: Box::pin(tokio::time::sleep(timeout)),
            origin: None,
        }
    }

    /// Waits for a change, the deadline, the server's or the client's end.
    pub async fn wait(mut self: Box<Self>, socket: &mut Socket) -> Polled {
        let woken = poll_fn(|context| {
            if socket.poll_closed(context).is_ready() {
                return Poll::Ready(None);
            }
            self.poll_answered(context).map(Some)
        })
        .await;
        match woken {
            Some(response) => Polled::Answered(self.finish(response), None),
            None => Polled::Closed(self.finish(unchanged())),
        }
    }

    /// Waits for a change, the deadline, or the server's end.
    pub(in super::super) fn poll_answered(&mut self, context: &mut Context<'_>) -> Poll<Response> {
        if let Poll::Ready(woken) = self.watch.poll_changed(context) {
            return Poll::Ready(changed(woken));
        }
        let is_late = self.deadline.as_mut().poll(context);
        is_late.map(|()| unchanged())
    }

    fn finish(&self, response: Response) -> Response {
        let response = match &self.origin {
            Some(_) => exposed(response),
            None => response,
        };
        vary(allow(response, self.origin.as_ref()))
    }
}
