//! What application servers may ask about sessions, channels and users, and do about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::{BayeuxServer, TooManyRefused};
use crate::alias::Alias;
use crate::bayeux::ChannelPattern;
use crate::metrics::EndReason;
use crate::router::{Listed, Selection as ChannelSelection};
use crate::session::{Selection as SessionSelection, Session};
use crate::smallest::Page;

/// So many subscribers of a channel are looked at to tell who they are.
const MAX_COUNTED: usize = 100_000;

/// A channel or pattern, and who is subscribed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelDetails {
    /// What a list has of it.
    pub listed: Listed,
    /// Who is subscribed, if that may be told.
    pub presence: Option<Presence>,
}

/// Who is subscribed to a channel or pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
        let router = &self.core.router;
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

    /// Lists sessions, by their aliases.
    #[must_use]
    pub fn list_sessions(&self, selection: &SessionSelection<'_>) -> Page<(Alias, Arc<Session>)> {
        let aliases = &self.core.shared.aliases;
        self.core.sessions.list(selection, aliases)
    }

    /// Returns how many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        usize::try_from(self.metrics().sessions.value()).unwrap_or_default()
    }

    /// Returns the session of an alias.
    #[must_use]
    pub fn session(&self, alias: Alias) -> Option<Arc<Session>> {
        let id = self.core.shared.aliases.client(alias);
        self.core.sessions.find(id)
    }

    /// Ends the session of an alias, whose client may handshake again; false if there is none.
    #[must_use]
    pub fn end_session(&self, alias: Alias, now: Instant) -> bool {
        let Some(session) = self.session(alias) else {
            return false;
        };
        let scope = self.core.scope(now);
        scope.end(&session, EndReason::Administrator);
        true
    }

    /// Ends the sessions of a user, after it is refused for so long, if that is given.
    ///
    /// # Errors
    /// There are as many users refused as there may be; then nothing is done.
    pub fn disconnect_user(
        &self,
        user: &str,
        refuse: Option<Duration>,
        now: Instant,
    ) -> Result<Disconnected, TooManyRefused> {
        let scope = self.core.scope(now);
        let refused = refuse.map(|time| scope.refuse_user(user, time));
        let refused = refused.transpose()?.filter(|time| !time.is_zero());
        let sessions = scope.end_all_of(user);
        tracing::info!(
            user,
            sessions,
            seconds = refused.map(|time| time.as_secs()),
            "a user was disconnected"
        );
        Ok(Disconnected { sessions, refused })
    }

    /// Returns how long a user may be refused at most.
    #[must_use]
    pub fn max_refusal(&self) -> Duration {
        self.core.shared.settings.max_refusal
    }

    /// Returns the time of day of a moment of the past.
    #[must_use]
    pub fn time_of(&self, moment: Instant) -> SystemTime {
        let (now, time_of_day) = super::core::clocks();
        let ago = now.saturating_duration_since(moment);
        time_of_day.checked_sub(ago).unwrap_or(time_of_day)
    }
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
