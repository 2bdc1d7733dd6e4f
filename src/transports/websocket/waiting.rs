//! The batches of a WebSocket that wait: one before it is processed, and some whose replies may not leave
//! yet.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::authentication::Shown;
use crate::server::{Admission, Settled, Settlement, Verdicts};

/// How many batches' replies may wait before no more is read.
const MAX_SETTLEMENTS: usize = 64;

/// The batches that wait, and what the head of the upgrade shows: most WebSockets have neither.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    shown: Option<Arc<Shown>>,
    /// The batch that is to be processed next, as it came.
    admission: Option<(Admission, Bytes)>,
    settlements: Vec<Settlement>,
    /// The session has ended by its client's will, and with it the connection when nothing waits.
    is_last: bool,
}

impl Waiting {
    /// Makes that of a WebSocket whose head shows something.
    pub(super) fn of(shown: Arc<Shown>) -> Box<Self> {
        Box::new(Self {
            shown: Some(shown),
            ..Self::default()
        })
    }

    pub(super) fn shown(&self) -> Option<&Arc<Shown>> {
        self.shown.as_ref()
    }

    /// Keeps a batch until its messages are admitted.
    pub(super) fn admit(&mut self, admission: Admission, text: Bytes) {
        self.admission = Some((admission, text));
    }

    /// Keeps the replies of a batch until they may leave.
    pub(super) fn settle(&mut self, settlement: Settlement) {
        self.settlements.push(settlement);
    }

    /// Takes nothing more.
    pub(super) fn end(&mut self) {
        self.is_last = true;
    }

    /// Tells whether nothing more is taken, and nothing waits.
    pub(super) fn is_over(&self) -> bool {
        self.is_last && self.is_empty()
    }

    /// Tells whether there is room for what comes next, which is not processed before what came first.
    pub(super) fn may_read(&self) -> bool {
        self.admission.is_none() && self.settlements.len() < MAX_SETTLEMENTS && !self.is_last
    }

    pub(super) fn is_empty(&self) -> bool {
        self.admission.is_none() && self.settlements.is_empty()
    }

    /// Returns the batch that is to be processed now, and what became of its messages.
    pub(super) fn admitted(&mut self, context: &mut Context<'_>) -> Option<(Bytes, Verdicts)> {
        let (admission, _) = self.admission.as_mut()?;
        let Poll::Ready(verdicts) = Pin::new(admission).poll(context) else {
            return None;
        };
        let (_, text) = self.admission.take()?;
        Some((text, verdicts))
    }

    /// Returns a batch whose replies may leave.
    pub(super) fn settled(&mut self, context: &mut Context<'_>) -> Option<Settled> {
        let mut waiting = self.settlements.iter_mut().enumerate();
        let (at, settled) =
            waiting.find_map(
                |(at, settlement)| match Pin::new(settlement).poll(context) {
                    Poll::Ready(settled) => Some((at, settled)),
                    Poll::Pending => None,
                },
            )?;
        drop(self.settlements.swap_remove(at));
        Some(settled)
    }
}
