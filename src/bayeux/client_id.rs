//! Identifiers nobody can guess: 128 random bits, written with letters and digits only.

use std::fmt;
use std::str::FromStr;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 22;

/// 128 random bits, written as exactly 22 letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RandomId(u128);

impl RandomId {
    /// Makes an identifier of bytes from a cryptographic random source.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// Returns 64 of the random bits, as good a hash as any.
    #[must_use]
    pub fn hash_bits(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [b'0'; LENGTH];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = DIGITS[usize::try_from(rest % 62).expect("a remainder of 62 fits")];
            rest /= 62;
        }
        f.write_str(std::str::from_utf8(&text).expect("the digits are ASCII"))
    }
}

impl fmt::Debug for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an identifier this server can have made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of this server")]
pub struct NotAnId;

impl FromStr for RandomId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != LENGTH {
            return Err(NotAnId);
        }
        text.bytes()
            .try_fold(0u128, |value, byte| {
                let digit = DIGITS.binary_search(&byte).ok()?;
                value.checked_mul(62)?.checked_add(digit as u128)
            })
            .map(Self)
            .ok_or(NotAnId)
    }
}

/// The identifier of a session, known to its client and to nobody else (section 3.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientId(pub RandomId);

impl std::hash::Hash for ClientId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash_bits());
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ClientId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_22_letters_and_digits_and_reads_back() {
        for bytes in [[0; 16], [0xff; 16], [7; 16], *b"0123456789abcdef"] {
            let id = RandomId::from_random(bytes);
            let text = id.to_string();
            assert_eq!(text.len(), 22);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "0",
            "zzzzzzzzzzzzzzzzzzzzzz",
            "0000000000000000000000000",
            "00000000000000000000-0",
            "000000000000000000000é",
        ] {
            assert_eq!(text.parse::<ClientId>(), Err(NotAnId), "{text}");
        }
    }
}
