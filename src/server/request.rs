//! How a batch came, and which session's it is.

use std::sync::Arc;
use std::time::Instant;

use super::BayeuxServer;
use crate::bayeux::Message;
use crate::operations::Actor;
use crate::session::{Session, Stream};

/// How a batch came.
pub struct Request<'r> {
    /// Who sent it, and by what.
    pub actor: Actor<'r>,
    /// Tells whether the client can no longer be reached, so that the response carries no events;
    /// asked only if it would.
    pub is_client_gone: &'r dyn Fn() -> bool,
    /// Whether the reply to a publish may carry events.
    pub delivers_on_publish: bool,
    /// The stream it came by, to which the events of its session go from now on.
    pub stream: Option<&'r mut Stream>,
    /// Does the rest of a batch that is more work than a [`STEP`](super::STEP), such that others need not wait for it.
    pub aside: fn(&mut dyn FnMut()),
    /// Whether the stream serves only the session whose handshake came by it.
    pub needs_own_handshake: bool,
}

impl BayeuxServer {
    /// Finds the session that a message names, if whoever sent it may use it.
    pub(super) fn session_of(
        &self,
        message: &Message<'_>,
        request: &Request<'_>,
        now: Instant,
    ) -> Option<Arc<Session>> {
        let session = self.core.sessions.find(message.client_id?)?;
        let is_admitted = match &request.stream {
            Some(stream) if request.needs_own_handshake => stream.is_of(&session),
            Some(stream) => stream.admits(&session, request.actor.cookies, now),
            None => session.admits(request.actor.cookies),
        };
        is_admitted.then_some(session)
    }
}
