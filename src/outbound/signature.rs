//! How whoever gets a request can know who sent it, and that it is new: the signature of Standard Webhooks.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::request::Builder;

/// What stands before secrets that are base64.
const ENCODED: &str = "whsec_";

/// Signs requests with each of its secrets.
pub struct Signer(Vec<hmac::Key>);

/// The headers of a request that prove who asks, and when.
#[derive(Debug, PartialEq, Eq)]
pub struct Signed {
    id: String,
    timestamp: String,
    signature: String,
}

/// Makes what tells a request from all others.
#[must_use]
pub fn random_id() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    format!("msg_{:032x}", u128::from_be_bytes(bytes))
}

impl Signer {
    /// Takes secrets: bytes, or as Standard Webhooks write it, `whsec_` and base64. There may be several, so
    /// that whoever checks signatures can go over from one to the next.
    ///
    /// # Errors
    /// What follows `whsec_` is no base64; the number is the secret's.
    pub fn new(secrets: &[Vec<u8>]) -> Result<Self, (usize, &'static str)> {
        let keys = secrets.iter().enumerate().map(|(index, secret)| {
            let encoded = secret.strip_prefix(ENCODED.as_bytes());
            let decoded = encoded.map(|encoded| BASE64.decode(encoded));
            let key = match &decoded {
                None => secret,
                Some(Ok(decoded)) => decoded,
                Some(Err(_)) => return Err((index, "what follows whsec_ must be base64")),
            };
            Ok(hmac::Key::new(hmac::HMAC_SHA256, key))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    /// Signs a body that is sent now; each time that it is, its id is the same.
    #[must_use]
    pub fn sign(&self, id: String, now: SystemTime, body: &[u8]) -> Signed {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = since.as_secs().to_string();
        let signatures = self.0.iter().map(|key| {
            let mut context = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                context.update(part);
            }
            format!("v1,{}", BASE64.encode(context.sign()))
        });
        let signature = signatures.collect::<Vec<_>>().join(" ");
        Signed {
            id,
            timestamp,
            signature,
        }
    }
}

impl Signed {
    /// Puts the headers on a request.
    #[must_use]
    pub fn on(self, request: Builder) -> Builder {
        request
            .header("webhook-id", self.id)
            .header("webhook-timestamp", self.timestamp)
            .header("webhook-signature", self.signature)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secrets = [
            b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_vec(),
            b"a secret of bytes".to_vec(),
        ];
        let now = UNIX_EPOCH + Duration::from_secs(1_614_265_330);
        let sign = |secrets: &[Vec<u8>]| {
            let signer = Signer::new(secrets).expect("secrets");
            assert!(!format!("{signer:?}").contains("secret of"));
            let id = "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned();
            signer.sign(id, now, br#"{"test": 2432232314}"#)
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(sign(&secrets[..1]).timestamp, "1614265330");
        assert_eq!(sign(&secrets[..1]).signature, expected);
        let other = sign(&secrets[1..]).signature;
        assert_eq!(sign(&secrets).signature, format!("{expected} {other}"));
        let wrong = [secrets[0].clone(), b"whsec_?".to_vec()];
        assert_eq!(Signer::new(&wrong).err().map(|(index, _)| index), Some(1));
    }
}
