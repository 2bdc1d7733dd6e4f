//! Events on their way with a reply: until they are written, nothing newer leaves by another.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::replying::Became;
use super::{Session, keep};
use crate::bayeux::Event;

/// Events that were taken for a reply, or a gap that it tells, which come back if it is not written. Dropped, they are
/// written.
#[derive(Debug)]
pub struct InFlight {
    session: Arc<Session>,
    /// The connect that they answer; nothing for those that ride on the reply to a publish, beside
    /// which others may leave.
    connect: Option<u64>,
    is_over: bool,
}

impl InFlight {
    pub(super) fn new(session: &Arc<Session>, connect: Option<u64>) -> Self {
        Self {
            session: Arc::clone(session),
            connect,
            is_over: false,
        }
    }

    /// Tells whether it is the reply to a connect that they go with.
    #[must_use]
    pub fn is_to_connect(&self) -> bool {
        self.connect.is_some()
    }

    /// Waits, while they are being written, until there is no use in that: the client has connected
    /// anew, and waits for them there.
    pub fn poll_displaced(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(connect) = self.connect else {
            return Poll::Pending;
        };
        let mut inner = self.session.lock();
        if !inner.state.is_replying(connect) {
            return Poll::Ready(());
        }
        keep(&mut inner.reply_waker, context);
        Poll::Pending
    }

    /// Gives back those that were not written, the last of them.
    pub fn give_back(mut self, events: Vec<Arc<Event>>) {
        self.is_over = true;
        let became = Became::NotWritten(events);
        self.session.end_reply(self.connect, became);
    }

    /// Ends the way of those of which nobody knows whether they were written: they come again only to who
    /// acknowledges, and others are told that they may be missing.
    pub fn lose(mut self, events: &[Arc<Event>]) {
        self.is_over = true;
        self.session
            .end_reply(self.connect, Became::Unknown(events));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.is_over && self.connect.is_some() {
            self.session.end_reply(self.connect, Became::Written);
        }
    }
}
