//! A session's messages on their way past the extensions: those of all sessions, and its own.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use super::Session;
use crate::bayeux::{Event, Message, Reply};
use crate::extensions::{MessageInfo, Refusal};

impl Session {
    /// Lets the extensions that see deliveries look at an event, and whoever watches; nothing if one keeps it.
    pub(super) fn passed<'e>(
        &self,
        event: &'e Arc<Event>,
        now: &dyn Fn() -> Instant,
    ) -> Option<Cow<'e, Arc<Event>>> {
        let own = self.extensions.as_deref();
        let rows = own.into_iter().chain([&self.shared.extensions]);
        let passed = rows.filter(|row| row.sees_deliveries()).try_fold(
            Cow::Borrowed(event),
            |event, row| {
                let passed = row.deliver(event.into_owned(), self.id, now())?;
                Some(Cow::Owned(passed))
            },
        )?;
        if self.shared.feeds.has_of_sessions() {
            self.shared.feeds.delivered(self.id, &passed);
        }
        Some(passed)
    }

    /// Tells whether there are extensions, its own or those of all sessions.
    #[must_use]
    pub fn has_extensions(&self) -> bool {
        self.extensions.is_some() || !self.shared.extensions.is_empty()
    }

    /// Lets its own extensions look at a message that came in, after those of all sessions.
    ///
    /// # Errors
    /// One refuses it.
    pub fn incoming(&self, message: &mut Message<'_>, info: &MessageInfo) -> Result<(), Refusal> {
        match &self.extensions {
            Some(own) => own.incoming(message, info),
            None => Ok(()),
        }
    }

    /// Lets its own extensions look at a reply, and then those of all sessions.
    pub fn reply(&self, reply: &mut Reply<'_>, to: &Message<'_>, info: &MessageInfo) {
        if let Some(own) = &self.extensions {
            own.reply(reply, to, info);
        }
        self.shared.extensions.reply(reply, to, info);
    }
}
