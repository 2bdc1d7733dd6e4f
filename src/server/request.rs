//! How a batch came, and which session's it is.

use std::sync::Arc;
use std::time::Instant;

use super::BayeuxServer;
use super::verdicts::Verdicts;
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
    /// What became of its messages that had to wait before: of its [`admission`](BayeuxServer::admission),
    /// if it had one.
    pub admitted: Verdicts,
}

impl BayeuxServer {
    /// Finds the session of a batch: the first that a message names and whoever sent it may use.
    pub(super) fn session_of(
        &self,
        batch: &[Message<'_>],
        request: &Request<'_>,
        now: Instant,
    ) -> Option<Arc<Session>> {
        let mut messages = batch.iter();
        messages.find_map(|message| self.session_named(message, request, now))
    }

    fn session_named(
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

/// Tells whether a message names this session.
pub(super) fn is_of(message: &Message<'_>, session: &Session) -> bool {
    message.client_id == Some(session.id())
}
