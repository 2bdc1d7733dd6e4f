//! Tokens (JWT): who issued one, whether it is genuine, and what it says of its bearer.
//!
//! A token is checked against the issuers that its `iss` may mean. The algorithm belongs to the key: a
//! token that names another is refused, and what it says otherwise is looked at only once a key of its
//! issuer has signed it.

mod checked;
mod claims;
mod create;
mod examine;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod issuer;
mod key;
mod keys;
mod parse;
mod remote;
pub mod settings;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::{Check, Fault, Known, Problem};
use crate::access::Identity;
use crate::bayeux::{BayeuxError, Limits};
use crate::metrics::{Limit, Metrics};
use crate::outbound::{self, Outbound};
use checked::{Checked, Entry};
use claims::Wanted;
pub use create::Wish;
pub use examine::{Examined, Signer};
use issuer::{Fetching, Issuer};
use parse::Token;
use remote::{Bounds, Refresh, Remote};
use settings::Jwks;
pub use settings::Settings;

/// How many sets of keys are fetched at once.
const MAX_FETCHES: usize = 4;

/// Checks tokens. A copy is the same.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_length: u64,
    metrics: Arc<Metrics>,
    issuers: Vec<Issuer>,
    checked: Checked,
}

impl Tokens {
    /// Reads the keys of all issuers; those that are at a URL are fetched later.
    ///
    /// `claims` are the names of claims that rules ask for; `limits` are those of channels.
    ///
    /// # Errors
    /// All that is wrong with the entries, and with the keys that they name.
    pub fn new(
        settings: &Settings,
        issuers: &[settings::Issuer],
        claims: &[&str],
        limits: &Limits,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = settings::problems(issuers);
        let mut compiled = Vec::new();
        if problems.is_empty() && !issuers.is_empty() {
            let fetching = fetching(settings, issuers, metrics);
            for (index, issuer) in issuers.iter().enumerate() {
                let wanted =
                    Wanted::new(issuer, claims, settings.max_token_claims, limits, metrics);
                match Issuer::new(issuer, wanted, &fetching) {
                    Ok(issuer) => compiled.push(issuer),
                    Err((name, fix)) => problems.push(Problem {
                        key: format!("issuer[{index}].{name}"),
                        value: issuer.shown(name),
                        fix,
                    }),
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self(Arc::new(Inner {
            max_length: settings.max_token_length.as_u64(),
            metrics: Arc::clone(metrics),
            issuers: compiled,
            checked: Checked::new(settings.max_checked_tokens),
        })))
    }

    /// Begins to fetch keys that are at a URL, within a Tokio runtime, so that they are there when the first
    /// token comes.
    pub fn fetch_keys(&self) {
        for remote in self.0.issuers.iter().filter_map(Issuer::remote) {
            let _in_the_background = remote.refresh();
        }
    }

    /// Goes on with the keys that others have fetched from the same places.
    pub fn go_on_from(&self, before: &Self) {
        let known: Vec<_> = before.0.issuers.iter().filter_map(Issuer::remote).collect();
        for remote in self.0.issuers.iter().filter_map(Issuer::remote) {
            if let Some(same) = known.iter().find(|known| known.is_like(remote)) {
                remote.go_on_from(same);
            }
        }
    }

    /// Tells whether there is no issuer, so that no token is any good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.issuers.is_empty()
    }

    /// Finds who shows a token, within a Tokio runtime. It takes its time only if the issuer's keys are at a
    /// URL, and are not known, or none of them has the name that the token gives.
    #[must_use]
    pub fn check(&self, token: &str, now: SystemTime) -> Check {
        let refused = match self.0.check(token, now) {
            Ok(identity) => return Check::Done(Ok(known(identity))),
            Err(refused) => refused,
        };
        let mut fetches = Vec::new();
        for remote in &refused.may_help {
            if let Refresh::Going(fetch) = remote.refresh() {
                fetches.push(fetch);
            }
        }
        if fetches.is_empty() {
            return refused.before_fetch().into();
        }
        let (tokens, token) = (self.clone(), token.to_owned());
        Check::Pending(Box::pin(async move {
            for fetch in fetches {
                fetch.await;
            }
            let outcome = tokens.0.check(&token, now);
            outcome.map(known).map_err(Refused::after_fetch)
        }))
    }
}

fn known(identity: Arc<Identity>) -> Known {
    Known {
        identity,
        ext: Vec::new(),
    }
}

/// Makes what fetches keys, if any are to be fetched.
fn fetching(settings: &Settings, issuers: &[settings::Issuer], metrics: &Arc<Metrics>) -> Fetching {
    let bounds = outbound::Bounds {
        timeout: settings.jwks_timeout,
        max_response: usize::try_from(settings.max_jwks_size.as_u64()).unwrap_or(usize::MAX),
        max_requests: MAX_FETCHES,
    };
    let are_there = |issuer: &settings::Issuer| matches!(issuer.jwks, Some(Jwks::There { .. }));
    let outbound = if issuers.iter().any(are_there) {
        let outbound = Outbound::new(bounds).map(Arc::new);
        outbound.map_err(|error| {
            format!("needs certificate authorities; install ca-certificates, or set SSL_CERT_FILE: {error}")
        })
    } else {
        Err("is not fetched".to_owned())
    };
    Fetching {
        bounds: Bounds {
            max_age: settings.jwks_max_age,
            max_stale: settings.jwks_max_stale,
            min_interval: settings.jwks_min_interval,
            max_keys: settings.max_jwks_keys,
        },
        outbound,
        metrics: Arc::clone(metrics),
    }
}

/// A token that is refused, and whose keys might help if they were fetched.
#[derive(Debug)]
struct Refused {
    fault: Fault,
    may_help: Vec<Arc<Remote>>,
}

impl Refused {
    /// Returns why, and when it may be otherwise: when keys are fetched next that may be the ones.
    fn before_fetch(self) -> Fault {
        let next = self.may_help.iter().map(|remote| remote.next_fetch()).min();
        match next {
            Some(next) => self.fault.retry_after(next),
            None => self.fault,
        }
    }

