//! The `[[admin.user]]` entries as an operator writes them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::authentication::api_keys::Permission;

/// One `[[admin.user]]` entry.
#[derive(Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// The name; every entry has one.
    pub name: String,
    /// The hash of the password, as `mirant hash-password` prints it.
    pub password_hash: String,
    /// What the user may do, as a key with the same.
    pub allow: Vec<Permission>,
    /// The channels for which that is so: channels and patterns.
    pub channels: Vec<String>,
}

impl Default for User {
    fn default() -> Self {
        Self {
            name: String::new(),
            password_hash: String::new(),
            allow: Vec::new(),
            channels: vec!["/**".to_owned()],
        }
    }
}

/// Hashes are kept out of what is logged.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("allow", &self.allow)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}
