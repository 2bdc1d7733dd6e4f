//! Who sends a batch: what the head of its request shows, and its messages.
//!
//! A handshake shows who the client of its session is. Of other batches the first message that shows
//! something does so for its session, which is renewed by it; what others show has to be the same. What the
//! head of a request shows counts for each message that shows nothing itself, and does not matter to sessions
//! that it is not about. Nor does what a connect shows, or a disconnect, if it is not valid: clients that show
//! the same with each message are not to lose a session for it that goes on.

use super::BayeuxServer;
use super::admit::handshake_in;
use super::request::Request;
use super::verdicts::{Place, Verdicts};
use super::waits::Asked;
use crate::authentication::{Check, Fault};
use crate::bayeux::{BayeuxError, Message, meta};
use crate::operations::{Actor, Implied};

impl BayeuxServer {
    /// Checks what a batch shows, into its verdicts; what takes its time is returned.
    pub(super) fn identify(&self, batch: &[Message<'_>], request: &mut Request<'_>) -> Asked {
        let identifying = self.identifying.get();
        let (authenticator, actor) = (&identifying.authenticator, request.actor);
        let mut checks = Checks::of(&mut request.admitted);
        let shown = actor.shown.map(|shown| &**shown);
        match handshake_in(batch) {
            Some(index) if checks.verdicts.is_refused(index) => {}
            Some(index) => {
                let check = authenticator.handshake(&batch[index], shown, actor.address);
                checks.take(Place::Message(index), check);
            }
            None => {
                let check = shown.and_then(|shown| authenticator.request(shown));
                checks.take(Place::Request, check);
                let mut first = None;
                for (index, message) in batch.iter().enumerate() {
                    let Some(own) = authenticator.shown_by(message) else {
                        continue;
                    };
                    let place = match message.meta {
                        Some(meta::CONNECT | meta::DISCONNECT) => Place::Request,
                        _ => Place::Message(index),
                    };
                    if *first.get_or_insert(own) == own {
                        checks.take(place, authenticator.message(message));
                    } else if place != Place::Request {
                        let fault = Fault::from(BayeuxError::CredentialsMalformed);
                        checks.take(place, Some(fault.into()));
                    }
                }
            }
        }
        checks.end()
    }

    /// Checks what a request shows that stands for messages.
    pub(super) fn identify_implied(
        &self,
        implied: &Implied<'_>,
        actor: &Actor<'_>,
        verdicts: &mut Verdicts,
    ) -> Asked {
        let identifying = self.identifying.get();
        let authenticator = &identifying.authenticator;
        let mut checks = Checks::of(verdicts);
        let shown = actor.shown.map(|shown| &**shown);
        let check = if let Implied::Begun(_) = implied {
            let handshake = Implied::handshake();
            authenticator.handshake(&handshake, shown, actor.address)
        } else {
            shown.and_then(|shown| authenticator.request(shown))
        };
        checks.take(Place::Request, check);
        checks.end()
    }
}

/// The checks of a batch.
struct Checks<'v> {
    verdicts: &'v mut Verdicts,
    asked: Asked,
}

impl<'v> Checks<'v> {
    fn of(verdicts: &'v mut Verdicts) -> Self {
        Self {
            verdicts,
            asked: Asked::default(),
        }
    }

    fn take(&mut self, place: Place, check: Option<Check>) {
        match check {
            None => {}
            Some(Check::Done(Ok(known))) => self.verdicts.know(place, known),
            Some(Check::Done(Err(fault))) => self.verdicts.refuse(place, fault.into()),
            Some(Check::Pending(checking)) => self.asked.note_check(place, checking),
        }
    }

    /// Ends the checks that are done at once.
    fn end(self) -> Asked {
        if !self.asked.is_empty() {
            self.verdicts.set_identified();
        }
        self.asked
    }
}
