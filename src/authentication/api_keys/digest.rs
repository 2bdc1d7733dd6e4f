//! What is kept of a key: its SHA-256. A key is random, so nothing slower is needed to hide it.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{constant_time, digest};

const PREFIX: &str = "sha256:";
const LENGTH: usize = digest::SHA256_OUTPUT_LEN;

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; LENGTH]);

impl Digest {
    /// Makes that of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        let made = digest::digest(&digest::SHA256, key);
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(made.as_ref());
        Self(bytes)
    }

    /// Tells whether they are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

/// As it stands in the configuration.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FIX: &str =
            "must be \"sha256:\" and 64 hexadecimal digits, as `mirant api-key` prints it";
        let digits = text.strip_prefix(PREFIX).ok_or(FIX)?.as_bytes();
        if digits.len() != 2 * LENGTH {
            return Err(FIX);
        }
        let mut bytes = [0; LENGTH];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(FIX);
            let value = digit(pair[0])? << 4 | digit(pair[1])?;
            *byte = u8::try_from(value).map_err(|_| FIX)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `printf %s abc | sha256sum` prints.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn it_is_written_as_it_is_read() {
        let abc = Digest::of(b"abc");
        assert_eq!(abc.to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(abc));
        assert_eq!(ABC.to_uppercase().replace("SHA", "sha").parse(), Ok(abc));
        assert!(abc.is(&Digest::of(b"abc")) && !abc.is(&Digest::of(b"abd")));
        for wrong in [
            "",
            "abc",
            &ABC[7..],
            &ABC[..70],
            &ABC.replace('b', "g"),
            &ABC.replace('b', "é"),
        ] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }
}
