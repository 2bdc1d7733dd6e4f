//! What application servers may ask about sessions, channels and users, and do about them.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};

use super::BayeuxServer;
use super::core::Core;
use crate::alias::Alias;
use crate::bayeux::{ChannelPattern, ClientId, Transport};
use crate::metrics::EndReason;
use crate::router::{Listed, Selection as ChannelSelection};
use crate::session::{Backlog, Selection as SessionSelection, Session};
use crate::smallest::Page;

/// So many subscribers of a channel are looked at to tell who they are.
const MAX_COUNTED: usize = 100_000;

/// A session, as a list has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct ListedSession {
    /// Its name in the hearing of others.
    pub alias: Alias,
    /// The user, if its client has shown who it is.
    pub user: Option<String>,
    /// The address that its handshake came from, if it has one and it is known.
    pub address: Option<IpAddr>,
    /// The transport that its client uses.
    pub transport: Option<Transport>,
    /// When it began.
    pub since: SystemTime,
    /// When its client sent the last message.
    pub last_seen: SystemTime,
    /// How many events wait for it.
    pub queued: usize,
    /// How many channels and patterns it is subscribed to.
    pub subscribed: usize,
}

/// A session, and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct SessionDetails {
    /// What a list has of it.
    pub listed: ListedSession,
    /// The roles that its client has shown.
    pub roles: Vec<String>,
    /// What it is subscribed to.
    pub subscriptions: Vec<ChannelPattern>,
    /// How many events it keeps.
    pub backlog: Backlog,
}

/// A channel or pattern, and who is subscribed.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct ChannelDetails {
    /// What a list has of it.
    pub listed: Listed,
    /// Who is subscribed, if that may be told.
    pub presence: Option<Presence>,
}

/// Who is subscribed to a channel or pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Presence {
    /// The users by name, each with the number of its sessions.
    pub users: Vec<(String, usize)>,
    /// The sessions of clients that have not shown who they are.
    pub anonymous: usize,
    /// Whether there are more than these.
    pub is_truncated: bool,
}

/// What was done about a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disconnected {
    /// So many sessions have ended.
    pub sessions: usize,
    /// For how long it is refused, if it is.
    pub refused: Option<Duration>,
}

impl BayeuxServer {
    /// Lists channels and patterns that have subscribers, by name.
    #[must_use]
    pub fn list_channels(&self, selection: &ChannelSelection<'_>, now: Instant) -> Page<Listed> {
        self.core.router.list(selection, now)
    }

    /// Returns how many channels and patterns have subscribers.
    #[must_use]
    pub fn channel_count(&self) -> usize {
        self.core.router.len()
    }

    /// Returns a channel or pattern, and so many of the users that are subscribed, if that may be told;
    /// nothing if it has no subscriber.
    #[must_use]
    pub fn channel(
        &self,
        pattern: &ChannelPattern,
        max_users: usize,
        now: Instant,
    ) -> Option<ChannelDetails> {
        self.core.channel(pattern, max_users, now)
    }

    /// Lists sessions, by their aliases.
    #[must_use]
    pub fn list_sessions(&self, selection: &SessionSelection) -> Page<ListedSession> {
        self.core.list_sessions(selection)
    }

    /// Returns how many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        usize::try_from(self.metrics().sessions.value()).unwrap_or_default()
    }

    /// Returns how long a user may be refused at most.
    #[must_use]
    pub fn max_refusal(&self) -> Duration {
        self.core.shared.settings.get().max_refusal
    }
}

impl Core {
    /// Lists sessions of this node, by their aliases.
    pub(super) fn list_sessions(&self, selection: &SessionSelection) -> Page<ListedSession> {
        let page = self.sessions.list(selection, &self.shared.aliases);
        page.map(|(alias, session)| listed(alias, &session))
    }

    /// Returns a session of this node.
    pub(super) fn session_details(&self, id: ClientId) -> Option<SessionDetails> {
        let session = self.sessions.find(id)?;
        let identity = session.granted().identity().cloned();
        Some(SessionDetails {
            listed: listed(session.alias(), &session),
            roles: identity.map_or_else(Vec::new, |identity| identity.roles.clone()),
            subscriptions: session.subscriptions(),
            backlog: session.backlog(),
        })
    }

    /// Ends a session of this node, whose client may handshake again; false if there is none.
    pub(super) fn end_session(&self, id: ClientId, now: Instant) -> bool {
        let Some(session) = self.sessions.find(id) else {
            return false;
        };
        self.scope(now).end(&session, EndReason::Administrator);
        true
    }

    /// Returns a channel or pattern with a subscriber here, and so many of the users, if these may be told.
    pub(super) fn channel(
        &self,
        pattern: &ChannelPattern,
        max_users: usize,
        now: Instant,
    ) -> Option<ChannelDetails> {
        let router = &self.router;
        let is_told = router.has_presence(pattern);
        let max = if is_told { MAX_COUNTED } else { 0 };
        let (listed, sessions) = router.subscribers(pattern, max, now)?;
        let presence = is_told.then(|| {
            let mut presence = presence(&sessions, max_users);
            presence.is_truncated |= sessions.len() < listed.subscribers;
            presence
        });
        Some(ChannelDetails { listed, presence })
    }
}

fn listed(alias: Alias, session: &Session) -> ListedSession {
    let (origin, begun) = (session.origin(), session.begun());
    ListedSession {
        alias,
        user: session.user().map(|identity| identity.user.clone()),
        address: origin.address(),
        transport: origin.transport(),
        since: time_of(begun),
        last_seen: time_of(begun + origin.heard()),
        queued: session.backlog().queued,
        subscribed: session.count_with(&[]),
    }
}

/// Returns the time of day of a moment of the past.
fn time_of(moment: Instant) -> SystemTime {
    let (now, time_of_day) = super::core::clocks();
    let ago = now.saturating_duration_since(moment);
    let time = time_of_day.checked_sub(ago).unwrap_or(time_of_day);
    time.max(SystemTime::UNIX_EPOCH)
}

fn presence(sessions: &[Arc<Session>], max_users: usize) -> Presence {
    let mut presence = Presence::default();
    let mut users: BTreeMap<String, usize> = BTreeMap::new();
    for session in sessions {
        match session.user() {
            Some(identity) => *users.entry(identity.user.clone()).or_default() += 1,
            None => presence.anonymous += 1,
        }
    }
    presence.is_truncated = users.len() > max_users;
    presence.users = users.into_iter().take(max_users).collect();
    presence
}

#[cfg(test)]
mod tests;
