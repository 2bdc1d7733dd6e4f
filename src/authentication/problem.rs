//! What is wrong with settings of who clients are.

use std::fmt;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The full key, such as `user[0].name`.
    pub key: String,
    /// The value as it would stand in a file; of a secret only that there is one.
    pub value: String,
    /// What to write instead.
    pub fix: String,
}

impl Problem {
    /// Says what to write instead of a value.
    #[must_use]
    pub fn new(key: impl Into<String>, value: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, fix } = self;
        write!(f, "{key} = {value}: {fix}")
    }
}
