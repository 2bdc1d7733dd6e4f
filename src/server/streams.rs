//! Streams that are opened by requests of their own: with channels, or for a session that is there.

use std::borrow::Cow;
use std::time::Instant;

use super::{BayeuxServer, random_id};
use crate::bayeux::{BayeuxError, ClientId};
use crate::extensions::Begun;
use crate::operations::{self, Actor};
use crate::session::{Beginning, EndReason, Stream};

impl BayeuxServer {
    /// Begins a session that is subscribed to these channels and patterns, for a stream without a
    /// client that speaks Bayeux; or continues the one that `last` is an event of.
    ///
    /// # Errors
    /// There are too many sessions, or it may not be subscribed to these.
    pub fn open_stream(
        &self,
        channels: &[Cow<'_, str>],
        actor: &Actor<'_>,
        last: Option<(ClientId, u64)>,
        now: Instant,
    ) -> Result<(Stream, Beginning), BayeuxError> {
        let patterns = operations::patterns(channels, &self.core.limits)?;
        let continued = last.and_then(|(id, last)| {
            let session = self.core.sessions.find(id)?;
            let is_same = session.admits(actor.cookies) && session.is_subscribed_to(&patterns);
            let session = is_same.then_some(session)?;
            Stream::replaying(&session, Some(last), true)
        });
        if let Some(continued) = continued {
            return Ok(continued);
        }
        let scope = self.core.scope(now);
        let session = operations::begin(actor, Begun::new(now), &scope, random_id)?.session;
        if let Err(error) = operations::subscribe(&patterns, &session, &scope) {
            scope.end(&session, EndReason::Disconnect);
            return Err(error);
        }
        let stream = Stream::replaying(&session, None, true).map(|(stream, _)| stream);
        let beginning = Beginning {
            after: 0,
            is_complete: last.is_none(),
        };
        Ok((stream.unwrap_or_default(), beginning))
    }

    /// Makes a stream of a session whose client sends its messages by requests of their own, after
    /// the event `last` if it is given; nothing if there is no such session for these cookies.
    #[must_use]
    pub fn join_stream(
        &self,
        id: ClientId,
        actor: &Actor<'_>,
        last: Option<u64>,
    ) -> Option<(Stream, Beginning)> {
        let session = self
            .core
            .sessions
            .find(id)
            .filter(|session| session.admits(actor.cookies))?;
        Stream::replaying(&session, last, false)
    }
}
