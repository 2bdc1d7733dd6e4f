//! A key, and the algorithms that it is for: those belong to the key, whatever a token says.

use jsonwebtoken::jwk::{Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, crypto};
use serde_json::Value;

use super::parse::Token;

/// Fewer bytes can be guessed, and are less than what HS256 makes.
const MIN_SECRET: usize = 32;
/// Fewer bits of RSA are not accepted by the library either.
const MIN_MODULUS: usize = 2048 / 8;

const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A key that checks tokens.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name.
    pub(super) kid: Option<String>,
    /// What it is for.
    pub(super) algorithms: Vec<Algorithm>,
    checks: DecodingKey,
}

impl Key {
    /// Makes a key of a secret that both sides know.
    pub(super) fn secret(secret: &[u8]) -> Result<Self, String> {
        if secret.starts_with(b"-----BEGIN") {
            return Err("is a PEM; set public_key or private_key to it instead".to_owned());
        }
        if secret.len() < MIN_SECRET {
            return Err(format!(
                "must be at least {MIN_SECRET} bytes, such as `openssl rand -hex 32` prints"
            ));
        }
        Ok(Self::new(DecodingKey::from_secret(secret), HMAC))
    }

    /// Makes a key of a public key.
    pub(super) fn public(pem: &[u8]) -> Result<Self, String> {
        refuse_other_pem(pem)?;
        if contains(pem, b"PRIVATE KEY-----") {
            return Err("is a private key; set private_key to it instead".to_owned());
        }
        let tried = [
            DecodingKey::from_rsa_pem,
            DecodingKey::from_ec_pem,
            DecodingKey::from_ed_pem,
        ];
        let mut found = tried.iter().filter_map(|read| read(pem).ok());
        Self::of_kind(found.next().ok_or_else(no_pem)?)
    }

    /// Makes a key of a private key.
    pub(super) fn private(pem: &[u8]) -> Result<(Self, EncodingKey), String> {
        refuse_other_pem(pem)?;
        if !contains(pem, b"PRIVATE KEY-----") {
            return Err("is no private key; set public_key to it instead".to_owned());
        }
        type Read = fn(&[u8]) -> Result<EncodingKey, jsonwebtoken::errors::Error>;
        let tried: [(Read, Algorithm); 4] = [
            (EncodingKey::from_rsa_pem, Algorithm::RS256),
            (EncodingKey::from_ec_pem, Algorithm::ES256),
            (EncodingKey::from_ec_pem, Algorithm::ES384),
            (EncodingKey::from_ed_pem, Algorithm::EdDSA),
        ];
        for (read, algorithm) in tried {
            let Ok(signs) = read(pem) else { continue };
            let public = Jwk::from_encoding_key(&signs, algorithm);
            if let Some(checks) = public.ok().and_then(|jwk| DecodingKey::from_jwk(&jwk).ok()) {
                return Ok((Self::of_kind(checks)?, signs));
            }
        }
        Err(no_pem())
    }

    /// Makes a key of one of a set; nothing if it is not for signatures, or of a kind we do not know.
    pub(super) fn jwk(json: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json.clone()).ok()?;
        let common = &jwk.common;
        let is_for_others = !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature));
        let operations = common.key_operations.as_deref();
        if is_for_others || operations.is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut key = Self::of_kind(DecodingKey::from_jwk(&jwk).ok()?).ok()?;
        if let Some(algorithm) = common.key_algorithm {
            let only = Algorithm::try_from(algorithm).ok()?;
            key.algorithms.retain(|own| *own == only);
        }
        key.kid.clone_from(&common.key_id);
        (!key.algorithms.is_empty()).then_some(key)
    }

    fn of_kind(checks: DecodingKey) -> Result<Self, String> {
        use jsonwebtoken::DecodingKeyKind::{RsaModulusExponent, SecretOrDer};
        let algorithms = match (checks.family(), checks.kind()) {
            (AlgorithmFamily::Hmac, SecretOrDer(secret)) if secret.len() >= MIN_SECRET => HMAC,
            (AlgorithmFamily::Rsa, RsaModulusExponent { n, .. }) if n.len() >= MIN_MODULUS => RSA,
            (AlgorithmFamily::Rsa, SecretOrDer(der)) if der.len() >= MIN_MODULUS => RSA,
            // A point, uncompressed: a byte, and two numbers.
            (AlgorithmFamily::Ec, SecretOrDer(point)) if point.len() == 65 => &[Algorithm::ES256],
            (AlgorithmFamily::Ec, SecretOrDer(point)) if point.len() == 97 => &[Algorithm::ES384],
            (AlgorithmFamily::Ed, SecretOrDer(point)) if point.len() == 32 => &[Algorithm::EdDSA],
            (AlgorithmFamily::Rsa, _) => return Err("must have at least 2048 bits".to_owned()),
            _ => return Err("must be of the curves P-256, P-384 or Ed25519".to_owned()),
        };
        Ok(Self::new(checks, algorithms))
    }

    fn new(checks: DecodingKey, algorithms: &[Algorithm]) -> Self {
        Self {
            kid: None,
            algorithms: algorithms.to_vec(),
            checks,
        }
    }

    /// Tells whether whoever knows it can sign, too.
    pub(super) fn is_secret(&self) -> bool {
        self.checks.family() == AlgorithmFamily::Hmac
    }

    /// Tells whether a token is signed by this key, with an algorithm of this key.
    pub(super) fn signed(&self, token: &Token<'_>) -> bool {
        token.algorithm.is_some_and(|algorithm| {
            self.algorithms.contains(&algorithm)
                && crypto::verify(
                    token.signature,
                    token.signed.as_bytes(),
                    &self.checks,
                    algorithm,
                )
                .unwrap_or(false)
        })
    }
}

fn refuse_other_pem(pem: &[u8]) -> Result<(), String> {
    if contains(pem, b"-----BEGIN CERTIFICATE-----") {
        return Err("is a certificate; take the key out of it: \
                    openssl x509 -in FILE -noout -pubkey"
            .to_owned());
    }
    if contains(pem, b"-----BEGIN EC PRIVATE KEY-----") {
        return Err(
            "is not in PKCS#8; convert it: openssl pkcs8 -topk8 -nocrypt -in FILE".to_owned(),
        );
    }
    if contains(pem, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err("is encrypted; decrypt it: openssl pkcs8 -in FILE".to_owned());
    }
    Ok(())
}

fn no_pem() -> String {
    "must be a PEM with an RSA, P-256, P-384 or Ed25519 key".to_owned()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
