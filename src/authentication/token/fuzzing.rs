//! What fuzzers do to tokens, and to sets of keys.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use super::key::Key;
use super::keys::Keys;
use super::parse::Token;
use crate::fuzzing::target::Target;

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "token",
        check: token,
        seeds: &[
            b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiJhIiwiZXhwIjo0MTAyNDQ0ODAwfQ.Te3gFIMKLwZfiJY4JPxbt7QEPKZs1LWX6kMMY5U-elE",
            b"eyJhbGciOiJub25lIn0.e30.",
        ],
    },
    Target {
        name: "keys",
        check: keys,
        seeds: &[
            br#"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY","kid":"k","alg":"HS256"},{"kty":"x"}]}"#,
            br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig"}"#,
        ],
    },
];

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A token is accepted if another reader accepts it, with the same claims; and only then.
fn token(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let Ok(token) = Token::parse(text) else {
        return false;
    };
    assert_eq!(format!("{}.{}", token.signed, token.signature), text);
    let keys = Keys::one(Key::secret(SECRET).expect("a secret"));
    let is_signed = keys.signer(&token).is_ok();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.algorithms = vec![Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(SECRET);
    let theirs = jsonwebtoken::decode::<Map<String, Value>>(text, &key, &validation);
    assert_eq!(is_signed, theirs.is_ok(), "{theirs:?}");
    assert!(theirs.is_err() || theirs.is_ok_and(|theirs| theirs.claims == token.claims));
    true
}

/// Keys that are left after those are taken away that sign, do not sign.
fn keys(bytes: &[u8]) -> bool {
    const MAX: usize = 4;
    let Ok(mut keys) = Keys::parse(bytes, MAX) else {
        return false;
    };
    let (algorithm, _) = keys.first().expect("at least one key");
    if keys.without_secrets() {
        let (public, _) = keys.first().expect("at least one key");
        let is_secret = matches!(
            public,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
        );
        assert!(!is_secret, "a secret is left");
        assert!(keys.narrow(&[public]) && !keys.narrow(&[]));
    } else {
        let is_secret = matches!(
            algorithm,
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
        );
        assert!(is_secret, "a public key is gone");
    }
    true
}
