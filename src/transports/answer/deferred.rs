//! An answer that is made when something outside is over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;

use super::{Answer, PendingAnswer, Step};
use crate::web::{Response, Socket};

/// What a client is told that closed its side of the connection too soon.
const UNDONE: &str =
    "the request was given up, as its client closed its side of the connection while it waited";

/// An answer that is made of what a future leads to.
pub struct Deferred<F, M> {
    future: F,
    make: Option<M>,
    is_done: bool,
}

impl<F, M> Deferred<F, M>
where
    F: Future + Unpin,
    M: FnOnce(F::Output, &Socket) -> Answer,
{
    /// Makes one for a request that is done when the future is over: what came later on its connection has
    /// to wait for it too.
    #[must_use]
    pub fn before(future: F, make: M) -> Self {
        Self {
            future,
            make: Some(make),
            is_done: false,
        }
    }

    /// Makes one for a request that is done already: what came later need not wait, and a client that has
    /// closed its side is owed the answer.
    #[must_use]
    pub fn after(future: F, make: M) -> Self {
        Self {
            is_done: true,
            ..Self::before(future, make)
        }
    }
}

impl<F, M> fmt::Debug for Deferred<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}

impl<F, M> PendingAnswer for Deferred<F, M>
where
    F: Future + Unpin + Send,
    M: FnOnce(F::Output, &Socket) -> Answer + Send,
{
    fn poll(&mut self, socket: &Socket, context: &mut Context<'_>) -> Poll<Step> {
        let output = ready!(Pin::new(&mut self.future).poll(context));
        Poll::Ready(match self.make.take() {
            Some(make) => Step::Instead(make(output, socket)),
            None => Step::End,
        })
    }

    fn give_up(&mut self) -> Option<Response> {
        let is_undone = !self.is_done && self.make.take().is_some();
        is_undone.then(|| Response::error(StatusCode::SERVICE_UNAVAILABLE, UNDONE))
    }

    fn keeps_order(&self) -> bool {
        !self.is_done
    }

    fn survives_half_close(&self) -> bool {
        self.is_done
    }
}
