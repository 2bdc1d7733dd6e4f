//! What happens before a batch is processed, or a request that stands for messages, if an extension asks
//! somebody outside first.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use super::BayeuxServer;
use super::request::{Request, is_of};
use super::waits::{Asked, Verdicts, Waits};
use crate::bayeux::{Message, meta};
use crate::operations::{Actor, Denied, Implied};
use crate::session::{BeingWritten, Session};

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
        self.wait(asked, session.as_ref(), now)
    }

    fn wait(
        &self,
        asked: Asked,
        session: Option<&Arc<Session>>,
        now: Instant,
    ) -> Option<Admission> {
        if asked.is_empty() {
            return None;
        }
        Some(Admission {
            waits: self.waiting.enter(asked, now),
            _alive: session.map(|session| BeingWritten::of(session, false)),
        })
    }

    /// Asks the extensions whether a request that stands for messages has to wait before it is served.
    ///
    /// To be called within a Tokio runtime.
    #[must_use]
    pub fn implied_admission(
        &self,
        implied: &Implied<'_>,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Option<Admission> {
        if !self.core.shared.extensions.may_wait() {
            return None;
        }
        let extensions = &self.core.shared.extensions;
        let scope = self.core.scope(now);
        let session = implied.session(actor, &scope);
        let info = scope.info(session.as_ref().map(|session| session.id()), actor);
        let mut asked = Asked::default();
        let mut index = 0;
        implied.each(&scope, |message| {
            // Without its session it is not done.
            if message.client_id.is_none() || session.is_some() {
                asked.note(index, extensions.admit(message, &info));
            }
            index += 1;
        });
        self.wait(asked, session.as_ref(), now)
    }

    /// Takes the verdicts on a request that stands for messages.
    ///
    /// # Errors
    /// It is refused, and its session has ended if that disconnects.
    pub fn admitted(
        &self,
        implied: &Implied<'_>,
        verdicts: Verdicts,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<(), Denied> {
        verdicts.into_result().map_err(|refusal| {
            let scope = self.core.scope(now);
            let session = implied.session(actor, &scope);
            scope.ended_by(refusal, session.as_ref()).into()
        })
    }
}
