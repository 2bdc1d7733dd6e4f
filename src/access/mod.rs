//! Who may do what: the operator's rules, and what they decide. It knows no session and no transport.
//!
//! Rules stand in an order, and the first that is about the action, the client and the channel decides.
//! Where none is, the client's own grants do ([`Grant`]), and then it is refused; without any rule
//! everything is allowed, but to have history forgotten. Meta channels are never anyone's.
//!
//! A subscription to a pattern is allowed only if no channel that the pattern could deliver is refused:
//! from the first rule on, one that denies a channel of the pattern refuses it, and one that allows with
//! a single pattern of its own all channels of it allows it. Others are passed over. That errs to the
//! safe side twice: several rules or patterns that allow the channels only together do not allow the
//! pattern; and a rule refuses it that denies what an earlier one allows, unless that allows the whole.

mod compiled;
mod explained;
mod granted;
mod identity;
mod pattern;
pub mod settings;
mod who;

use std::fmt;
use std::sync::Arc;

use crate::bayeux::{ChannelKind, ChannelName, ChannelPattern};
use compiled::Compiled;
pub use compiled::Finding;
pub use granted::Granted;
pub use identity::{Grant, Identity, Subject};
pub use settings::{Action, Rule, Who};

/// How many rules there may be: far more than anyone oversees, and few enough for small numbers.
pub const MAX_RULES: usize = 1000;

/// What somebody asks to do.
#[derive(Debug, Clone, Copy)]
pub enum Asked<'a> {
    /// To have a session.
    Handshake,
    /// To receive all that a channel or pattern delivers.
    Subscribe(&'a ChannelPattern),
    /// To publish on a channel.
    Publish(&'a ChannelName),
    /// To have what is kept of a channel forgotten.
    Forget(&'a ChannelName),
}

impl Asked<'_> {
    /// Returns the action.
    #[must_use]
    pub fn action(self) -> Action {
        match self {
            Self::Handshake => Action::Handshake,
            Self::Subscribe(_) => Action::Subscribe,
            Self::Publish(_) => Action::Publish,
            Self::Forget(_) => Action::Forget,
        }
    }

    fn is_meta(self) -> bool {
        match self {
            Self::Handshake => false,
            Self::Subscribe(pattern) => pattern.kind() == ChannelKind::Meta,
            Self::Publish(channel) | Self::Forget(channel) => channel.kind() == ChannelKind::Meta,
        }
    }
}

/// Whether something is allowed, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is.
    pub allowed: bool,
    /// The number of the rule that decided, from 0; nothing if none did.
    pub rule: Option<usize>,
}

impl Decision {
    /// There are no rules.
    const OPEN: Self = Self {
        allowed: true,
        rule: None,
    };
    /// A client's own grants allow it.
    const GRANTED: Self = Self::OPEN;
    /// Nothing allows it.
    const NOT_GRANTED: Self = Self {
        allowed: false,
        rule: None,
    };

    fn by(rule: usize, effect: Option<bool>) -> Self {
        Self {
            allowed: effect == Some(true),
            rule: Some(rule),
        }
    }
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its number, from 0.
    pub index: usize,
    /// The key in it.
    pub name: &'static str,
    /// The key's value, as it would stand in a file; empty if it is missing.
    pub value: String,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            name,
            value,
            fix,
        } = self;
        if value.is_empty() {
            write!(f, "access[{index}] has no {name}: {fix}")
        } else {
            write!(f, "access[{index}].{name} = {value}: {fix}")
        }
    }
}

/// The rules, compiled.
#[derive(Debug, Default)]
pub struct Access {
    rules: Box<[Compiled]>,
}

