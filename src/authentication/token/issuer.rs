//! One issuer of tokens, with its keys.

use std::sync::Arc;

use jsonwebtoken::EncodingKey;

use super::claims::Wanted;
use super::key::Key;
use super::keys::Keys;
use super::settings::{self, Jwks};

/// A compiled [`settings::Issuer`].
#[derive(Debug)]
pub(super) struct Issuer {
    /// What its tokens say in `iss`.
    iss: Option<String>,
    keys: Arc<Keys>,
    /// What is looked for in its tokens.
    pub(super) wanted: Wanted,
}

impl Issuer {
    /// Reads the keys of an issuer.
    ///
    /// # Errors
    /// The key of the configuration that is wrong, and what about it.
    pub(super) fn new(
        settings: &settings::Issuer,
        wanted: Wanted,
    ) -> Result<Self, (&'static str, String)> {
        let (name, keys) = match read(settings) {
            (name, Ok((keys, _))) => (name, keys),
            (name, Err(fix)) => return Err((name, fix)),
        };
        let mut keys = keys;
        if !settings.algorithms.is_empty() && !keys.narrow(&settings.algorithms) {
            let fix =
                format!("the key of {name} is for none of these; leave it out for all it is for");
            return Err(("algorithms", fix));
        }
        Ok(Self {
            iss: settings.iss.clone(),
            keys: Arc::new(keys),
            wanted,
        })
    }

    /// Tells whether tokens that say this in `iss` may be its own.
    pub(super) fn issues(&self, iss: Option<&str>) -> bool {
        self.iss.is_none() || self.iss.as_deref() == iss
    }

    /// Returns the keys that it has now, and their generation, which differs from any before.
    pub(super) fn keys(&self) -> (u64, Arc<Keys>) {
        (0, Arc::clone(&self.keys))
    }
}

/// Reads the keys that an entry names, with the one that signs if there is one.
fn read(
    settings: &settings::Issuer,
) -> (&'static str, Result<(Keys, Option<EncodingKey>), String>) {
    let (name, keys) = if let Some(source) = &settings.secret {
        let secret = |bytes: Vec<u8>| {
            let signs = EncodingKey::from_secret(&bytes);
            Key::secret(&bytes).map(|key| (Keys::one(key), Some(signs)))
        };
        ("secret", source.read().and_then(secret))
    } else if let Some(source) = &settings.private_key {
        let private = |bytes: Vec<u8>| {
            let key = Key::private(&bytes);
            key.map(|(key, signs)| (Keys::one(key), Some(signs)))
        };
        ("private_key", source.read().and_then(private))
    } else if let Some(source) = &settings.public_key {
        let public = |bytes: Vec<u8>| Key::public(&bytes).map(|key| (Keys::one(key), None));
        ("public_key", source.read().and_then(public))
    } else if let Some(Jwks::Here(source)) = &settings.jwks {
        let set = |bytes: Vec<u8>| Keys::parse(&bytes).map(|keys| (keys, None));
        ("jwks", source.read().and_then(set))
    } else {
        ("secret", Err("is missing".to_owned()))
    };
    let named = keys.map(|(mut keys, signs)| {
        if let Some(kid) = &settings.kid {
            keys.rename(kid);
        }
        (keys, signs)
    });
    (name, named)
}
