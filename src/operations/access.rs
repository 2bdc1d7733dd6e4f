//! Whether access rules allow an operation. It is asked where the operation is done, behind the extensions,
//! which may have changed what it is about. What the server does by itself is not asked about.

use std::sync::Arc;

use super::{Actor, Scope};
use crate::access::{Asked, Decision, Granted, Subject};
use crate::bayeux::{BayeuxError, ChannelKind, ChannelName, ChannelPattern, ClientId};
use crate::extensions::Refusal;
use crate::metrics::Forbidden;
use crate::session::Session;

impl Actor<'_> {
    /// Returns who it is to rules.
    pub(super) fn subject(&self) -> Subject {
        Subject {
            identity: self.who.identity().cloned(),
            address: self.address,
        }
    }
}

impl Scope<'_> {
    /// Asks whether somebody may have a session.
    ///
    /// # Errors
    /// A rule denies it, or none allows it.
    pub(super) fn may_handshake(&self, subject: &Subject) -> Result<(), Refusal> {
        let decision = self.terms.access.decide(Asked::Handshake, subject);
        if decision.allowed {
            return Ok(());
        }
        let reason = self.terms.access.reason(decision).unwrap_or_default();
        Err(self.forbid(Forbidden::Handshake, "", decision, reason, None))
    }

    /// Asks whether a session, or else an actor who has none, may receive all that channels and patterns
    /// deliver. Those of meta channels are left to others.
    ///
    /// # Errors
    /// A rule denies one of them, or none allows it; or who has no session is a user that is refused.
    pub(super) fn may_subscribe(
        &self,
        patterns: &[ChannelPattern],
        session: Option<&Arc<Session>>,
        actor: &Actor<'_>,
    ) -> Result<(), Refusal> {
        if session.is_none() {
            self.is_welcome(actor.who.identity())?;
        }
        if self.terms.access.is_open() {
            return Ok(());
        }
        let granted = self.granted(session, actor);
        let mut others = patterns
            .iter()
            .filter(|pattern| pattern.kind() != ChannelKind::Meta);
        others.try_for_each(|pattern| {
            let decision = granted.subscribe(pattern);
            if decision.allowed {
                return Ok(());
            }
            let reason = granted.reason(decision).unwrap_or_default();
            let id = session.map(|session| session.id());
            Err(self.forbid(Forbidden::Subscribe, pattern.as_str(), decision, reason, id))
        })
    }

    /// Asks whether a session, or else an actor who has none, may publish on a channel.
    ///
    /// # Errors
    /// A rule denies it, or none allows it; or who has no session is a user that is refused.
    pub(super) fn may_publish(
        &self,
        channel: &ChannelName,
        session: Option<&Arc<Session>>,
        actor: &Actor<'_>,
    ) -> Result<(), Refusal> {
        if session.is_none() {
            self.is_welcome(actor.who.identity())?;
        }
        if self.terms.access.is_open() {
            return Ok(());
        }
        let granted = self.granted(session, actor);
        let decision = granted.publish(channel);
        if decision.allowed {
            return Ok(());
        }
        let reason = granted.reason(decision).unwrap_or_default();
        let id = session.map(|session| session.id());
        Err(self.forbid(Forbidden::Publish, channel.as_str(), decision, reason, id))
    }

    /// Asks whether an actor may have what is kept of a channel forgotten.
    ///
    /// # Errors
    /// A rule denies it, or none allows it; or it is a user that is refused.
    pub(super) fn may_forget(
        &self,
        channel: &ChannelName,
        actor: &Actor<'_>,
    ) -> Result<(), Refusal> {
        self.is_welcome(actor.who.identity())?;
        let decision = self
            .terms
            .access
            .decide(Asked::Forget(channel), &actor.subject());
        if decision.allowed {
            return Ok(());
        }
        let reason = self.terms.access.reason(decision).unwrap_or_default();
        Err(self.forbid(Forbidden::Forget, channel.as_str(), decision, reason, None))
    }

    fn granted(&self, session: Option<&Arc<Session>>, actor: &Actor<'_>) -> Granted {
        match session {
            Some(session) => session.granted(),
            None => self.terms.access.for_subject(actor.subject()),
        }
    }

    /// Counts and logs what is refused, and says how its client is told.
    #[cold]
    fn forbid(
        &self,
        what: Forbidden,
        channel: &str,
        decision: Decision,
        reason: &str,
        client_id: Option<ClientId>,
    ) -> Refusal {
        let error = match what {
            Forbidden::Handshake => BayeuxError::HandshakeForbidden,
            Forbidden::Subscribe => BayeuxError::SubscribeForbidden,
            Forbidden::Publish => BayeuxError::PublishForbidden,
            Forbidden::Forget => BayeuxError::ForgetForbidden,
        };
        self.metrics().forbidden(what);
        let rule = decision.rule.map(|number| format!("access[{number}]"));
        tracing::debug!(
            client_id = ?client_id,
            channel,
            rule = rule.as_deref().unwrap_or("none allows it"),
            "{} was refused",
            what.label()
        );
        Refusal::Failed(error.about(&[channel, reason]).into())
    }
}
