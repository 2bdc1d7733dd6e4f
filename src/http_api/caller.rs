//! Who sends a request: the key that it shows, and what that is for.

use core::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::Shared;
use super::problem::{Kind, Problem};
use crate::authentication::Known;
use crate::authentication::api_keys::{ApiKey, NotValid, Permission};
use crate::bayeux::{ChannelName, ChannelPattern, Limits};
use crate::server::{Actor, Who};

/// The address of whoever sends a request, if it has one and it is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address(pub(super) Option<IpAddr>);

/// Who sends a request. To ask for it is to refuse requests without a valid key.
#[derive(Debug)]
pub struct Caller {
    /// The key that it shows.
    pub key: Arc<ApiKey>,
    /// Its address, if it has one and it is known.
    pub address: Option<IpAddr>,
    known: Known,
}

impl Caller {
    /// Refuses what its key is not for.
    ///
    /// # Errors
    /// The key does not allow it.
    pub fn may(&self, permission: Permission) -> Result<(), Problem> {
        if self.key.allows(permission) {
            return Ok(());
        }
        let name = permission.name();
        Err(Problem::new(
            Kind::NotAllowed,
            format!("this needs a key whose [[api.key]] entry has \"{name}\" in allow"),
        ))
    }

    /// Refuses a channel that its key is not for.
    ///
    /// # Errors
    /// The key does not cover it.
    pub fn may_use(&self, channel: &ChannelName) -> Result<(), Problem> {
        if self.key.covers(channel) {
            return Ok(());
        }
        let name = channel.as_str();
        Err(Problem::new(
            Kind::ChannelNotAllowed,
            format!("this needs a key whose [[api.key]] entry has channels that {name} matches"),
        ))
    }

    /// Refuses what would tell of channels that its key is not for.
    ///
    /// # Errors
    /// The key does not cover all that the pattern does.
    pub fn may_see(&self, pattern: &ChannelPattern) -> Result<(), Problem> {
        let name = pattern.as_str();
        if self.key.channels().iter().any(|own| own.covers(name)) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::ChannelNotAllowed,
            format!("this needs a key whose [[api.key]] entry has channels that cover {name}"),
        ))
    }

    /// Reads the channel or pattern of a path, which has no first slash, if its key is for all of it.
    ///
    /// # Errors
    /// It is no channel or pattern, or the key does not cover it.
    pub fn seen(&self, name: &str, limits: &Limits) -> Result<ChannelPattern, Problem> {
        let name = format!("/{name}");
        let pattern = ChannelPattern::parse(&name, limits)
            .map_err(|_| Problem::new(Kind::Channel, format!("{name} is no channel or pattern")))?;
        self.may_see(&pattern)?;
        Ok(pattern)
    }

    /// Returns who it is to operations.
    #[must_use]
    pub fn actor(&self) -> Actor<'_> {
        Actor {
            address: self.address,
            who: Who::Known(&self.known),
            is_backend: true,
            ..Actor::default()
        }
    }
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        shared: &Arc<Shared>,
    ) -> Result<Self, Self::Rejection> {
        let keys = &shared.terms.get().keys;
        let key = shown(parts).and_then(|shown| {
            let found = keys.find(shown, SystemTime::now());
            found.map_err(|error| match error {
                NotValid::Unknown if keys.is_empty() => Problem::new(
                    Kind::KeyUnknown,
                    "the configuration has no [[api.key]]; `mirant api-key` makes a key and its hash",
                ),
                NotValid::Unknown => Problem::new(
                    Kind::KeyUnknown,
                    "no [[api.key]] entry has this key; `mirant api-key` makes one and its hash",
                ),
                NotValid::Expired => Problem::new(
                    Kind::KeyExpired,
                    "the key is over (expires in its [[api.key]] entry); make another",
                ),
            })
        });
        let key = key.inspect_err(|_| shared.server.metrics().refused_keys.increment())?;
        let address = parts.extensions.get::<Address>();
        Ok(Self {
            address: address.and_then(|address| address.0),
            known: Known {
                identity: Arc::clone(&key.identity),
                ext: Vec::new(),
            },
            key: Arc::clone(key),
        })
    }
}

/// Returns the key that a request shows.
fn shown(parts: &Parts) -> Result<&str, Problem> {
    let value = parts.headers.get(AUTHORIZATION);
    let shown = value.and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then(|| key.trim())
    });
    shown.ok_or_else(|| {
        Problem::new(
            Kind::KeyMissing,
            "send the key of an [[api.key]] entry as Authorization: Bearer KEY",
        )
    })
}
