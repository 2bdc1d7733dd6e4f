//! Who somebody is, as far as rules ask. Whoever knows (a token, a password, a webhook) makes it.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::settings::Action;
use crate::bayeux::ChannelPattern;

/// Who a client has shown to be.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The name, for which `{user}` stands in rules.
    pub user: String,
    /// The roles.
    pub roles: Vec<String>,
    /// What else is known, by name; a name may come more than once, and then has any of its values.
    /// What no rule asks for ([`Access::claims`](super::Access::claims)) need not be kept.
    pub claims: Vec<(String, String)>,
    /// What this one is allowed where no rule decides.
    pub grants: Vec<Grant>,
    /// When it is over, by the time of day; nothing: never.
    pub expires: Option<SystemTime>,
}

impl Identity {
    /// Returns the values of a claim.
    pub(super) fn claim<'i>(&'i self, name: &'i str) -> impl Iterator<Item = &'i str> {
        let claims = self.claims.iter();
        claims
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Channels that an identity brings with it, and what may be done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The actions.
    pub actions: Vec<Action>,
    /// The channels, which do not matter for a handshake.
    pub channels: Vec<ChannelPattern>,
}

/// Whom a decision is about.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// Who it is; nothing: anonymous.
    pub identity: Option<Arc<Identity>>,
    /// The address of the client, if it has one and it is known.
    pub address: Option<IpAddr>,
}
