//! Streams that are opened by requests of their own: with channels, or for a session that is there.

use std::borrow::Cow;
use std::time::Instant;

use super::{BayeuxServer, Verdicts, random_id};
use crate::bayeux::{ClientId, Reply};
use crate::operations::event_stream::{self, Opened};
use crate::operations::{Actor, Implied, NotOpened};
use crate::session::{Beginning, From, Stream};

impl BayeuxServer {
    /// Begins a session that is subscribed to these channels and patterns, for a stream without a
    /// client that speaks Bayeux, with what was published on them from `since` on. Or continues the one that
    /// `last` is an event of; nothing if it is not there, or of other channels.
    ///
    /// # Errors
    /// There are too many sessions, it may not be subscribed to these, or an extension refuses that.
    pub fn open_stream(
        &self,
        channels: &[Cow<'_, str>],
        actor: &Actor<'_>,
        last: Option<(ClientId, u64)>,
        since: Option<&From>,
        now: Instant,
    ) -> Result<Option<Opened>, NotOpened> {
        event_stream::open(
            channels,
            actor,
            last,
            since,
            &self.core.scope(now),
            random_id,
        )
    }

    /// Makes a stream of a session whose client sends its messages by requests of their own, after
    /// the event `last` if it is given. `admitted` says what became of its [`Implied::Joined`].
    ///
    /// # Errors
    /// There is no such session for these cookies, or an extension refuses it: the reply to the connect
    /// that it stands for.
    pub fn join_stream(
        &self,
        id: ClientId,
        actor: &Actor<'_>,
        last: Option<u64>,
        admitted: Verdicts,
        now: Instant,
    ) -> Result<(Stream, Beginning), Box<Reply<'static>>> {
        let scope = self.core.scope(now);
        let (admitted, shown) = admitted.into_parts();
        if let Some(Ok(known)) = shown
            && let Some(session) = Implied::Joined(id).session(actor, &scope)
        {
            // Who somebody is to others does not matter to a session.
            let _ = scope.renew(&session, &known.identity);
        }
        event_stream::join(id, actor, last, admitted, &scope)
    }
}
