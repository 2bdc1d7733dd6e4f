//! What a request waits for: the next change of a resource, or all of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::{changed, exposed, unchanged};
use crate::resources::{Watch, Woken};
use crate::transports::answer::{PendingAnswer, Step};
use crate::web::{Response, Socket};

/// The next change of a resource, or none in the time that there is.
#[derive(Debug)]
pub(super) struct NextChange {
    watch: Watch,
    deadline: Pin<Box<Sleep>>,
    /// A page of another origin may read more than the body.
    is_exposed: bool,
}

impl NextChange {
    pub(super) fn new(watch: Watch, timeout: Duration, is_exposed: bool) -> Self {
        Self {
            watch,
            deadline: Box::pin(tokio::time::sleep(timeout)),
            is_exposed,
        }
    }

    fn finish(&self, response: Response) -> Response {
        if self.is_exposed {
            exposed(response)
        } else {
            response
        }
    }
}

impl PendingAnswer for NextChange {
    /// Waits for a change, the deadline, or the server's end.
    fn poll(&mut self, _: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        let response = if let Poll::Ready(woken) = self.watch.poll_changed(context) {
            changed(woken)
        } else if self.deadline.as_mut().poll(context).is_ready() {
            unchanged()
        } else {
            return Poll::Pending;
        };
        Poll::Ready(Step::Last(self.finish(response), None))
    }

    fn give_up(&mut self) -> Option<Response> {
        Some(self.finish(unchanged()))
    }
}

/// All changes of a resource, each a response, for as long as it is known who asks.
#[derive(Debug)]
pub(super) struct Changes {
    watch: Watch,
    ends: Option<Pin<Box<Sleep>>>,
}

impl Changes {
    /// Those of a client of whom it is known for so long who it is, if there is an end to that.
    pub(super) fn new(watch: Watch, left: Option<Duration>) -> Self {
        let ends = left.map(|left| Box::pin(tokio::time::sleep(left)));
        Self { watch, ends }
    }
}

impl PendingAnswer for Changes {
    fn poll(&mut self, _: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        if let Some(ends) = &mut self.ends
            && ends.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Step::End);
        }
        self.watch.poll_changed(context).map(|woken| match woken {
            Woken::Stopped => Step::End,
            changed_to @ Woken::Changed(..) => Step::Next(changed(changed_to), Vec::new()),
        })
    }

    fn give_up(&mut self) -> Option<Response> {
        None
    }
}
