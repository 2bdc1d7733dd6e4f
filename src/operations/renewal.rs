//! A session whose client shows again who it is, or whose rights change otherwise.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use super::Scope;
use crate::access::{Asked, Granted, Identity, Subject};
use crate::bayeux::{BayeuxError, ChannelPattern, Event};
use crate::extensions::Refusal;
use crate::session::{EndReason, Session};

impl Scope<'_> {
    /// Takes what the client of a session shows later of who it is: what lasts as long as what was shown
    /// before, or longer, takes its place. What does not is passed over.
    ///
    /// # Errors
    /// It is another user, or one that is refused, or the session's has not shown who it is.
    pub fn renew(&self, session: &Arc<Session>, identity: &Arc<Identity>) -> Result<(), Refusal> {
        // What is checked again is mostly the same.
        let is_same = |before: &Arc<Identity>| Arc::ptr_eq(before, identity);
        if session.granted().identity().is_some_and(is_same) {
            return Ok(());
        }
        self.is_welcome(Some(identity))?;
        let changed = session.regrant(|granted| {
            let before = granted.identity().ok_or(BayeuxError::UserChanged)?;
            if before.user != identity.user {
                return Err(BayeuxError::UserChanged);
            }
            if is_earlier(identity, before) {
                return Ok(None);
            }
            let subject = Subject {
                identity: Some(Arc::clone(identity)),
                address: granted.subject().and_then(|subject| subject.address),
            };
            Ok(Some((
                self.terms.access.for_subject(subject),
                self.end_of(identity),
            )))
        });
        let changed = changed.map_err(|error: BayeuxError| Refusal::Failed(error.text().into()))?;
        if let Some(granted) = changed {
            tracing::debug!(client_id = ?session.id(), "the client has shown again who it is");
            self.take_away(session, &granted);
        }
        Ok(())
    }

    /// Looks anew at what a session may do, if the rules are others since: it loses the subscriptions that it may not
    /// have any more, and ends if it could not begin now.
    pub fn reconsider(&self, session: &Arc<Session>) {
        let access = &self.terms.access;
        let changed = session.regrant(|granted| {
            if granted.is_by(access) {
                return Ok::<_, Infallible>(None);
            }
            let subject = granted.subject().cloned().unwrap_or_else(|| Subject {
                identity: None,
                address: session.origin().address(),
            });
            let identity = subject.identity.as_deref();
            let ends = identity.and_then(|identity| self.end_of(identity));
            Ok(Some((access.for_subject(subject), ends)))
        });
        let Ok(Some(granted)) = changed else {
            return;
        };
        // Who is anonymous where there are no rules is not remembered.
        let subject = granted.subject().cloned().unwrap_or_default();
        if access.decide(Asked::Handshake, &subject).allowed {
            self.take_away(session, &granted);
        } else {
            tracing::debug!(client_id = ?session.id(), "access rules do not allow the session any more");
            self.end(session, EndReason::Forbidden);
        }
    }

    /// Returns when a session ends that belongs to this one, if it has to.
    pub(super) fn end_of(&self, identity: &Identity) -> Option<Instant> {
        let expires = identity.expires?;
        let left = expires.duration_since((self.time_of_day)());
        // More than the clock can say is for ever.
        self.now.checked_add(left.unwrap_or_default())
    }

    /// Takes away what a session is subscribed to and may not be any more; its client is told.
    pub(super) fn take_away(&self, session: &Arc<Session>, granted: &Granted) {
        if self.connected.is_on() && !self.connected.admits(granted.identity()) {
            self.connected.remove_all(session.id());
        }
        for pattern in session.subscriptions() {
            let decision = granted.subscribe(&pattern);
            if decision.allowed {
                continue;
            }
            let reason = granted.reason(decision).unwrap_or_default();
            let error = BayeuxError::SubscribeForbidden.about(&[pattern.as_str(), reason]);
            if !self.lose_subscription(session, &pattern, &error) {
                return;
            }
        }
    }

    /// Takes a subscription away, and tells the client why; false if the session has ended for that.
    pub(super) fn lose_subscription(
        &self,
        session: &Arc<Session>,
        pattern: &ChannelPattern,
        error: &str,
    ) -> bool {
        self.unsubscribe(session, std::slice::from_ref(pattern));
        tracing::debug!(client_id = ?session.id(), channel = pattern.as_str(), "a subscription was lost");
        self.metrics().lost_subscriptions.increment();
        let event = Event::subscription_lost(pattern, error).counted(&self.metrics().memory);
        let delivered = session.deliver(&Arc::new(event), None, || self.now);
        if let Some(reason) = delivered.end() {
            self.end(session, reason);
        }
        delivered.end().is_none()
    }
}

fn is_earlier(one: &Identity, other: &Identity) -> bool {
    match (one.expires, other.expires) {
        (Some(one), Some(other)) => one < other,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
