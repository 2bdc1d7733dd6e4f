//! What clients are told whose sessions are at a node that cannot be reached now.

use std::time::Instant;

use super::super::BayeuxServer;
use crate::bayeux::{BayeuxError, Message, Reply, meta};
use crate::extensions::Refusal;
use crate::operations::{RETRY, refused};

impl BayeuxServer {
    /// Returns the replies to a batch whose session lives, perhaps, but cannot be reached. Nobody is to handshake
    /// for that: a connect has no events, and its client is told to wait a little.
    #[must_use]
    pub fn unreachable<'a>(
        &self,
        batch: &[Message<'a>],
        is_blind: bool,
        now: Instant,
    ) -> Vec<Reply<'a>> {
        let advice = self.core.shared.full_advice(RETRY, is_blind, now);
        let reply = |message: &Message<'a>| {
            let reply = Reply::to(message);
            if message.is_on(meta::CONNECT) {
                return reply.advised(advice.clone());
            }
            let error = BayeuxError::ClusterUnavailable.text();
            refused(reply, Refusal::Later(error.into(), RETRY))
        };
        batch.iter().map(reply).collect()
    }
}
