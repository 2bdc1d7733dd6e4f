//! A request that is passed on, as who passes it on has it: what is said to the owner, and by it, behind the answer.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use hyper::body::Frame;

use super::inbox::{Inbox, framed, word};

/// What whoever passes a request on shares with the task that sends it.
#[derive(Debug, Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The owner is to answer soon.
    is_urgent: bool,
    /// Its client has closed its side.
    is_closed: bool,
    /// What became of the answer.
    end: Option<End>,
    /// What the owner says behind its answer.
    inbox: Option<Inbox>,
    /// There is no use any more in writing the answer.
    is_useless: bool,
    sender: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Written,
    NotWritten,
}

impl Line {
    /// Asks the owner to answer soon.
    pub(super) fn hasten(&self) {
        self.change(|state| state.is_urgent = true);
    }

    /// Tells the owner that the client has closed its side.
    pub(super) fn note_closed(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Hears, from now on, what the owner says behind its answer.
    pub(super) fn answered(&self, inbox: Inbox) {
        self.change(|state| state.inbox = Some(inbox));
    }

    /// Tells the owner whether the answer was written.
    pub(super) fn end(&self, is_written: bool) {
        let end = if is_written {
            End::Written
        } else {
            End::NotWritten
        };
        self.change(|state| state.end = Some(end));
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let sender = state.sender.take();
        drop(state);
        if let Some(sender) = sender {
            sender.wake();
        }
    }

    /// Waits until there is no use any more in writing the answer.
    pub(super) fn poll_useless(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.is_useless {
            return Poll::Ready(());
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_useless(&mut self) {
        self.is_useless = true;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Hears what the owner says; true if that was the last.
    fn hear(&mut self, context: &mut Context<'_>) -> bool {
        while let Some(inbox) = &mut self.inbox {
            match inbox.poll_word(context) {
                Poll::Ready(Some(word::USELESS)) => self.note_useless(),
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) => {
                    self.inbox = None;
                    self.note_useless();
                }
                Poll::Pending => return false,
            }
        }
        true
    }
}

/// The body of such a request: itself, then what is said behind it, at last what became of the answer. It does not end
/// before the owner's has, or the stream would be reset. If it breaks off nobody knows.
#[derive(Debug)]
pub(super) struct Sending {
    line: Arc<Line>,
    request: Option<Bytes>,
    has_told: bool,
}

impl Sending {
    pub(super) fn new(line: &Arc<Line>, request: Bytes) -> Self {
        Self {
            line: Arc::clone(line),
            request: Some(request),
            has_told: false,
        }
    }

    /// Returns the request, as long as it is not sent.
    pub(super) fn request(&self) -> &[u8] {
        self.request.as_deref().unwrap_or_default()
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(request) = self.request.take() {
            return data(framed(&request));
        }
        let mut state = self.line.lock();
        if std::mem::take(&mut state.is_urgent) && state.inbox.is_none() {
            return data(Bytes::from_static(&[word::SOON]));
        }
        if std::mem::take(&mut state.is_closed) && state.inbox.is_none() {
            return data(Bytes::from_static(&[word::CLOSED]));
        }
        if let Some(end) = state.end
            && !self.has_told
        {
            self.has_told = true;
            return data(Bytes::from_static(match end {
                End::Written => &[word::WRITTEN],
                End::NotWritten => &[word::NOT_WRITTEN],
            }));
        }
        if state.hear(context) && self.has_told {
            return Poll::Ready(None);
        }
        state.sender = Some(context.waker().clone());
        Poll::Pending
    }
}

fn data(bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
    Poll::Ready(Some(Ok(Frame::data(bytes))))
}

impl Drop for Sending {
    fn drop(&mut self) {
        // Nothing more can be said.
        let mut state = self.line.lock();
        state.inbox = None;
        state.note_useless();
    }
}
