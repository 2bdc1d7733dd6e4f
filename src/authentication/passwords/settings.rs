//! The `[[user]]` entries, and what bounds the checks of their passwords.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, de};

/// Bounds of password checks: keys of `[authentication]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// How many passwords are checked at once.
    pub max_password_checks: usize,
    /// The memory that the check of one may take.
    pub max_password_memory: ByteSize,
    /// The length of a password in bytes.
    pub max_password_length: usize,
    /// How often a password may be wrong before further ones have to wait: of a user from an address. Of an
    /// address, and of a user, ten times as often.
    pub wrong_passwords: u32,
    /// The longest wait.
    #[serde(with = "humantime_serde")]
    pub max_password_delay: Duration,
    /// How many users, addresses and pairs of them are remembered for their wrong passwords.
    pub max_wrong_passwords: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_password_checks: 2,
            max_password_memory: ByteSize::mib(64),
            max_password_length: 256,
            wrong_passwords: 5,
            max_password_delay: Duration::from_secs(60),
            max_wrong_passwords: 100_000,
        }
    }
}

/// One `[[user]]` entry.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The name; every entry has one.
    pub name: String,
    /// The hash of the password, as `mirant hash-password` prints it.
    pub password_hash: String,
    /// The roles.
    pub roles: Vec<String>,
    /// What else is known, by name.
    #[serde(deserialize_with = "claims")]
    pub claims: BTreeMap<String, Claim>,
}

/// Hashes are kept out of what is logged.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// The values of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Claim {
    /// This one.
    One(String),
    /// Any of these.
    Many(Vec<String>),
}

impl Claim {
    /// Returns all of them.
    #[must_use]
    pub fn values(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

fn claims<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Claim>, D::Error> {
    BTreeMap::deserialize(deserializer).map_err(|_| {
        de::Error::custom(
            "expected a table of texts, or of lists of texts, such as { org = \"acme\" }",
        )
    })
}
