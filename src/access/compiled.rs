//! A rule that has been checked, and what it says of one request.

use super::identity::{Identity, Subject};
use super::pattern::Pattern;
use super::settings::{Action, Rule};
use super::who::Matcher;
use super::{Asked, Problem};
use crate::bayeux::ChannelPattern;

/// Longer than what a client should be told in a line.
const MAX_REASON: usize = 200;

/// A compiled [`Rule`].
#[derive(Debug)]
pub(super) struct Compiled {
    allow: Vec<Action>,
    deny: Vec<Action>,
    patterns: Box<[Pattern]>,
    who: Matcher,
    reason: Option<Box<str>>,
}

/// What a rule says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// It is about other actions.
    OtherAction,
    /// It is about others.
    OtherSubject,
    /// It is about other channels.
    OtherChannels,
    /// It allows a part of what is to be subscribed to, which decides nothing.
    Part,
    /// It decides: it allows, or it denies.
    Decides(bool),
}

impl Compiled {
    /// Compiles the rule of this number.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn new(index: usize, rule: &Rule) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut refuse = |name, value: String, fix: &str| {
            problems.push(Problem {
                index,
                name,
                value,
                fix: fix.to_owned(),
            });
        };
        let Rule {
            allow,
            deny,
            channels,
            who,
            reason,
        } = rule;
        if allow.is_empty() && deny.is_empty() {
            let fix = "neither allow nor deny names an action; write handshake, subscribe, \
                 publish or forget";
            refuse("allow", shown(allow), fix);
        }
        if let Some(both) = deny.iter().find(|action| allow.contains(action)) {
            let fix = format!("{} is in allow as well; leave one out", both.name());
            refuse("deny", shown(deny), &fix);
        }
        let is_about_channels = allow.iter().chain(deny).any(|a| *a != Action::Handshake);
        if is_about_channels && channels.is_empty() {
            let fix = "name the channels, such as [\"/chat/**\"], or [\"/**\"] for all";
            refuse("channels", shown(channels), fix);
        }
        if !is_about_channels && !channels.is_empty() {
            let fix = "a handshake has no channel; leave it out";
            refuse("channels", shown(channels), fix);
        }
        let mut patterns = Vec::new();
        for channel in channels {
            match Pattern::parse(channel) {
                Ok(pattern) => patterns.push(pattern),
                Err(fix) => refuse("channels", shown(channel), fix),
            }
        }
        let matcher = match who.as_ref().map(Matcher::new) {
            Some(Ok(matcher)) => Some(matcher),
            Some(Err(fix)) => {
                refuse("who", shown(who), &fix);
                None
            }
            None => {
                refuse(
                    "who",
                    String::new(),
                    "say whom it is about, such as \"anyone\"",
                );
                None
            }
        };
        if let Some(reason) = reason
            && let Some(fix) = reason_fix(reason)
        {
            refuse("reason", shown(reason), fix);
        }
        match matcher {
            Some(who) if problems.is_empty() => Ok(Self {
                allow: allow.clone(),
                deny: deny.clone(),
                patterns: patterns.into(),
                who,
                reason: reason.as_deref().map(Into::into),
            }),
            _ => Err(problems),
        }
    }

    /// Returns its patterns.
    pub(super) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Returns what those are told whom it refuses something.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Tells whether it allows an action, or denies it; nothing if it is about others.
    pub(super) fn effect(&self, action: Action) -> Option<bool> {
        if self.allow.contains(&action) {
            Some(true)
        } else {
            self.deny.contains(&action).then_some(false)
        }
    }

    /// Tells whether it could decide about an action of somebody, whatever the channel.
    pub(super) fn concerns(&self, action: Action, subject: &Subject) -> bool {
        let identity = subject.identity.as_deref();
        let has_channels = || {
            self.patterns
                .iter()
                .any(|pattern| pattern.is_known(identity))
        };
        self.effect(action).is_some()
            && (action == Action::Handshake || has_channels())
            && self.who.matches(subject)
    }

    /// Tells what it says.
    pub(super) fn consider(&self, asked: Asked<'_>, subject: &Subject) -> Finding {
        let Some(allows) = self.effect(asked.action()) else {
            return Finding::OtherAction;
        };
        if !self.who.matches(subject) {
            return Finding::OtherSubject;
        }
        let identity = subject.identity.as_deref();
        match asked {
            Asked::Handshake => Finding::Decides(allows),
            Asked::Publish(channel) | Asked::Forget(channel) => {
                if self.matches(channel.as_str(), identity) {
                    Finding::Decides(allows)
                } else {
                    Finding::OtherChannels
                }
            }
            Asked::Subscribe(pattern) => self.of_subscription(pattern, allows, identity),
        }
    }

    /// Tells whether it is about a channel.
    pub(super) fn matches(&self, channel: &str, identity: Option<&Identity>) -> bool {
        let mut patterns = self.patterns.iter();
        patterns.any(|pattern| pattern.matches(channel, identity))
    }

    /// Tells what it says of a subscription, to someone whom it is about. It denies what holds a channel
    /// that it denies; it allows what one of its patterns covers alone.
    pub(super) fn of_subscription(
        &self,
        subscription: &ChannelPattern,
        allows: bool,
        identity: Option<&Identity>,
    ) -> Finding {
        let subscription = subscription.as_str();
        let mut patterns = self.patterns.iter();
        if !patterns.any(|pattern| pattern.overlaps(subscription, identity)) {
            return Finding::OtherChannels;
        }
        let mut patterns = self.patterns.iter();
        if allows && !patterns.any(|pattern| pattern.covers(subscription, identity)) {
            return Finding::Part;
        }
        Finding::Decides(allows)
    }
}

/// Shows a value as it stands in a file.
fn shown(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Finds why a reason cannot stand in an error, `403:/chat/1,reason:publish_denied`.
fn reason_fix(reason: &str) -> Option<&'static str> {
    if reason.trim().is_empty() {
        Some("must say something; leave it out for none")
    } else if reason.len() > MAX_REASON {
        Some("must be at most 200 bytes")
    } else if reason.contains(':') || reason.contains(char::is_control) {
        Some("must be one line without ':', which parts the fields of an error")
    } else {
        None
    }
}
