//! Identifiers nobody can guess: 128 random bits, written with letters and digits only.

use std::fmt;
use std::str::FromStr;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const LENGTH: usize = 22;
/// How many digits logs show.
const SHOWN: usize = 6;

/// As many digits as one `u64` holds, and what they count to. Every request names two identifiers:
/// they are read ten digits at a time, and not with one multiplication of 128 bits for each.
const GROUP: usize = 10;
const GROUP_VALUE: u64 = 62u64.pow(10);

/// What each byte is worth as a digit; of other bytes, more than any digit.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        #[allow(clippy::cast_possible_truncation, reason = "there are 62 digits")]
        let value = digit as u8;
        values[DIGITS[digit] as usize] = value;
        digit += 1;
    }
    values
};

/// Reads at most ten digits.
fn read_group(digits: &[u8]) -> Option<u64> {
    let (mut group, mut all) = (0u64, 0);
    for byte in digits {
        let digit = VALUES[usize::from(*byte)];
        all |= digit;
        group = group * 62 + u64::from(digit);
    }
    // No digit has the highest bit, and ten of what is none do not overflow.
    (all < 0x80).then_some(group)
}

/// Writes as many digits as there are places.
fn write_group(mut group: u64, places: &mut [u8]) {
    for place in places.iter_mut().rev() {
        *place = DIGITS[usize::try_from(group % 62).expect("a remainder of 62 fits")];
        group /= 62;
    }
}

/// 128 random bits, written as exactly 22 letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RandomId(u128);

impl RandomId {
    /// Makes an identifier of bytes from a cryptographic random source.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// Makes an identifier that tells who made it, by 32 bits; the others are of a cryptographic random source.
    #[must_use]
    pub fn marked(mut random: [u8; 16], mark: u32) -> Self {
        let [.., a, b, c, d] = &mut random;
        [*a, *b, *c, *d] = mark.to_le_bytes();
        Self::from_random(random)
    }

    /// Returns who made it, if identifiers tell that; else random bits.
    #[must_use]
    pub fn mark(self) -> u32 {
        let [.., a, b, c, d] = self.0.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    /// Returns the bytes that it is made of.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Returns 64 of the random bits, as good a hash as any.
    #[must_use]
    pub fn hash_bits(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl RandomId {
    fn digits(self) -> [u8; LENGTH] {
        let mut text = [b'0'; LENGTH];
        let mut rest = self.0;
        for places in text.rchunks_mut(GROUP) {
            let group = rest % u128::from(GROUP_VALUE);
            write_group(u64::try_from(group).expect("a remainder fits"), places);
            rest /= u128::from(GROUP_VALUE);
        }
        text
    }
}

impl fmt::Display for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).expect("the digits are ASCII"))
    }
}

/// Shows the beginning only, as logs do: who has the whole may use the session.
impl fmt::Debug for RandomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let shown = std::str::from_utf8(&digits[..SHOWN]).expect("the digits are ASCII");
        write!(f, "{shown}...")
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
        let (first, rest) = text.as_bytes().split_at(LENGTH - 2 * GROUP);
        let groups = [first, &rest[..GROUP], &rest[GROUP..]];
        groups
            .into_iter()
            .try_fold(0u128, |value, digits| {
                let group = u128::from(read_group(digits)?);
                value.checked_mul(GROUP_VALUE.into())?.checked_add(group)
            })
            .map(Self)
            .ok_or(NotAnId)
    }
}

impl std::hash::Hash for RandomId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_bits());
    }
}

/// The identifier of a session, known to its client and to nobody else (section 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub RandomId);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
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
        let one = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        for bytes in [[0; 16], one, [0xff; 16], [7; 16], *b"0123456789abcdef"] {
            let id = RandomId::from_random(bytes);
            let text = id.to_string();
            assert_eq!(text.len(), 22);
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert_eq!(text.parse(), Ok(id));
        }
    }

    #[test]
    fn an_id_may_tell_who_made_it() {
        let id = RandomId::marked([7; 16], 0xdead_beef);
        assert_eq!(id.mark(), 0xdead_beef);
        assert_eq!(id.hash_bits(), RandomId::from_random([7; 16]).hash_bits());
    }

    #[test]
    fn logs_show_the_beginning_only() {
        let id = ClientId(RandomId(u128::MAX));
        assert_eq!(format!("{id:?} {:?}", id.0), "7n42DG... 7n42DG...");
        assert_eq!(format!("{id}"), "7n42DGM5Tflk9n8mt7Fhc7");
    }

    #[test]
    fn digits_count_from_the_right() {
        let texts = [
            ("0000000000000000000000", 0),
            ("000000000000000000000z", 61),
            ("0000000000000000000010", 62),
            ("0000000000010000000000", 62u128.pow(10)),
            ("0100000000000000000000", 62u128.pow(20)),
            ("7n42DGM5Tflk9n8mt7Fhc7", u128::MAX),
        ];
        for (text, value) in texts {
            let id = RandomId(value);
            assert_eq!((id.to_string().as_str(), text.parse()), (text, Ok(id)));
        }
        assert_eq!("7n42DGM5Tflk9n8mt7Fhc8".parse::<RandomId>(), Err(NotAnId));
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
