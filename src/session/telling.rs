//! What others hear of a session: that it begins and ends, and what it is subscribed to.

use std::sync::Arc;

use super::Session;
use crate::access::Identity;
use crate::alias::Alias;
use crate::bayeux::ChannelPattern;
use crate::lifecycle::{Kind, LifecycleEvent};
use crate::metrics::EndReason;

/// Tells of a session, also while that is locked, so that what happens to it is heard in its order.
pub(super) struct Telling<'s> {
    session: &'s Session,
    /// Whose it is. Looked up before it is locked, and only if anybody listens.
    identity: Option<Arc<Identity>>,
}

impl Session {
    /// Returns what it is called in the hearing of others.
    #[must_use]
    pub fn alias(&self) -> Alias {
        self.shared.aliases.of(self.id)
    }

    /// Tells that it begins, before anyone can find it.
    pub fn tell_begun(&self) {
        self.telling().tell(Kind::SessionBegun, |_| {});
    }

    /// Begins to tell of it; it is not locked.
    pub(super) fn telling(&self) -> Telling<'_> {
        let is_heard = self.shared.lifecycle.is_heard();
        Telling {
            session: self,
            identity: is_heard
                .then(|| self.granted().identity().cloned())
                .flatten(),
        }
    }
}

impl Telling<'_> {
    pub(super) fn subscription(&self, kind: Kind, pattern: &ChannelPattern) {
        self.tell(kind, |event| event.channel = Some(pattern.clone()));
    }

    pub(super) fn end(&self, reason: EndReason) {
        self.tell(Kind::SessionEnded, |event| event.reason = Some(reason));
    }

    fn tell(&self, kind: Kind, fill: impl FnOnce(&mut LifecycleEvent)) {
        self.session.shared.lifecycle.tell(|| {
            let user = self.identity.as_deref().map(|identity| &*identity.user);
            let mut event = LifecycleEvent::of_session(kind, self.session.alias(), user);
            fill(&mut event);
            event
        });
    }
}
