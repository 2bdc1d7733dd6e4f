//! Whether there is an access log, where, and of what form.

use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The keys of the `[log]` section that are about the access log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// Where a line is written for each request.
    pub access: Target,
    /// What a line looks like.
    pub access_format: Format,
    /// How many lines may wait to be written; above that they are left out, and counted.
    pub access_max_waiting: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access: Target::Off,
            access_format: Format::Combined,
            access_max_waiting: 10_000,
        }
    }
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To standard error, among the lines of the log.
    Stderr,
    /// To the end of a file, which is made if it is not there.
    File(PathBuf),
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The combined format of Apache and nginx, with the seconds that the request took and its purpose behind it.
    Combined,
    /// One JSON object.
    Json,
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "" | "off" => Self::Off,
            "stdout" => Self::Stdout,
            "stderr" => Self::Stderr,
            path => Self::File(path.into()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A word that is nearly one of those above is more likely a mistake than the name of a file.
impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let Ok(target) = text.parse();
        match &target {
            Self::File(path) if !path.is_absolute() => Err(format!(
                "log.access is off, stdout, stderr, or the absolute path of a file, not {text}"
            )),
            _ => Ok(target),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}
