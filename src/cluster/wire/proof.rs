//! How a request shows that its sender knows the secret.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cluster::node::NodeId;

/// The header in which it does.
pub(super) const HEADER: &str = "mirant-proof";

/// The secret that all nodes of a cluster know.
#[derive(Clone)]
pub struct Secret(hmac::Key);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// What a request says of itself, and proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    /// Who sends it, and to whom.
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    /// When, in seconds since 1970.
    pub(super) time: u64,
    /// In which series, of one connection: random.
    pub(super) series: u128,
    /// Which of the series it is. Numbers grow.
    pub(super) number: u64,
}

impl Secret {
    /// Takes the secret's bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the header that proves a claim of a request to a path.
    pub(super) fn prove(&self, path: &str, claim: &Claim) -> String {
        let claim = claim.to_string();
        let tag = hmac::sign(&self.0, signed(path, &claim).as_bytes());
        format!("{claim} {}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns what a request claims, if its header proves it.
    pub(super) fn verify(&self, path: &str, header: &str) -> Option<Claim> {
        let (claim, tag) = header.rsplit_once(' ')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        hmac::verify(&self.0, signed(path, claim).as_bytes(), &tag).ok()?;
        claim.parse().ok()
    }
}

fn signed(path: &str, claim: &str) -> String {
    format!("mirant 1\nPOST\n{path}\n{claim}")
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            time,
            series,
            number,
        } = self;
        write!(f, "{from} {to} {time} {series:032x} {number}")
    }
}

impl FromStr for Claim {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut next = || words.next().ok_or(());
        let claim = Self {
            from: next()?.parse().map_err(|_| ())?,
            to: next()?.parse().map_err(|_| ())?,
            time: next()?.parse().map_err(|_| ())?,
            series: u128::from_str_radix(next()?, 16).map_err(|_| ())?,
            number: next()?.parse().map_err(|_| ())?,
        };
        words.next().is_none().then_some(claim).ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIM: Claim = Claim {
        from: NodeId(0xdead_beef),
        to: NodeId(7),
        time: 1_800_000_000,
        series: 1 << 100,
        number: 3,
    };

    #[test]
    fn only_what_is_said_with_the_secret_is_proven() {
        let secret = Secret::new(b"a secret");
        let header = secret.prove("/pass", &CLAIM);
        assert_eq!(secret.verify("/pass", &header), Some(CLAIM));
        assert_eq!(secret.verify("/call/take", &header), None);
        assert_eq!(Secret::new(b"another").verify("/pass", &header), None);
        let forged = [
            header.replace("deadbeef", "deadbeee"),
            header.replace("00000007", "00000008"),
            header.replace("1800000000", "1800000001"),
            header.replace(" 3 ", " 4 "),
            header[..header.len() - 1].to_owned(),
            CLAIM.to_string(),
            String::new(),
        ];
        for forged in forged {
            assert_ne!(forged, header);
            assert_eq!(secret.verify("/pass", &forged), None, "{forged}");
        }
        assert!(!format!("{secret:?}").contains("a secret"));
    }
}
