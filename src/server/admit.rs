//! What happens before a batch is processed, or a request that stands for messages: it is found who its
//! client is, and extensions may ask somebody outside. Mostly there is nothing to do, or it is done at once.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use serde_json::value::RawValue;

use super::BayeuxServer;
use super::request::{Request, is_of};
use super::verdicts::Verdicts;
use super::waits::{Asked, Waits};
use crate::authentication::Known;
use crate::bayeux::{Message, meta};
use crate::extensions::Refusal;
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

/// Returns about how many bytes the text of a batch has.
pub(super) fn size(batch: &[Message<'_>]) -> usize {
    const NAMES: usize = 128;
    let field = |data: &Option<Cow<'_, RawValue>>| data.as_ref().map_or(0, |data| data.get().len());
    let sizes = batch
        .iter()
        .map(|message| NAMES + field(&message.data) + field(&message.ext));
    sizes.sum()
}

impl BayeuxServer {
    /// Finds whether a batch has to wait before it is processed; mostly it has not. Then what is known of its
    /// messages is among its verdicts. When the wait is over ask again, with the verdicts that it ends in and
    /// the same messages: keep their texts, and parse them again.
    ///
    /// To be called within a Tokio runtime.
    #[must_use]
    pub fn admission(
        &self,
        batch: &[Message<'_>],
        request: &mut Request<'_>,
        now: Instant,
    ) -> Option<Admission> {
        self.pace(batch, request, now);
        if !request.admitted.are_fetched()
            && let Some(fetching) = self.fetching(batch, request, now)
        {
            let mut asked = Asked::default();
            asked.note_fetching(fetching);
            request.admitted.set_fetched();
            return Some(self.wait_for(asked, batch, request, now));
        }
        if request.admitted.is_absent() {
            return None;
        }
        if self.identifying.get().authenticator.is_on() && !request.admitted.are_identified() {
            let asked = self.identify(batch, request);
            if !asked.is_empty() {
                return Some(self.wait_for(asked, batch, request, now));
            }
        }
        if !self.core.shared.extensions.may_wait() || request.admitted.are_complete() {
            return None;
        }
        let asked = self.ask(batch, request, now);
        if asked.is_empty() {
            return None;
        }
        request.admitted.set_complete();
        Some(self.wait_for(asked, batch, request, now))
    }

    /// Asks the extensions.
    fn ask(&self, batch: &[Message<'_>], request: &Request<'_>, now: Instant) -> Asked {
        let handshake = handshake_in(batch);
        let session = if handshake.is_none() {
            self.session_of(batch, request, now)
        } else {
            None
        };
        let scope = self.core.scope(now);
        let mut asked = Asked::default();
        for (index, message) in batch.iter().enumerate() {
            // Those beside a handshake are passed over.
            if handshake.is_some_and(|handshake| handshake != index)
                || request.admitted.is_refused(index)
            {
                continue;
            }
            let own = session.as_ref().filter(|session| is_of(message, session));
            let who = request.admitted.who(index);
            let info = scope.info(
                own,
                &Actor {
                    who,
                    ..request.actor
                },
            );
            asked.note(index, self.core.shared.extensions.admit(message, &info));
        }
        asked
    }

    fn wait_for(
        &self,
        asked: Asked,
        batch: &[Message<'_>],
        request: &mut Request<'_>,
        now: Instant,
    ) -> Admission {
        let session = match handshake_in(batch) {
            None => self.session_of(batch, request, now),
            Some(_) => None,
        };
        self.wait(
            asked,
            std::mem::take(&mut request.admitted),
            size(batch),
            session.as_ref(),
            now,
        )
    }

    fn wait(
        &self,
        asked: Asked,
        mut verdicts: Verdicts,
        bytes: usize,
        session: Option<&Arc<Session>>,
        now: Instant,
    ) -> Admission {
        verdicts.set_paced();
        Admission {
            waits: self.waiting.enter(asked, verdicts, bytes, now),
            _alive: session.map(|session| BeingWritten::of(session, false)),
        }
    }

    /// Finds whether a request that stands for messages has to wait before it is served, as
    /// [`admission`](Self::admission) does for those.
    ///
    /// To be called within a Tokio runtime.
    #[must_use]
    pub fn implied_admission(
        &self,
        implied: &Implied<'_>,
        actor: &Actor<'_>,
        verdicts: &mut Verdicts,
        now: Instant,
    ) -> Option<Admission> {
        self.pace_implied(implied, actor, verdicts, now);
        if verdicts.is_refused(0) {
            return None;
        }
        if !verdicts.are_fetched()
            && let Some(fetching) = self.fetching_implied(implied, actor)
        {
            let mut asked = Asked::default();
            asked.note_fetching(fetching);
            verdicts.set_fetched();
            return Some(self.wait(asked, std::mem::take(verdicts), 0, None, now));
        }
        let scope = self.core.scope(now);
        let is_unidentified =
            self.identifying.get().authenticator.is_on() && !verdicts.are_identified();
        let asks = self.core.shared.extensions.may_wait() && !verdicts.are_complete();
        if !is_unidentified && !asks {
            return None;
        }
        let session = implied.session(actor, &scope);
        let mut bytes = 0;
        implied.each(&scope, |message| {
            bytes += size(std::slice::from_ref(message));
        });
        if is_unidentified {
            let asked = self.identify_implied(implied, actor, verdicts);
            if !asked.is_empty() {
                let verdicts = std::mem::take(verdicts);
                return Some(self.wait(asked, verdicts, bytes, session.as_ref(), now));
            }
        }
        if !asks {
            return None;
        }
        let who = verdicts.who(0);
        let info = scope.info(session.as_ref(), &Actor { who, ..*actor });
        let mut asked = Asked::default();
        let mut index = 0;
        implied.each(&scope, |message| {
            // Without its session it is not done.
            if message.client_id.is_none() || session.is_some() {
                asked.note(index, self.core.shared.extensions.admit(message, &info));
            }
            index += 1;
        });
        if asked.is_empty() {
            return None;
        }
        verdicts.set_complete();
        Some(self.wait(
            asked,
            std::mem::take(verdicts),
            bytes,
            session.as_ref(),
            now,
        ))
    }

    /// Takes the verdicts on a request that stands for messages; returns who sends it, if it shows that.
    ///
    /// # Errors
    /// It is refused, and its session has ended if that disconnects; or what it shows of who its client is
    /// is not valid, and no session says so instead.
    pub fn admitted(
        &self,
        implied: &Implied<'_>,
        verdicts: Verdicts,
        actor: &Actor<'_>,
        now: Instant,
    ) -> Result<Option<Known>, Denied> {
        let scope = self.core.scope(now);
        let (passed, shown) = verdicts.into_parts();
        if passed.is_ok() && shown.is_none() {
            return Ok(None);
        }
        let session = implied.session(actor, &scope);
        let ended_by = |refusal: Refusal| scope.ended_by(refusal, session.as_ref());
        passed.map_err(ended_by)?;
        match (shown, &session) {
            (Some(Ok(known)), Some(session)) => {
                // Who it is to others does not matter to a session.
                let _ = scope.renew(session, &known.identity);
                Ok(Some(known))
            }
            (Some(Ok(known)), None) => Ok(Some(known)),
            (Some(Err(refusal)), None) => Err(refusal.into()),
            (Some(Err(_)) | None, _) => Ok(None),
        }
    }
}

/// Returns where the handshake of a batch stands, if it has one.
pub(super) fn handshake_in(batch: &[Message<'_>]) -> Option<usize> {
    batch
        .iter()
        .position(|message| message.is_on(meta::HANDSHAKE))
}
