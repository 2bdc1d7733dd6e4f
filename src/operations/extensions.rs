//! The way of every operation past the extensions, before it is done.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{Actor, Scope, Who};
use crate::bayeux::{Advice, Message, Reply};
use crate::extensions::{Begun, MessageInfo, Refusal, Wait};
use crate::session::{EndReason, Session};

/// What a client hears that is refused without an error.
const REFUSED: &str = "refused";

/// An operation is not done because an extension refuses it, to a client that does not speak Bayeux.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.reason())]
pub struct Denied {
    error: Cow<'static, str>,
    retry: Option<Duration>,
}

impl Denied {
    /// Returns the code of the extension's error, if it begins with a number.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        self.parts()[0].parse().ok()
    }

    /// Returns after which time the same may succeed, if that is known.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Returns what the error says: its text, or if that is empty its arguments.
    #[must_use]
    pub fn reason(&self) -> &str {
        let [_, arguments, text] = self.parts();
        let said = [text, arguments].into_iter().find(|said| !said.is_empty());
        said.unwrap_or(REFUSED)
    }

    /// Returns code, arguments and text; what is not of this form is all text.
    fn parts(&self) -> [&str; 3] {
        let mut parts = self.error.splitn(3, ':');
        match [parts.next(), parts.next(), parts.next()] {
            [Some(code), Some(arguments), Some(text)] => [code, arguments, text],
            _ => ["", "", &self.error],
        }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        let (error, retry) = match refusal {
            Refusal::Failed(error) => (error, None),
            Refusal::Later(error, retry) => (error, Some(retry)),
            Refusal::Disconnect => (Cow::Borrowed(REFUSED), None),
        };
        Self { error, retry }
    }
}

/// Makes a reply one to a message that was refused.
#[must_use]
pub fn refused(reply: Reply<'_>, refusal: Refusal) -> Reply<'_> {
    match refusal {
        Refusal::Failed(error) | Refusal::Later(error, _) => reply.refused(error),
        Refusal::Disconnect => reply.advised(Advice::none()),
    }
}

impl Scope<'_> {
    /// Makes a reply one to a handshake that was refused: its client is advised to come back only if it
    /// may succeed then.
    #[must_use]
    pub fn handshake_refused<'a>(
        &self,
        reply: Reply<'a>,
        refusal: Refusal,
        actor: &Actor<'_>,
    ) -> Reply<'a> {
        let advice = match refusal {
            Refusal::Later(_, retry) => self.shared.full_advice(retry, actor.is_blind, self.now),
            Refusal::Failed(_) | Refusal::Disconnect => Advice::none(),
        };
        refused(reply, refusal).advised(advice)
    }

    /// Lets the extensions look at a message: those of all sessions, then those of its own.
    ///
    /// # Errors
    /// One refuses it; if it disconnects, the session has ended.
    pub fn incoming(
        &self,
        message: &mut Message<'_>,
        session: Option<&Arc<Session>>,
        actor: &Actor<'_>,
    ) -> Result<(), Refusal> {
        if !self.has_extensions(session) {
            return Ok(());
        }
        let info = self.info(session, actor);
        let mut passed = self.shared.extensions.incoming(message, &info);
        if let Some(session) = session {
            passed = passed.and_then(|()| session.incoming(message, &info));
        }
        passed.map_err(|refusal| self.ended_by(refusal, session))
    }

    /// Ends the session whose message is refused, if that disconnects.
    #[must_use]
    pub fn ended_by(&self, refusal: Refusal, session: Option<&Arc<Session>>) -> Refusal {
        if let Some(session) = session.filter(|_| refusal == Refusal::Disconnect) {
            self.end(session, EndReason::Refused);
        }
        refusal
    }

    /// Asks the extensions what the answer to what was done has to wait for; mostly nothing.
    #[must_use]
    pub fn settle(
        &self,
        message: &Message<'_>,
        session: Option<&Arc<Session>>,
        actor: &Actor<'_>,
    ) -> Vec<Wait> {
        let extensions = &self.shared.extensions;
        if !extensions.may_wait() {
            return Vec::new();
        }
        let info = self.info(session, actor);
        extensions.settle(message, &info)
    }

    /// Lets the extensions look at a handshake, and say how its session is to begin.
    ///
    /// # Errors
    /// What its client shows of who it is is not valid, or one of them refuses it.
    pub fn begin(&self, message: &mut Message<'_>, actor: &Actor<'_>) -> Result<Begun, Refusal> {
        if let Who::Unknown(refusal) = actor.who {
            return Err(refusal.clone());
        }
        self.incoming(message, None, actor)?;
        let mut begun = Begun::new(self.now);
        self.shared.extensions.begin(message, &mut begun);
        Ok(begun)
    }

    /// Lets the extensions look at a reply: those of its session, then those of all.
    pub fn outgoing(
        &self,
        reply: &mut Reply<'_>,
        message: &Message<'_>,
        session: Option<&Arc<Session>>,
        actor: &Actor<'_>,
    ) {
        if !self.has_extensions(session) {
            return;
        }
        let info = self.info(session, actor);
        match session {
            Some(session) => session.reply(reply, message, &info),
            None => self.shared.extensions.reply(reply, message, &info),
        }
    }

    /// Tells whether there are extensions, of all sessions or of this one.
    #[must_use]
    pub fn has_extensions(&self, session: Option<&Arc<Session>>) -> bool {
        match session {
            Some(session) => session.has_extensions(),
            None => !self.shared.extensions.is_empty(),
        }
    }

    /// Returns what the extensions are told of a message.
    #[must_use]
    pub fn info(&self, session: Option<&Arc<Session>>, actor: &Actor<'_>) -> MessageInfo {
        MessageInfo {
            client_id: session.map(|session| session.id()),
            identity: match session {
                Some(session) => session.granted().identity().cloned(),
                None => actor.who.identity().cloned(),
            },
            shown: actor.shown.cloned(),
            address: actor.address,
            is_backend: actor.is_backend,
            at: self.now,
            clocks: self.clocks,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_has_a_code_and_a_reason() {
        let cases = [
            ("403:/vip:not_for_you", Some(403), "not_for_you"),
            ("403::not: you", Some(403), "not: you"),
            ("403:/vip:", Some(403), "/vip"),
            ("403::", Some(403), "refused"),
            ("-1:a:b", None, "b"),
            ("no:form", None, "no:form"),
            ("403", None, "403"),
            ("", None, "refused"),
        ];
        for (error, code, reason) in cases {
            let denied = Denied::from(Refusal::Failed(error.into()));
            assert_eq!((denied.code(), denied.reason()), (code, reason), "{error}");
        }
        assert_eq!(Denied::from(Refusal::Disconnect).reason(), "refused");
    }
}
