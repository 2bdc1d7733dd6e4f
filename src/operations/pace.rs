//! What comes sooner than it may: messages and handshakes are refused, and connects are put off, since a client
//! whose connect is refused may give its session up.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Actor, Scope};
use crate::bayeux::{Advice, BayeuxError};
use crate::extensions::Refusal;
use crate::metrics::Notice;
use crate::rates::TooSoon;
use crate::session::{Connect, Session};

/// The least that a client is told to wait whose handshake comes too soon: others from its address have.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(1);

impl Scope<'_> {
    /// Counts a message of a session, or of none.
    ///
    /// # Errors
    /// It comes too soon.
    pub fn pace_message(
        &self,
        session: Option<&Arc<Session>>,
        address: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        self.take(session, address).map_err(|wait| {
            let error = BayeuxError::TooManyMessages.about(&[&milliseconds(wait).to_string()]);
            Refusal::Later(error.into(), wait)
        })
    }

    /// Counts a handshake.
    ///
    /// # Errors
    /// It comes too soon.
    pub fn pace_handshake(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let taken = self.terms.rates.handshake(address, self.now);
        taken.map_err(|too_soon| {
            self.note(too_soon, None, address, "a handshake came");
            let wait = too_soon.wait.max(HANDSHAKE_WAIT);
            let error = BayeuxError::TooManyHandshakes.about(&[&milliseconds(wait).to_string()]);
            Refusal::Later(error.into(), wait)
        })
    }

    /// Puts a connect off that would get nothing and comes too soon; returns what its client is advised.
    pub(super) fn put_off(
        &self,
        connect: &Connect,
        session: &Arc<Session>,
        actor: &Actor<'_>,
    ) -> Option<Advice> {
        if self.terms.rates.are_off() || !session.is_in_vain(connect, self.now) {
            return None;
        }
        let wait = self.take(Some(session), actor.address).err()?;
        let wait = Duration::from_millis(milliseconds(wait));
        let interval = session.put_off(wait, self.now);
        let advice = Advice::retry(interval, self.shared.settings.get().timeout);
        Some(self.shared.at_stop(advice, actor.is_blind, self.now))
    }

    fn take(
        &self,
        session: Option<&Arc<Session>>,
        address: Option<IpAddr>,
    ) -> Result<(), Duration> {
        let bucket = session.map(|session| session.bucket());
        let taken = self.terms.rates.message(bucket, address, self.now);
        taken.map_err(|too_soon| {
            self.note(too_soon, session, address, "a message came");
            too_soon.wait
        })
    }

    /// Counts and logs what comes too soon.
    #[cold]
    fn note(
        &self,
        too_soon: TooSoon,
        session: Option<&Arc<Session>>,
        address: Option<IpAddr>,
        what: &str,
    ) {
        self.metrics().limited(too_soon.limit);
        if let Some(permit) = self.metrics().may_log(Notice::Rate) {
            tracing::info!(
                client_id = session.map(|session| tracing::field::debug(session.id())),
                address = address.map(tracing::field::display),
                suppressed = permit.suppressed,
                "{what} too soon: {}",
                too_soon.limit.label()
            );
        }
    }
}

/// Returns a time in whole milliseconds, after which it is over.
pub(super) fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}
