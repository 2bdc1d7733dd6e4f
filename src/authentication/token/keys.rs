//! The keys of an issuer.

use serde_json::Value;

use super::key::Key;
use super::parse::Token;
use crate::bayeux::BayeuxError;

/// Keys that are valid at the same time.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

impl Keys {
    pub(super) fn one(key: Key) -> Self {
        Self(vec![key])
    }

    /// Reads a JWK set, or one JWK alone. Keys that are not for signatures are passed over, and those of
    /// kinds that we do not know.
    ///
    /// # Errors
    /// It is neither, or has none or too many that can be used.
    pub(super) fn parse(json: &[u8], max: usize) -> Result<Self, String> {
        let json: Value = serde_json::from_slice(json)
            .map_err(|_| "must be a JWK or a JWK set, in JSON".to_owned())?;
        let listed = match json.get("keys") {
            Some(Value::Array(keys)) => keys.as_slice(),
            Some(_) => return Err("its \"keys\" must be a list".to_owned()),
            None => std::slice::from_ref(&json),
        };
        let keys: Vec<Key> = listed.iter().filter_map(Key::jwk).collect();
        if keys.is_empty() {
            return Err("has no key that can check signatures".to_owned());
        }
        if keys.len() > max {
            return Err(format!(
                "must have at most authentication.max_jwks_keys, {max}"
            ));
        }
        Ok(Self(keys))
    }

    /// Returns what the first is for, and its name.
    pub(super) fn first(&self) -> Option<(jsonwebtoken::Algorithm, Option<String>)> {
        let key = self.0.first()?;
        Some((*key.algorithms.first()?, key.kid.clone()))
    }

    /// Names all of them.
    pub(super) fn rename(&mut self, kid: &str) {
        for key in &mut self.0 {
            key.kid = Some(kid.to_owned());
        }
    }

    /// Takes secrets away. Returns whether there are others.
    pub(super) fn without_secrets(&mut self) -> bool {
        self.0.retain(|key| !key.is_secret());
        !self.0.is_empty()
    }

    /// Leaves each key only the algorithms that are among these. Returns whether any has one then.
    pub(super) fn narrow(&mut self, algorithms: &[jsonwebtoken::Algorithm]) -> bool {
        for key in &mut self.0 {
            key.algorithms.retain(|own| algorithms.contains(own));
        }
        self.0.retain(|key| !key.algorithms.is_empty());
        !self.0.is_empty()
    }

    /// Finds the key that has signed a token: of the name that the token gives, or one without a name. Of a
    /// token that gives none, all are tried.
    ///
    /// # Errors
    /// There is none of that name; or none for that algorithm; or none has signed it.
    pub(super) fn signer(&self, token: &Token<'_>) -> Result<&Key, BayeuxError> {
        let is_named = |key: &&Key| match (&token.kid, &key.kid) {
            (Some(wanted), Some(own)) => wanted == own,
            _ => true,
        };
        let mut named = self.0.iter().filter(is_named).peekable();
        if named.peek().is_none() {
            return Err(BayeuxError::TokenKeyUnknown);
        }
        let is_for = |key: &&Key| {
            let mut own = key.algorithms.iter();
            own.any(|own| Some(*own) == token.algorithm)
        };
        let mut fitting = named.filter(is_for).peekable();
        if fitting.peek().is_none() {
            return Err(BayeuxError::TokenAlgorithmDenied);
        }
        fitting
            .find(|key| key.signed(token))
            .ok_or(BayeuxError::TokenSignatureInvalid)
    }
}
