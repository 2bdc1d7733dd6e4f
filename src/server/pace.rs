//! How fast messages may come: what comes too soon is refused before anything else is done for it, such as to
//! find who its client is.

use std::time::Instant;

use super::BayeuxServer;
use super::admit::handshake_in;
use super::request::{Request, is_of};
use super::verdicts::{Place, Verdicts};
use crate::bayeux::{Message, meta};
use crate::extensions::Refusal;
use crate::operations::{Actor, Implied};

impl BayeuxServer {
    /// Counts the messages of a batch, and refuses those that come too soon.
    pub(super) fn pace(&self, batch: &[Message<'_>], request: &mut Request<'_>, now: Instant) {
        if self.core.terms.get().rates.are_off() || request.admitted.are_paced() {
            return;
        }
        let (scope, address) = (self.core.scope(now), request.actor.address);
        if let Some(index) = handshake_in(batch) {
            let paced = scope.pace_handshake(address);
            return note(paced, index, &mut request.admitted);
        }
        let session = self.session_of(batch, request, now);
        for (index, message) in batch.iter().enumerate() {
            // Connects are put off where they are done, and who leaves may.
            if !matches!(message.meta, Some(meta::CONNECT | meta::DISCONNECT)) {
                let own = session.as_ref().filter(|session| is_of(message, session));
                let paced = scope.pace_message(own, address);
                note(paced, index, &mut request.admitted);
            }
        }
    }

    /// Counts a request that stands for messages, and refuses it if it comes too soon.
    pub(super) fn pace_implied(
        &self,
        implied: &Implied<'_>,
        actor: &Actor<'_>,
        verdicts: &mut Verdicts,
        now: Instant,
    ) {
        if self.core.terms.get().rates.are_off() || verdicts.are_paced() {
            return;
        }
        let (scope, address) = (self.core.scope(now), actor.address);
        let paced = if let Implied::Begun(_) = implied {
            scope.pace_handshake(address)
        } else {
            let session = implied.session(actor, &scope);
            scope.pace_message(session.as_ref(), address)
        };
        note(paced, 0, verdicts);
    }
}

fn note(paced: Result<(), Refusal>, index: usize, verdicts: &mut Verdicts) {
    if let Err(refusal) = paced {
        verdicts.refuse(Place::Message(index), refusal);
    }
}