    /// The same, with keys that have just been fetched if they could be.
    fn after_fetch(self) -> Fault {
        if self.fault.error == BayeuxError::TokenKeysUnavailable {
            return self.before_fetch();
        }
        self.fault
    }
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            may_help: Vec::new(),
        }
    }
}

impl Inner {
    fn check(&self, text: &str, now: SystemTime) -> Result<Arc<Identity>, Refused> {
        if text.len() as u64 > self.max_length {
            self.metrics.limited(Limit::MaxTokenLength);
            return Err(Fault::from(BayeuxError::TokenTooLong).into());
        }
        if let Some(entry) = self.checked.find(text) {
            let (generation, keys) = self.issuers[entry.issuer].keys();
            let has_key = keys.is_some() && generation == entry.generation;
            let expires = entry.identity.expires;
            if has_key && expires.is_none_or(|expires| expires > now) {
                return Ok(entry.identity);
            }
            self.checked.remove(text);
        }
        let token = Token::parse(text)?;
        let signer = self.signer(&token)?;
        let wanted = &self.issuers[signer.issuer].wanted;
        let identity = Arc::new(wanted.identity(&token.claims, now)?);
        let entry = Entry {
            identity: Arc::clone(&identity),
            issuer: signer.issuer,
            generation: signer.generation,
        };
        self.checked.insert(text, entry);
        Ok(identity)
    }

    /// Finds who has signed a token.
    fn signer(&self, token: &Token<'_>) -> Result<Signer, Refused> {
        let iss = match token.claims.get("iss") {
            None => None,
            Some(Value::String(iss)) => Some(iss.as_str()),
            Some(_) => {
                let fault = Fault::from(BayeuxError::TokenClaimInvalid);
                return Err(fault.because("iss").into());
            }
        };
        let mut refused = Refused::from(Fault::from(BayeuxError::TokenIssuerUnknown));
        let numbered = self.issuers.iter().enumerate();
        for (issuer, candidate) in numbered.filter(|(_, issuer)| issuer.issues(iss)) {
            let (generation, keys) = candidate.keys();
            let signed = keys.as_ref().map_or_else(
                || Err(BayeuxError::TokenKeysUnavailable),
                |keys| keys.signer(token),
            );
            match signed {
                Ok(key) => {
                    return Ok(Signer {
                        issuer,
                        generation,
                        kid: key.kid.clone(),
                    });
                }
                Err(error) => {
                    // Without a name a new key cannot be told from a wrong one.
                    let is_missing = token.kid.is_none()
                        || matches!(
                            error,
                            BayeuxError::TokenKeysUnavailable | BayeuxError::TokenKeyUnknown
                        );
                    let remote = candidate.remote().filter(|_| is_missing);
                    refused.may_help.extend(remote.cloned());
                    if nearness(error) > nearness(refused.fault.error) {
                        refused.fault = error.into();
                    }
                }
            }
        }
        Err(refused)
    }
}

/// Of several issuers that refuse a token, the one counts that came nearest to accepting it; but one whose
/// keys are missing may accept it yet.
fn nearness(error: BayeuxError) -> u8 {
    match error {
        BayeuxError::TokenKeysUnavailable => 4,
        BayeuxError::TokenSignatureInvalid => 3,
        BayeuxError::TokenAlgorithmDenied => 2,
        BayeuxError::TokenKeyUnknown => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
