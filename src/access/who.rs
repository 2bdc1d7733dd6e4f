//! Whom a rule is about, ready to be asked.

use super::identity::Subject;
use super::settings::{All, OneOf, Who, Word};
use crate::network::Network;

/// A compiled [`Who`].
#[derive(Debug)]
pub(super) enum Matcher {
    Word(Word),
    All {
        users: Option<Box<[String]>>,
        roles: Option<Box<[String]>>,
        networks: Option<Box<[Network]>>,
    },
    Any(Box<[Self]>),
}

impl Matcher {
    /// Compiles what an operator wrote.
    ///
    /// # Errors
    /// What to write instead.
    pub(super) fn new(who: &Who) -> Result<Self, String> {
        match who {
            Who::Word(word) => Ok(Self::Word(*word)),
            Who::Any(list) => list
                .iter()
                .map(Self::new)
                .collect::<Result<_, _>>()
                .map(Self::Any),
            Who::All(all) if *all == All::default() => {
                Err("name a user, a role or an address; for everybody write \"anyone\"".to_owned())
            }
            Who::All(All {
                user,
                role,
                address,
            }) => {
                let texts = |texts: &OneOf| texts.all().into();
                let networks = |texts: &OneOf| {
                    let texts = texts.all().iter();
                    texts
                        .map(|text| {
                            Network::parse(text).map_err(|fix| format!("address {text:?} {fix}"))
                        })
                        .collect::<Result<_, _>>()
                };
                Ok(Self::All {
                    users: user.as_ref().map(texts),
                    roles: role.as_ref().map(texts),
                    networks: address.as_ref().map(networks).transpose()?,
                })
            }
        }
    }

    /// Tells whether somebody is one of those.
    pub(super) fn matches(&self, subject: &Subject) -> bool {
        let identity = subject.identity.as_deref();
        match self {
            Self::Word(Word::Anyone) => true,
            Self::Word(Word::Anonymous) => identity.is_none(),
            Self::Word(Word::Authenticated) => identity.is_some(),
            Self::Any(list) => list.iter().any(|matcher| matcher.matches(subject)),
            Self::All {
                users,
                roles,
                networks,
            } => {
                let is_user = |users: &[String]| {
                    identity.is_some_and(|identity| users.contains(&identity.user))
                };
                let has_role = |roles: &[String]| {
                    let has = |own: &[String]| own.iter().any(|role| roles.contains(role));
                    identity.is_some_and(|identity| has(&identity.roles))
                };
                let is_there = |networks: &[Network]| {
                    let is_in = |address| networks.iter().any(|network| network.contains(address));
                    subject.address.is_some_and(is_in)
                };
                users.as_deref().is_none_or(is_user)
                    && roles.as_deref().is_none_or(has_role)
                    && networks.as_deref().is_none_or(is_there)
            }
        }
    }
}
