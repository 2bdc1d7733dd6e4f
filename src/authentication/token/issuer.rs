//! One issuer of tokens, with its keys.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey};

use super::claims::Wanted;
use super::key::Key;
use super::keys::Keys;
use super::remote::{Bounds, Remote};
use super::settings::{self, Jwks};
use crate::metrics::Metrics;
use crate::outbound::{self, Outbound};

/// A compiled [`settings::Issuer`].
#[derive(Debug)]
pub(super) struct Issuer {
    /// What its tokens say in `iss`.
    pub(super) iss: Option<String>,
    source: Source,
    /// What signs its tokens, if that is known.
    signs: Option<EncodingKey>,
    /// What is looked for in its tokens.
    pub(super) wanted: Wanted,
}

#[derive(Debug)]
enum Source {
    Here(Arc<Keys>),
    There(Arc<Remote>),
}

/// What keys that are somewhere else are fetched with.
#[derive(Debug)]
pub(super) struct Fetching {
    pub(super) bounds: Bounds,
    /// What fetches them; or why nothing can.
    pub(super) outbound: Result<Arc<Outbound>, String>,
    pub(super) metrics: Arc<Metrics>,
}

impl Issuer {
    /// Reads the keys of an issuer, or says where they are fetched.
    ///
    /// # Errors
    /// The key of the configuration that is wrong, and what about it.
    pub(super) fn new(
        settings: &settings::Issuer,
        wanted: Wanted,
        fetching: &Fetching,
    ) -> Result<Self, (&'static str, String)> {
        let (source, signs) = if let Some(Jwks::There { url }) = &settings.jwks {
            let remote = remote(url, settings, fetching).map_err(|fix| ("jwks", fix))?;
            (Source::There(Arc::new(remote)), None)
        } else {
            let (name, read) = read(settings, fetching.bounds.max_keys);
            let (mut keys, signs) = read.map_err(|fix| (name, fix))?;
            if let Some(kid) = &settings.kid {
                keys.rename(kid);
            }
            if !settings.algorithms.is_empty() && !keys.narrow(&settings.algorithms) {
                let fix = "its key is for none of these; leave it out for all that it is for";
                return Err(("algorithms", fix.to_owned()));
            }
            (Source::Here(Arc::new(keys)), signs)
        };
        Ok(Self {
            iss: settings.iss.clone(),
            source,
            signs,
            wanted,
        })
    }

    /// Tells whether tokens that say this in `iss` may be its own.
    pub(super) fn issues(&self, iss: Option<&str>) -> bool {
        self.iss.is_none() || self.iss.as_deref() == iss
    }

    /// Returns the keys that it has now, if they are known, and their generation, which differs from any
    /// before.
    pub(super) fn keys(&self) -> (u64, Option<Arc<Keys>>) {
        match &self.source {
            Source::Here(keys) => (0, Some(Arc::clone(keys))),
            Source::There(remote) => remote.keys(),
        }
    }

    /// Returns what signs its tokens if that is known, with the algorithm and the name of the key.
    pub(super) fn signer(&self) -> Option<(&EncodingKey, Algorithm, Option<String>)> {
        let signs = self.signs.as_ref()?;
        let (_, keys) = self.keys();
        let (algorithm, kid) = keys?.first()?;
        Some((signs, algorithm, kid))
    }

    /// Returns where its keys are fetched, if they are.
    pub(super) fn remote(&self) -> Option<&Arc<Remote>> {
        match &self.source {
            Source::Here(_) => None,
            Source::There(remote) => Some(remote),
        }
    }
}

fn remote(url: &str, settings: &settings::Issuer, fetching: &Fetching) -> Result<Remote, String> {
    let url = outbound::url(url)?;
    let outbound = fetching.outbound.as_ref().map_err(Clone::clone)?;
    let (algorithms, bounds) = (&settings.algorithms, fetching.bounds);
    Ok(Remote::new(
        url,
        algorithms,
        bounds,
        outbound,
        &fetching.metrics,
    ))
}

/// Reads the keys that an entry names, with the one that signs if there is one.
fn read(
    settings: &settings::Issuer,
    max_keys: usize,
) -> (&'static str, Result<(Keys, Option<EncodingKey>), String>) {
    if let Some(source) = &settings.secret {
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
        let set = |bytes: Vec<u8>| Keys::parse(&bytes, max_keys).map(|keys| (keys, None));
        ("jwks", source.read().and_then(set))
    } else {
        ("secret", Err("is missing".to_owned()))
    }
}
