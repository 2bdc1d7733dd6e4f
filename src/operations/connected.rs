//! What a session may do as a connected application server: take calls, and publish under a name.

use std::borrow::Cow;
use std::sync::Arc;

use super::Scope;
use crate::bayeux::{ChannelKind, ChannelPattern, Draft, Message, text, without};
use crate::session::Session;

/// The member of `ext` that names who an application server publishes for.
const SENDER: &str = "sender";

impl Scope<'_> {
    /// Tells whether a session may.
    pub(super) fn is_backend(&self, session: &Session) -> bool {
        self.connected.is_on() && self.connected.admits(session.granted().identity())
    }

    /// Lets a session take calls on what it is subscribed to now, if it may.
    pub(super) fn begin_calls(&self, session: &Session, patterns: &[ChannelPattern]) {
        if !patterns.iter().any(is_of_service) || !self.is_backend(session) {
            return;
        }
        for pattern in patterns.iter().filter(|pattern| is_of_service(pattern)) {
            self.connected.add(session.id(), pattern);
        }
        // Whoever took the role from it meanwhile may not have seen these.
        if !self.is_backend(session) {
            self.connected.remove_all(session.id());
        }
    }

    /// Lets it take no more of what it is not subscribed to any more.
    pub(super) fn end_calls(&self, session: &Session, patterns: &[ChannelPattern]) {
        if !self.connected.is_on() {
            return;
        }
        for pattern in patterns.iter().filter(|pattern| is_of_service(pattern)) {
            self.connected.remove(session.id(), pattern);
        }
    }

    /// Lets subscribers know for whom an application server publishes, as it says in `ext.sender`. Of others
    /// none is told, so that it can be trusted.
    pub(super) fn name_sender(
        &self,
        event: &mut Draft<'_>,
        message: &Message<'_>,
        session: Option<&Arc<Session>>,
    ) {
        if !self.connected.is_on() || message.ext.is_none() {
            return;
        }
        if !session.is_some_and(|session| self.is_backend(session)) {
            // However often it is there, and whatever it is.
            let ext = event.ext.take();
            event.ext =
                ext.and_then(|ext| without(&ext, SENDER).map(|ext| Cow::Owned(ext.into_owned())));
        } else if let Some(sender) = message.extension(SENDER)
            && event.ext.is_none()
            && text(sender).is_some()
        {
            let ext = format!("{{\"{SENDER}\":{}}}", sender.get());
            let ext = serde_json::value::RawValue::from_string(ext);
            event.ext = ext.ok().map(Cow::Owned);
        }
    }
}

fn is_of_service(pattern: &ChannelPattern) -> bool {
    pattern.kind() == ChannelKind::Service
}
