//! What an operator changes while the server runs: it counts for who is connected, and nobody is sent away for it whom
//! the new rules would let in.

use std::sync::Arc;
use std::time::Instant;

use super::{BayeuxServer, Identifying};
use crate::access::Access;
use crate::bayeux::Limits;
use crate::operations::Terms;
use crate::router::{self, ChannelOptions};
use crate::{rates, session};

/// After so many sessions others have their turn.
const STEP: usize = 64;

/// What changes.
#[derive(Debug)]
pub struct Renewal {
    /// The bounds of a batch.
    pub limits: Limits,
    /// Who may do what.
    pub access: Access,
    /// How fast clients may be.
    pub rates: rates::Settings,
    /// How it is found out who clients are.
    pub identifying: Identifying,
    /// The settings of sessions.
    pub session: session::Settings,
    /// Those of all channels.
    pub router: router::Settings,
    /// Options for some of them.
    pub channels: Vec<ChannelOptions>,
}

impl BayeuxServer {
    /// Takes changes up, for whatever is done from now on.
    pub fn renew(&self, renewal: Renewal) {
        let rates = self.terms().rates.renewed(&renewal.rates);
        self.core.terms.set(Terms {
            limits: Arc::new(renewal.limits),
            access: Arc::new(renewal.access),
            rates,
        });
        self.identifying.set(renewal.identifying);
        self.core.shared.settings.set(renewal.session);
        self.core.router.renew(renewal.router, &renewal.channels);
        self.prepare();
    }

    /// Has the sessions that there are take them up: each has the new settings, and what it is subscribed to is looked
    /// at by the new rules.
    pub async fn renew_sessions(&self) {
        // One that began by the rules of before while others were gone through is found by the second look.
        for _ in 0..2 {
            for sessions in self.core.sessions.all().chunks(STEP) {
                let scope = self.core.scope(Instant::now());
                for session in sessions {
                    session.reconsider_deadline();
                    scope.reconsider(session);
                }
                drop(scope);
                tokio::task::yield_now().await;
            }
        }
    }
}
