//! What can be wrong with a configuration, in the words an operator reads.

use std::fmt;
use std::io;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {name}")]
    Read {
        /// The file's name.
        name: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{name}:{line}:{column}: {message}")]
    Syntax {
        /// The file's name.
        name: String,
        /// The line of the mistake, from 1.
        line: usize,
        /// The column of the mistake in characters, from 1.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// Keys or values are wrong; each line names its source and key.
    #[error("{}", listed(.0))]
    Invalid(Vec<String>),
}

/// A value that was understood but does not make sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The full key, such as `bayeux.path` or `channel[0].pattern`.
    pub key: String,
    /// The value as it would stand in a file.
    pub value: String,
    /// What to write instead.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.key, self.value, self.fix)
    }
}

/// Renders one problem as its line, several below a heading.
fn listed(problems: &[String]) -> String {
    match problems {
        [only] => only.clone(),
        many => {
            let heading = format!("the configuration has {} problems:", many.len());
            many.iter()
                .fold(heading, |text, problem| text + "\n  " + problem)
        }
    }
}
