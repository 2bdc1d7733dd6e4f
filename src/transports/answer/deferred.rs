//! An answer that is made when something outside is over.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Answer, Step, Wait};
use crate::web::{Response, Socket};

/// An answer that is made of what a future leads to. A client that goes away before has none.
pub struct Deferred<F, M> {
    future: F,
    make: Option<M>,
    keeps_order: bool,
}

impl<F, M> Deferred<F, M>
where
    F: Future + Unpin,
    M: FnOnce(F::Output, &Socket) -> Answer,
{
    /// Makes one that what came later on its connection need not wait for.
    #[must_use]
    pub fn new(future: F, make: M) -> Self {
        Self {
            future,
            make: Some(make),
            keeps_order: false,
        }
    }

    /// Makes one that what came later on its connection has to wait for too.
    #[must_use]
    pub fn in_order(future: F, make: M) -> Self {
        Self {
            keeps_order: true,
            ..Self::new(future, make)
        }
    }
}

impl<F, M> fmt::Debug for Deferred<F, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deferred").finish_non_exhaustive()
    }
}

impl<F, M> Wait for Deferred<F, M>
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
        None
    }

    fn keeps_order(&self) -> bool {
        self.keeps_order
    }
}
