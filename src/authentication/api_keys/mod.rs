//! Keys of application servers: who shows one, and what that may be used for.
//!
//! The same key is for the HTTP API and for Bayeux clients, as which application servers may connect. Of a
//! key only its hash is kept.

mod digest;
mod rights;
pub mod settings;

use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Problem;
use crate::access::{Action, Grant, Identity};
use crate::bayeux::{ChannelPattern, Limits};
pub use digest::Digest;
pub use rights::Rights;
pub use settings::{Key, Permission};

/// What the keys begin with that `mirant api-key` makes.
pub const PREFIX: &str = "mirant_";
/// How many random bytes are in them.
const RANDOM: usize = 32;
/// How long a key has to be that somebody else has made, in bytes; fewer can be guessed.
const MIN_KEY: usize = 32;
/// How long a key may be, in bytes.
const MAX_KEY: usize = 1024;

/// All service channels, which the pattern of all channels includes.
const ALL_SERVICES: &str = "/service/**";
const ALL: &str = "/**";

/// A key that may be used.
#[derive(Debug)]
pub struct ApiKey {
    /// What it may be used for; its identity is that of a Bayeux client that shows it.
    pub rights: Arc<Rights>,
    digest: Digest,
    expires: Option<SystemTime>,
}

/// The keys of all application servers.
#[derive(Debug, Clone, Default)]
pub struct ApiKeys(Arc<[Arc<ApiKey>]>);

/// Why a key that is shown may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotValid {
    /// It is nobody's.
    Unknown,
    /// Its time is over.
    Expired,
}

impl ApiKeys {
    /// Reads the keys. Whoever shows one that allows calls has the role `calls_role`, if there is one.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(
        keys: &[Key],
        calls_role: Option<&str>,
        limits: &Limits,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = settings::problems(keys, limits);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut made: Vec<Arc<ApiKey>> = Vec::with_capacity(keys.len());
        for (index, key) in keys.iter().enumerate() {
            let digest = digest_of(key);
            let is_new = |digest: &Digest| made.iter().all(|other| !other.digest.is(digest));
            match digest {
                Ok(digest) if is_new(&digest) => {
                    made.push(Arc::new(ApiKey::new(key, digest, calls_role, limits)));
                }
                Ok(_) => problems.push(Problem::new(
                    format!("api.key[{index}]"),
                    "…",
                    "an earlier [[api.key]] has the same key",
                )),
                Err(fix) => problems.push(Problem::new(
                    format!("api.key[{index}].secret"),
                    serde_json::to_string(&key.secret).unwrap_or_default(),
                    fix,
                )),
            }
        }
        if problems.is_empty() {
            Ok(Self(made.into()))
        } else {
            Err(problems)
        }
    }

    /// Tells whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Finds the key that somebody shows. All of them are looked at, however early one fits.
    ///
    /// # Errors
    /// It is none, or not any more.
    pub fn find(&self, shown: &str, now: SystemTime) -> Result<&Arc<ApiKey>, NotValid> {
        if shown.len() > MAX_KEY || self.is_empty() {
            return Err(NotValid::Unknown);
        }
        let digest = Digest::of(shown.as_bytes());
        let fits = |found, key| {
            if ApiKey::has(key, &digest) {
                Some(key)
            } else {
                found
            }
        };
        let key = self.0.iter().fold(None, fits).ok_or(NotValid::Unknown)?;
        if key.expires.is_some_and(|expires| expires <= now) {
            return Err(NotValid::Expired);
        }
        Ok(key)
    }
}

impl ApiKey {
    fn new(key: &Key, digest: Digest, calls_role: Option<&str>, limits: &Limits) -> Self {
        let mut rights = Rights::new(settings::LIST, &key.name, &key.allow, &key.channels, limits);
        rights.identity = Arc::new(Identity {
            user: key.name.clone(),
            roles: calls_role
                .filter(|_| rights.allows(Permission::Calls))
                .map(str::to_owned)
                .into_iter()
                .collect(),
            claims: Vec::new(),
            grants: grants(&rights, limits),
            expires: key.expires,
        });
        Self {
            rights: Arc::new(rights),
            digest,
            expires: key.expires,
        }
    }

    fn has(self: &Arc<Self>, digest: &Digest) -> bool {
        self.digest.is(digest)
    }
}

/// Returns what a Bayeux client may do that shows a key with these rights, where no access rule decides.
fn grants(rights: &Rights, limits: &Limits) -> Vec<Grant> {
    let mut grants = vec![Grant {
        actions: vec![Action::Handshake],
        channels: Vec::new(),
    }];
    let mut grant = |actions: &[Action], channels: Vec<ChannelPattern>| {
        if !channels.is_empty() {
            let actions = actions.to_vec();
            grants.push(Grant { actions, channels });
        }
    };
    if rights.allows(Permission::Publish) {
        grant(&[Action::Publish], rights.channels().to_vec());
    }
    if rights.allows(Permission::Read) {
        grant(&[Action::Subscribe], rights.channels().to_vec());
    }
    if rights.allows(Permission::Calls) {
        let services = rights
            .channels()
            .iter()
            .filter_map(|pattern| match pattern.as_str() {
                ALL => ChannelPattern::parse(ALL_SERVICES, limits).ok(),
                text => text.starts_with("/service/").then(|| pattern.clone()),
            });
        grant(&[Action::Subscribe, Action::Publish], services.collect());
    }
    grants
}

/// Makes a key.
#[must_use]
pub fn make() -> String {
    let mut bytes = [0; RANDOM];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Tells why a text cannot be a key: it has to go into a header, and must not be guessed.
#[must_use]
pub fn key_fix(key: &[u8]) -> Option<String> {
    if key.len() < MIN_KEY {
        Some(format!(
            "a key must be at least {MIN_KEY} bytes, such as `mirant api-key` makes"
        ))
    } else if key.len() > MAX_KEY {
        Some(format!("a key must be at most {MAX_KEY} bytes"))
    } else if !key.iter().all(u8::is_ascii_graphic) {
        Some("a key must be of visible ASCII characters, without spaces".to_owned())
    } else {
        None
    }
}

fn digest_of(key: &Key) -> Result<Digest, String> {
    match (&key.hash, &key.secret) {
        (Some(hash), _) => hash.parse().map_err(str::to_owned),
        (None, Some(secret)) => {
            let bytes = secret.read()?;
            match key_fix(&bytes) {
                None => Ok(Digest::of(&bytes)),
                Some(fix) => Err(fix),
            }
        }
        (None, None) => Err("is missing".to_owned()),
    }
}

#[cfg(test)]
mod tests;
