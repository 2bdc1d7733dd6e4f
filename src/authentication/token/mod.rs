//! Tokens (JWT): who issued one, whether it is genuine, and what it says of its bearer.
//!
//! A token is checked against the issuers that its `iss` may mean. The algorithm belongs to the key: a
//! token that names another is refused, and what it says otherwise is looked at only once a key of its
//! issuer has signed it.

mod checked;
mod claims;
mod issuer;
mod key;
mod keys;
mod parse;
pub mod settings;

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::{Check, Fault, Known, Problem};
use crate::access::Identity;
use crate::bayeux::{BayeuxError, Limits};
use checked::{Checked, Entry};
use claims::Wanted;
use issuer::Issuer;
use parse::Token;
pub use settings::Settings;

/// Checks tokens. A copy is the same.
#[derive(Debug, Clone)]
pub struct Tokens(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_length: u64,
    issuers: Vec<Issuer>,
    checked: Checked,
}

impl Tokens {
    /// Reads the keys of all issuers.
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
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = settings::problems(issuers);
        let mut compiled = Vec::new();
        if problems.is_empty() {
            for (index, issuer) in issuers.iter().enumerate() {
                let wanted = Wanted::new(issuer, claims, settings.max_token_claims, limits);
                match Issuer::new(issuer, wanted) {
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
            issuers: compiled,
            checked: Checked::new(settings.max_checked_tokens),
        })))
    }

    /// Tells whether there is no issuer, so that no token is any good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.issuers.is_empty()
    }

    /// Finds who shows a token.
    #[must_use]
    pub fn check(&self, token: &str, now: SystemTime) -> Check {
        let outcome = self.0.check(token, now);
        Check::Done(outcome.map(|identity| Known {
            identity,
            ext: Vec::new(),
        }))
    }
}

impl Inner {
    fn check(&self, text: &str, now: SystemTime) -> Result<Arc<Identity>, Fault> {
        if text.len() as u64 > self.max_length {
            return Err(BayeuxError::TokenTooLong.into());
        }
        if let Some(entry) = self.checked.find(text) {
            let has_key = self.issuers[entry.issuer].keys().0 == entry.generation;
            let expires = entry.identity.expires;
            if has_key && expires.is_none_or(|expires| expires > now) {
                return Ok(entry.identity);
            }
            self.checked.remove(text);
        }
        let token = Token::parse(text)?;
        let (issuer, generation) = self.issuer(&token)?;
        let identity = self.issuers[issuer].wanted.identity(&token.claims, now)?;
        let identity = Arc::new(identity);
        let entry = Entry {
            identity: Arc::clone(&identity),
            issuer,
            generation,
        };
        self.checked.insert(text, entry);
        Ok(identity)
    }

    /// Finds the issuer that has signed a token, and the generation of its keys.
    fn issuer(&self, token: &Token<'_>) -> Result<(usize, u64), Fault> {
        let iss = match token.claims.get("iss") {
            None => None,
            Some(Value::String(iss)) => Some(iss.as_str()),
            Some(_) => return Err(Fault::from(BayeuxError::TokenClaimInvalid).because("iss")),
        };
        let mut nearest = Fault::from(BayeuxError::TokenIssuerUnknown);
        for (index, issuer) in self.issuers.iter().enumerate() {
            if !issuer.issues(iss) {
                continue;
            }
            let (generation, keys) = issuer.keys();
            match keys.signer(token) {
                Ok(_) => return Ok((index, generation)),
                Err(fault) if nearness(&fault) > nearness(&nearest) => nearest = fault,
                Err(_) => {}
            }
        }
        Err(nearest)
    }
}

/// Of several issuers that refuse a token, the one counts that came nearest to accepting it.
fn nearness(fault: &Fault) -> u8 {
    match fault.error {
        BayeuxError::TokenSignatureInvalid => 3,
        BayeuxError::TokenAlgorithmDenied => 2,
        BayeuxError::TokenKeyUnknown => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests;
