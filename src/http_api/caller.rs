//! Who sends a request: the key that it shows, or the login, and what that is for.

use core::fmt;
use core::net::IpAddr;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::Shared;
use super::logins::{Login, Logins};
use super::problem::{Kind, Problem};
use crate::authentication::Known;
use crate::authentication::api_keys::{NotValid, Permission, Rights};
use crate::authentication::operators::{Operator, Operators};
use crate::bayeux::{ChannelName, ChannelPattern, Limits};
use crate::server::{Actor, Who};
use crate::web::{Head, Socket, cookies};

/// The name of the cookie that shows a login.
pub(super) const COOKIE: &str = "mirant_operator";
/// The header that pages of other origins cannot send.
const BY_PAGE: HeaderName = HeaderName::from_static("x-requested-with");
/// How many cookies of this name are looked at: another program of the same host may have set one, too.
const MAX_COOKIES: usize = 4;

/// How a request has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrival {
    /// The address of whoever sends it, if it has one and it is known.
    pub(super) address: Option<IpAddr>,
    /// It came by TLS.
    pub(super) is_secure: bool,
    /// It is of the operator's page, and not of another.
    is_by_page: bool,
    /// The tokens of logins that it shows.
    pub(super) tokens: Vec<String>,
}

impl Arrival {
    pub(super) fn new(socket: &Socket) -> Self {
        Self {
            address: socket.peer().ip(),
            is_secure: socket.is_secure(),
            ..Self::default()
        }
    }

    /// Takes the logins that its head shows, if they are to count.
    pub(super) fn with_logins(self, head: &Head) -> Self {
        let is_by_page = head.headers.contains(&BY_PAGE);
        let tokens = cookies::values(&head.headers, COOKIE);
        Self {
            is_by_page,
            tokens: match is_by_page {
                true => tokens.take(MAX_COOKIES).map(str::to_owned).collect(),
                false => Vec::new(),
            },
            ..self
        }
    }

    /// Refuses what another page may have sent.
    ///
    /// # Errors
    /// It has not the header that shows that it is of the operator's page.
    pub(super) fn is_by_page(&self) -> Result<(), Problem> {
        if self.is_by_page {
            return Ok(());
        }
        let detail = "send the header X-Requested-With, which no page of another origin may";
        Err(Problem::new(Kind::Parameter, detail))
    }

    /// Finds the login that it shows, and who that is.
    pub(super) fn login<'o>(
        &self,
        logins: &Logins,
        operators: &'o Operators,
    ) -> Option<(Arc<Login>, &'o Operator)> {
        let now = Instant::now();
        self.tokens.iter().find_map(|token| {
            let login = logins.find(token)?;
            let operator = login.operator(operators, now)?;
            Some((login, operator))
        })
    }
}

impl<S: Sync> FromRequestParts<S> for Arrival {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// Who sends a request. To ask for it is to refuse requests without a valid key or login.
#[derive(Debug)]
pub struct Caller {
    /// What it may do.
    pub rights: Arc<Rights>,
    /// Its address, if it has one and it is known.
    pub address: Option<IpAddr>,
    /// The login that it shows, if that is what it shows.
    pub(super) login: Option<Arc<Login>>,
    known: Known,
}

impl Caller {
    /// Refuses what is not allowed to it.
    ///
    /// # Errors
    /// The key does not allow it.
    pub fn may(&self, permission: Permission) -> Result<(), Problem> {
        if self.rights.allows(permission) {
            return Ok(());
        }
        let name = permission.name();
        let detail = self.needs(format_args!("\"{name}\" in allow"));
        Err(Problem::new(Kind::NotAllowed, detail))
    }

    /// Refuses a channel that its key is not for.
    ///
    /// # Errors
    /// The key does not cover it.
    pub fn may_use(&self, channel: &ChannelName) -> Result<(), Problem> {
        if self.rights.covers(channel) {
            return Ok(());
        }
        let name = channel.as_str();
        let detail = self.needs(format_args!("channels that {name} matches"));
        Err(Problem::new(Kind::ChannelNotAllowed, detail))
    }

    /// Refuses what would tell of channels that its key is not for.
    ///
    /// # Errors
    /// The key does not cover all that the pattern does.
    pub fn may_see(&self, pattern: &ChannelPattern) -> Result<(), Problem> {
        let name = pattern.as_str();
        if self.rights.channels().iter().any(|own| own.covers(name)) {
            return Ok(());
        }
        let detail = self.needs(format_args!("channels that cover {name}"));
        Err(Problem::new(Kind::ChannelNotAllowed, detail))
    }

    /// Says what its entry lacks.
    fn needs(&self, what: fmt::Arguments<'_>) -> String {
        let list = self.rights.list;
        let who = if self.login.is_some() { "user" } else { "key" };
        format!("this needs a {who} whose [[{list}]] entry has {what}")
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
        let arrival: Arrival = parts.extensions.get().cloned().unwrap_or_default();
        let found = match shown(&parts.headers) {
            Some(key) => of_key(key, shared).map(|rights| (rights, None)),
            None => of_login(&arrival, shared),
        };
        let found = found.inspect_err(|_| shared.server.metrics().refused_keys.increment());
        let (rights, login) = found?;
        Ok(Self {
            address: arrival.address,
            known: Known {
                identity: Arc::clone(&rights.identity),
                ext: Vec::new(),
            },
            rights,
            login,
        })
    }
}

fn of_key(key: &str, shared: &Shared) -> Result<Arc<Rights>, Problem> {
    let keys = &shared.terms.get().keys;
    let found = keys.find(key, SystemTime::now());
    let found = found.map_err(|error| match error {
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
    });
    found.map(|key| Arc::clone(&key.rights))
}

type OfLogin = (Arc<Rights>, Option<Arc<Login>>);

fn of_login(arrival: &Arrival, shared: &Shared) -> Result<OfLogin, Problem> {
    let operators = &shared.terms.get().operators;
    match arrival.login(&shared.logins, operators) {
        Some((login, operator)) => Ok((Arc::clone(&operator.rights), Some(login))),
        None if arrival.tokens.is_empty() => Err(Problem::new(
            Kind::KeyMissing,
            "send the key of an [[api.key]] entry as Authorization: Bearer KEY",
        )),
        None => Err(Problem::new(
            Kind::LoginOver,
            "the login is over (admin.login_lifetime); log in again",
        )),
    }
}

/// Returns the key that a request shows.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| key.trim())
}