impl Access {
    /// Compiles rules.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(rules: &[Rule]) -> Result<Self, Vec<Problem>> {
        let (mut compiled, mut problems) = (Vec::new(), Vec::new());
        if rules.len() > MAX_RULES {
            problems.push(Problem {
                index: MAX_RULES,
                name: "allow",
                value: "…".to_owned(),
                fix: format!("there may be at most {MAX_RULES} rules"),
            });
        }
        for (index, rule) in rules.iter().enumerate().take(MAX_RULES) {
            match Compiled::new(index, rule) {
                Ok(rule) => compiled.push(rule),
                Err(more) => problems.extend(more),
            }
        }
        if problems.is_empty() {
            let rules = compiled.into();
            Ok(Self { rules })
        } else {
            Err(problems)
        }
    }

    /// Tells whether there are no rules, so that everything is allowed but to have history forgotten.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// Returns the names of the claims that rules ask for, each once.
    #[must_use]
    pub fn claims(&self) -> Vec<&str> {
        let patterns = self.rules.iter().flat_map(Compiled::patterns);
        let mut claims: Vec<&str> = patterns.flat_map(|pattern| pattern.claims()).collect();
        claims.sort_unstable();
        claims.dedup();
        claims
    }

    /// Decides about what somebody asks for.
    #[must_use]
    pub fn decide(&self, asked: Asked<'_>, subject: &Subject) -> Decision {
        if asked.is_meta() {
            return Decision::NOT_GRANTED;
        }
        if self.is_open() && asked.action() != Action::Forget {
            return Decision::OPEN;
        }
        match self.explain(asked, subject).last() {
            Some(&(rule, Finding::Decides(allowed))) => Decision::by(rule, Some(allowed)),
            _ => Self::by_grants(asked, subject),
        }
    }

    /// Lists the rules that are looked at, each with what it says, up to the one that decides.
    #[must_use]
    pub fn explain(&self, asked: Asked<'_>, subject: &Subject) -> Vec<(usize, Finding)> {
        let mut findings = Vec::new();
        if asked.is_meta() {
            return findings;
        }
        for (index, rule) in self.rules.iter().enumerate() {
            let finding = rule.consider(asked, subject);
            findings.push((index, finding));
            if let Finding::Decides(_) = finding {
                break;
            }
        }
        findings
    }

    /// Finds what somebody may do, for a session to keep. Of a handshake it says nothing more.
    #[must_use]
    pub fn for_subject(self: &Arc<Self>, subject: Subject) -> Granted {
        Granted::new(self, subject)
    }

    /// Returns what the rule that refused something says of it.
    #[must_use]
    pub fn reason(&self, decision: Decision) -> Option<&str> {
        let rule = self.rules.get(decision.rule?)?;
        rule.reason().filter(|_| !decision.allowed)
    }

    /// Decides by what an identity brings with it, where no rule has.
    fn by_grants(asked: Asked<'_>, subject: &Subject) -> Decision {
        let identity = subject.identity.as_deref();
        let grants = identity.map_or(&[][..], |identity| &identity.grants);
        let wanted = match asked {
            Asked::Handshake => None,
            Asked::Subscribe(pattern) => Some(pattern.as_str()),
            Asked::Publish(channel) | Asked::Forget(channel) => Some(channel.as_str()),
        };
        let is_granted = |grant: &Grant| {
            let covers = |wanted| {
                let mut channels = grant.channels.iter();
                channels.any(|channel| channel.covers(wanted))
            };
            grant.actions.contains(&asked.action()) && wanted.is_none_or(covers)
        };
        if grants.iter().any(is_granted) {
            Decision::GRANTED
        } else {
            Decision::NOT_GRANTED
        }
    }

    /// Returns the numbers of the rules that could decide about an action of somebody.
    fn concerning(&self, action: Action, subject: &Subject) -> Box<[u16]> {
        let numbers = (0..).zip(&self.rules);
        numbers
            .filter(|(_, rule)| rule.concerns(action, subject))
            .map(|(number, _)| number)
            .collect()
    }

    fn rule(&self, number: u16) -> &Compiled {
        &self.rules[usize::from(number)]
    }
}

#[cfg(test)]
mod tests;
