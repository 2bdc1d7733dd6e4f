//! How a request, and an answer, show that their senders know the secret, and that nobody has changed what they say.
//!
//! What is signed is what is said whole: a call, a request that is passed on, the answer to one. The single bytes behind
//! these (`inbox.rs`) are not: whoever can write into a connection can also break it, which says as much.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::HeaderValue;

use super::inbox::Counted;
use crate::cluster::node::NodeId;

/// The header in which it does.
pub(super) const HEADER: &str = "mirant-proof";

/// A digest of what is said: SHA-256.
pub(super) type Digest = [u8; 32];

/// Returns the digest of what is said.
pub(super) fn digest_of(said: &[u8]) -> Digest {
    let digest = digest::digest(&digest::SHA256, said);
    let digest = digest.as_ref().try_into();
    digest.expect("SHA-256 has 32 bytes")
}

/// The secret that all nodes of a cluster know.
#[derive(Clone)]
pub struct Secret(Arc<hmac::Key>);

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
    /// What it says.
    pub(super) said: Digest,
}

/// What shows that an answer is that of the node which was asked, to just this request.
#[derive(Debug)]
pub(super) struct Signature {
    secret: Secret,
    /// What the request showed.
    request: HeaderValue,
    /// What the answer shows.
    answer: Option<HeaderValue>,
}

impl Signature {
    pub(super) fn new(secret: &Secret, request: HeaderValue, answer: Option<&HeaderValue>) -> Self {
        Self {
            secret: secret.clone(),
            request,
            answer: answer.cloned(),
        }
    }

    /// Returns what was said, if it was said by the node.
    pub(super) fn checked(&self, said: Option<Counted>) -> Option<Bytes> {
        let (said, _) = said?;
        self.holds(&said).then_some(said)
    }

    pub(super) fn holds(&self, said: &[u8]) -> bool {
        let shown = self.answer.as_ref().and_then(|tag| tag.to_str().ok());
        let tag = shown.and_then(|tag| URL_SAFE_NO_PAD.decode(tag).ok());
        let signed = signed_answer(&self.request, said);
        tag.is_some_and(|tag| hmac::verify(&self.secret.0, &signed, &tag).is_ok())
    }
}

impl Secret {
    /// Takes the secret's bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, bytes)))
    }

    /// Returns the header that proves a claim of a request to a path.
    pub(super) fn prove(&self, path: &str, claim: &Claim) -> String {
        let claim = claim.to_string();
        let tag = hmac::sign(&self.0, signed(path, &claim).as_bytes());
        format!("{claim} {}", URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns the header of an answer to a request that has shown this.
    pub(super) fn sign(&self, request: &HeaderValue, said: &[u8]) -> HeaderValue {
        let tag = hmac::sign(&self.0, &signed_answer(request, said));
        let tag = URL_SAFE_NO_PAD.encode(tag).try_into();
        tag.expect("it is of letters and digits")
    }

    /// Returns what a request claims, if its header proves it; whether that is what it says is to be seen.
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

/// Returns what is signed of an answer to a request that has shown this.
fn signed_answer(request: &HeaderValue, said: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 4] = [
        b"mirant 1\nanswer\n",
        request.as_bytes(),
        b"\n",
        &digest_of(said),
    ];
    parts.concat()
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            from,
            to,
            time,
            series,
            number,
            said,
        } = self;
        let said = URL_SAFE_NO_PAD.encode(said);
        write!(f, "{from} {to} {time} {series:032x} {number} {said}")
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
            said: {
                let said = URL_SAFE_NO_PAD.decode(next()?).map_err(|_| ())?;
                said.try_into().map_err(|_| ())?
            },
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
        said: [7; 32],
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
            header.replace("BwcH", "BwcI"),
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

    #[test]
    fn an_answer_is_that_to_a_request() {
        let secret = Secret::new(b"a secret");
        let request: HeaderValue = secret.prove("/pass", &CLAIM).try_into().expect("a header");
        let answer = secret.sign(&request, b"an answer");
        let is_right = |secret: &Secret, request: &HeaderValue, answer, said| {
            Signature::new(secret, request.clone(), answer).holds(said)
        };
        assert!(is_right(&secret, &request, Some(&answer), b"an answer"));
        assert!(!is_right(&secret, &request, Some(&answer), b"another"));
        assert!(!is_right(&secret, &request, None, b"an answer"));
        assert!(!is_right(&secret, &request, Some(&request), b"an answer"));
        let other = Claim { number: 4, ..CLAIM };
        let other = secret.prove("/pass", &other).try_into().expect("a header");
        assert!(!is_right(&secret, &other, Some(&answer), b"an answer"));
        let unknowing = Secret::new(b"another");
        assert!(!is_right(&unknowing, &request, Some(&answer), b"an answer"));
    }
}
