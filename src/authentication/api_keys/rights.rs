//! What somebody may do by the HTTP API: whoever shows a key, or has logged in to the operator's page.

use std::sync::Arc;

use super::Permission;
use crate::access::Identity;
use crate::bayeux::{ChannelName, ChannelPattern, Limits};

/// What somebody may do by the HTTP API.
#[derive(Debug)]
pub struct Rights {
    /// The list in the configuration whose entry says so, such as `api.key`.
    pub list: &'static str,
    /// The name of that entry.
    pub name: String,
    /// Who it is to operations.
    pub identity: Arc<Identity>,
    allow: Vec<Permission>,
    channels: Vec<ChannelPattern>,
}

impl Rights {
    /// Takes them from an entry that makes sense. The identity is nobody's yet.
    pub(in crate::authentication) fn new(
        list: &'static str,
        name: &str,
        allow: &[Permission],
        channels: &[String],
        limits: &Limits,
    ) -> Self {
        let parsed = |text: &String| ChannelPattern::parse(text, limits).ok();
        Self {
            list,
            name: name.to_owned(),
            identity: Arc::default(),
            allow: allow.to_vec(),
            channels: channels.iter().filter_map(parsed).collect(),
        }
    }

    /// Tells whether something is allowed, on whichever channels.
    #[must_use]
    pub fn allows(&self, permission: Permission) -> bool {
        let mut allow = self.allow.iter();
        allow.any(|allowed| matches!(allowed, Permission::Admin) || *allowed == permission)
    }

    /// Returns what is allowed, as the entry says.
    #[must_use]
    pub fn permissions(&self) -> &[Permission] {
        &self.allow
    }

    /// Tells whether that is so for a channel.
    #[must_use]
    pub fn covers(&self, channel: &ChannelName) -> bool {
        self.channels.iter().any(|pattern| pattern.matches(channel))
    }

    /// Returns the channels for which it is.
    #[must_use]
    pub fn channels(&self) -> &[ChannelPattern] {
        &self.channels
    }
}
