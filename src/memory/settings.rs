//! What an operator sets about memory.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::machine;

/// Below it a server refuses its first clients.
pub const MIN_BUDGET: u64 = 16 * 1024 * 1024;
/// The budget where a share was asked for, and the system does not say of what.
const UNKNOWN: u64 = 1024 * 1024 * 1024;

/// The bounds of what all clients together make grow.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Settings {
    /// How much that may be.
    pub budget: Amount,
}

/// An amount of memory: a size, or a share of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "String")]
pub enum Amount {
    /// So many bytes.
    Size(ByteSize),
    /// So many percent of the machine's memory, or of the control group's limit if that is smaller.
    Percent(u8),
}

impl Default for Amount {
    fn default() -> Self {
        Self::Percent(60)
    }
}

impl Amount {
    /// Returns how many bytes that is on this machine.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.of(machine::memory(Path::new("/")))
    }

    fn of(self, memory: Option<u64>) -> u64 {
        match (self, memory) {
            (Self::Size(size), _) => size.as_u64(),
            (Self::Percent(_), None) => UNKNOWN,
            (Self::Percent(percent), Some(memory)) => {
                let share = memory / 100 * u64::from(percent);
                share.max(MIN_BUDGET)
            }
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => write!(f, "{size}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A text is no amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a size such as \"512MiB\", or a share such as \"60%\"")]
pub struct NotAnAmount;

impl FromStr for Amount {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim().parse().map_err(|_| NotAnAmount)?;
            return match percent {
                1..=100 => Ok(Self::Percent(percent)),
                _ => Err(NotAnAmount),
            };
        }
        text.parse().map(Self::Size).map_err(|_| NotAnAmount)
    }
}

impl From<Amount> for String {
    fn from(amount: Amount) -> Self {
        amount.to_string()
    }
}

/// An amount as it stands in a file: a number of bytes, or a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Text(String),
}

impl TryFrom<Written> for Amount {
    type Error = NotAnAmount;

    fn try_from(written: Written) -> Result<Self, NotAnAmount> {
        match written {
            Written::Bytes(bytes) => Ok(Self::Size(ByteSize(bytes))),
            Written::Text(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_size_or_a_share() {
        let mib = 1024 * 1024;
        for (text, memory, bytes) in [
            ("64MiB", None, Some(64 * mib)),
            ("1000", Some(5), Some(1000)),
            ("50%", Some(1000 * mib), Some(1000 * mib / 100 * 50)),
            ("100%", None, Some(UNKNOWN)),
            // Less is of no use.
            ("1%", Some(100 * mib), Some(MIN_BUDGET)),
            ("0%", None, None),
            ("101%", None, None),
            ("%", None, None),
            ("much", None, None),
            ("-1", None, None),
        ] {
            let amount: Result<Amount, _> = text.parse();
            assert_eq!(amount.ok().map(|amount| amount.of(memory)), bytes, "{text}");
        }
    }
}
