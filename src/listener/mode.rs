//! Who may connect to a Unix socket, as the mode of its file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who may connect, as the permissions of the file: whoever may write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

/// Why a text is not a mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the permissions of a file in octal, from \"0000\" to \"0777\"")]
pub struct NotAMode;

impl Mode {
    /// The server's user and group, so also a proxy that is of that group.
    pub(super) const GROUP: Self = Self(0o660);

    /// Returns it as the kernel takes it.
    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

impl FromStr for Mode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        let is_octal = text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(mode @ ..=0o777) if is_octal && (3..=4).contains(&text.len()) => Ok(Self(mode)),
            _ => Err(NotAMode),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal() {
        for (text, mode, shown) in [
            ("0660", 0o660, "0660"),
            ("600", 0o600, "0600"),
            ("0777", 0o777, "0777"),
            ("000", 0, "0000"),
        ] {
            assert_eq!(text.parse(), Ok(Mode(mode)), "{text}");
            assert_eq!(Mode(mode).to_string(), shown);
        }
        for text in [
            "",
            "66",
            "0o660",
            "+660",
            "1777",
            "0888",
            "00660",
            "rw-rw----",
        ] {
            assert_eq!(text.parse::<Mode>(), Err(NotAMode), "{text}");
        }
    }
}
