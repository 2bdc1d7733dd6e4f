//! What a session may do: the rules that are about its client, found once.

use std::sync::Arc;

use super::compiled::Finding;
use super::identity::{Identity, Subject};
use super::settings::Action;
use super::{Access, Asked, Decision};
use crate::bayeux::{ChannelKind, ChannelName, ChannelPattern};

/// What somebody may do, and who that is. It is small, since every session keeps one: a pointer, and if
/// there are rules or it is known who it is some sixty bytes and two for each rule that could decide.
#[derive(Debug, Clone, Default)]
pub struct Granted(Option<Arc<Rights>>);

#[derive(Debug)]
struct Rights {
    access: Arc<Access>,
    subject: Subject,
    /// The numbers of the rules that could decide.
    subscribe: Box<[u16]>,
    publish: Box<[u16]>,
}

impl Granted {
    /// Finds what somebody may do.
    pub(super) fn new(access: &Arc<Access>, subject: Subject) -> Self {
        if access.is_open() && subject.identity.is_none() {
            return Self(None);
        }
        let concerning = |action| access.concerning(action, &subject);
        Self(Some(Arc::new(Rights {
            access: Arc::clone(access),
            subscribe: concerning(Action::Subscribe),
            publish: concerning(Action::Publish),
            subject,
        })))
    }

    /// Tells whether everything is allowed, because there are no rules.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.as_ref().is_none_or(|rights| rights.access.is_open())
    }

    /// Tells whether it is by these rules.
    #[must_use]
    pub fn is_by(&self, access: &Arc<Access>) -> bool {
        match &self.0 {
            Some(rights) => Arc::ptr_eq(&rights.access, access),
            None => access.is_open(),
        }
    }

    /// Tells whether it is this one: nothing else was granted since.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }

    /// Returns who it is, if that is known.
    #[must_use]
    pub fn identity(&self) -> Option<&Arc<Identity>> {
        self.subject()?.identity.as_ref()
    }

    /// Returns whom it is about, if there are rules or it is known who it is.
    #[must_use]
    pub fn subject(&self) -> Option<&Subject> {
        self.0.as_ref().map(|rights| &rights.subject)
    }

    /// Decides about a publish.
    #[must_use]
    pub fn publish(&self, channel: &ChannelName) -> Decision {
        self.0
            .as_ref()
            .map_or(Decision::OPEN, |rights| rights.publish(channel))
    }

    /// Decides about a subscription to a channel, or to all that a pattern would deliver.
    #[must_use]
    pub fn subscribe(&self, pattern: &ChannelPattern) -> Decision {
        self.0
            .as_ref()
            .map_or(Decision::OPEN, |rights| rights.subscribe(pattern))
    }

    /// Returns what the rule that refused something says of it.
    #[must_use]
    pub fn reason(&self, decision: Decision) -> Option<&str> {
        self.0.as_ref()?.access.reason(decision)
    }
}

impl Rights {
    fn publish(&self, channel: &ChannelName) -> Decision {
        if channel.kind() == ChannelKind::Meta {
            return Decision::NOT_GRANTED;
        }
        if self.access.is_open() {
            return Decision::OPEN;
        }
        let identity = self.subject.identity.as_deref();
        for &index in &self.publish {
            let rule = self.access.rule(index);
            if rule.matches(channel.as_str(), identity) {
                return Decision::by(usize::from(index), rule.effect(Action::Publish));
            }
        }
        Access::by_grants(Asked::Publish(channel), &self.subject)
    }

    fn subscribe(&self, pattern: &ChannelPattern) -> Decision {
        if pattern.kind() == ChannelKind::Meta {
            return Decision::NOT_GRANTED;
        }
        if self.access.is_open() {
            return Decision::OPEN;
        }
        let identity = self.subject.identity.as_deref();
        for &index in &self.subscribe {
            let rule = self.access.rule(index);
            let allows = rule.effect(Action::Subscribe) == Some(true);
            if let Finding::Decides(allows) = rule.of_subscription(pattern, allows, identity) {
                return Decision::by(usize::from(index), Some(allows));
            }
        }
        Access::by_grants(Asked::Subscribe(pattern), &self.subject)
    }
}
