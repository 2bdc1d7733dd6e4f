//! What happens before a batch is processed, if an extension asks somebody outside first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use super::BayeuxServer;
use super::request::{Request, is_of};
use super::waits::{Asked, Verdicts, Waits};
use crate::bayeux::{Message, meta};
use crate::session::BeingWritten;

/// A batch that waits before it is processed; it holds nothing of the batch. Dropped, because the client
/// went away, it ends whatever it waits for.
#[derive(Debug)]
#[must_use = "the batch is processed when it is over"]
pub struct Admission {
    waits: Waits,
    /// The session lives as if the messages had been processed when they came.
    _alive: Option<BeingWritten>,
}

impl Future for Admission {
    type Output = Verdicts;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Verdicts> {
        self.waits.poll(context)
    }
}

impl BayeuxServer {
    /// Asks the extensions whether a batch has to wait before it is processed; mostly none has. The verdicts
    /// are for [`process`](Self::process), with the same messages: keep their texts, and parse them again.
    ///
    /// To be called within a Tokio runtime.
    #[must_use]
    pub fn admission(
        &self,
        batch: &[Message<'_>],
        request: &Request<'_>,
        now: Instant,
    ) -> Option<Admission> {
        if !self.core.shared.extensions.may_wait() {
            return None;
        }
        self.ask(batch, request, now)
    }

    fn ask(&self, batch: &[Message<'_>], request: &Request<'_>, now: Instant) -> Option<Admission> {
        let handshake = batch
            .iter()
            .position(|message| message.is_on(meta::HANDSHAKE));
        let session = if handshake.is_none() {
            self.session_of(batch, request, now)
        } else {
            None
        };
        let scope = self.core.scope(now);
        let mut asked = Asked::default();
        for (index, message) in batch.iter().enumerate() {
            // Those beside a handshake are passed over.
            if handshake.is_some_and(|handshake| handshake != index) {
                continue;
            }
            let own = session.as_ref().filter(|session| is_of(message, session));
            let info = scope.info(own.map(|session| session.id()), &request.actor);
            asked.note(index, self.core.shared.extensions.admit(message, &info));
        }
        if asked.is_empty() {
            return None;
        }
        Some(Admission {
            waits: self.waiting.enter(asked, now),
            _alive: session.map(|session| BeingWritten::of(&session, false)),
        })
    }
}
