//! Every way in which a token may be wrong, and the error that it gets.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::settings::{Issuer, Jwks};
use super::*;
use crate::access::Action;
use crate::authentication::Secret;

const SECRET: &[u8] = b"a secret of thirty-two bytes, or more";
/// The time of day in these tests.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

fn key(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(key(name)).expect("a key")
}

fn rsa(name: &str) -> EncodingKey {
    EncodingKey::from_rsa_pem(&pem(name)).expect("an RSA key")
}

/// A file that is gone with its test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(content: &[u8]) -> Self {
        let mut random = [0; 8];
        getrandom::fill(&mut random).expect("random bytes");
        let name = format!("mirant-token-{:x}", u64::from_ne_bytes(random));
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).expect("a file");
        Self(path)
    }

    fn secret(&self) -> Option<Secret> {
        Some(Secret::File(self.0.clone()))
    }

    fn jwks(&self) -> Option<Jwks> {
        self.secret().map(Jwks::Here)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.0);
    }
}

fn public(name: &str) -> Issuer {
    Issuer {
        public_key: Some(Secret::File(key(name))),
        ..Issuer::default()
    }
}

fn made(issuers: &[Issuer], claims: &[&str]) -> Result<Tokens, Vec<Problem>> {
    let (settings, limits) = (Settings::default(), Limits::default());
    Tokens::new(&settings, issuers, claims, &limits, &Arc::default())
}

fn tokens(issuers: &[Issuer]) -> Tokens {
    let claims = ["org", "a.b"];
    made(issuers, &claims).expect("issuers")
}

/// Tokens of one issuer with a secret.
fn with_secret(edit: impl FnOnce(&mut Issuer)) -> Tokens {
    let file = Temporary::new(SECRET);
    let mut issuer = Issuer {
        secret: file.secret(),
        ..Issuer::default()
    };
    edit(&mut issuer);
    tokens(&[issuer])
}

/// Claims of a token that is good for a minute, with changes; null takes one away.
fn claims(changes: &Value) -> Value {
    let mut claims = json!({ "sub": "u1", "exp": NOW + 60 });
    let all = claims.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        if value.is_null() {
            all.remove(name);
        } else {
            all.insert(name.clone(), value.clone());
        }
    }
    claims
}

fn signed(header: &Header, changes: &Value, key: &EncodingKey) -> String {
    encode(header, &claims(changes), key).expect("a token")
}

fn hs256(changes: &Value) -> String {
    signed(
        &Header::default(),
        changes,
        &EncodingKey::from_secret(SECRET),
    )
}

/// A token of a header and claims as they are, with this signature.
fn raw(header: &str, claims: &str, signature: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{claims}.{signature}")
}

/// Signs any header and claims with the secret, as HS256 does.
fn raw_hs256(header: &str, claims: &str) -> String {
    let unsigned = raw(header, claims, "");
    let signed = unsigned.trim_end_matches('.');
    let secret = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &secret, Algorithm::HS256);
    format!("{signed}.{}", signature.expect("a signature"))
}

fn outcome(tokens: &Tokens, token: &str) -> Result<Arc<Identity>, String> {
    match tokens.check(token, now()) {
        Check::Done(outcome) => outcome
            .map(|known| known.identity)
            .map_err(|fault| fault.text()),
        Check::Pending(_) => Err("pending".to_owned()),
    }
}

fn error(tokens: &Tokens, token: &str) -> String {
    outcome(tokens, token).err().unwrap_or_default()
}

#[test]
fn every_algorithm_works_with_its_key() {
    let ec = |name| EncodingKey::from_ec_pem(&pem(name)).expect("an EC key");
    let ed = EncodingKey::from_ed_pem(&pem("ed25519.pem")).expect("an Ed25519 key");
    let secret = EncodingKey::from_secret(SECRET);
    let file = Temporary::new(SECRET);
    let cases = [
        (Algorithm::HS256, &secret, ""),
        (Algorithm::HS384, &secret, ""),
        (Algorithm::HS512, &secret, ""),
        (Algorithm::RS256, &rsa("rsa.pem"), "rsa"),
        (Algorithm::RS384, &rsa("rsa.pem"), "rsa"),
        (Algorithm::RS512, &rsa("rsa.pem"), "rsa"),
        (Algorithm::PS256, &rsa("rsa.pem"), "rsa"),
        (Algorithm::PS384, &rsa("rsa.pem"), "rsa"),
        (Algorithm::PS512, &rsa("rsa.pem"), "rsa"),
        (Algorithm::ES256, &ec("p256.pem"), "p256"),
        (Algorithm::ES384, &ec("p384.pem"), "p384"),
        (Algorithm::EdDSA, &ed, "ed25519"),
    ];
    for (algorithm, signs, name) in cases {
        let mut ways = Vec::new();
        if name.is_empty() {
            ways.push(Issuer {
                secret: file.secret(),
                ..Issuer::default()
            });
        } else {
            ways.push(public(&format!("{name}.pub.pem")));
            ways.push(Issuer {
                private_key: Some(Secret::File(key(&format!("{name}.pem")))),
                ..Issuer::default()
            });
        }
        let jwk = Jwk::from_encoding_key(signs, algorithm).expect("a JWK");
        let jwk = Temporary::new(&serde_json::to_vec(&jwk).expect("JSON"));
        ways.push(Issuer {
            jwks: jwk.jwks(),
            ..Issuer::default()
        });
        let token = signed(&Header::new(algorithm), &json!({}), signs);
        let (rest, _) = token.rsplit_once('.').expect("a signature");
        let forged = format!("{rest}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
        for way in ways {
            let tokens = tokens(&[way]);
            let found = outcome(&tokens, &token).expect("a good token");
            assert_eq!(found.user, "u1", "{algorithm:?}");
            assert_eq!(
                error(&tokens, &forged),
                "401::token_signature_invalid",
                "{algorithm:?}"
            );
        }
    }
}

/// Headers and claims that are signed as they are, and the errors that they get.
const SIGNED: &[(&str, &str, &str)] = &[
    ("[]", "{}", "401::credentials_malformed"),
    ("{}", "{}", "401::credentials_malformed"),
    (HS256, "[]", "401::credentials_malformed"),
    (HS256, "7", "401::credentials_malformed"),
    (HS256, "{", "401::credentials_malformed"),
    (HS256, "\0", "401::credentials_malformed"),
    (r#"{"alg":7}"#, "{}", "401::credentials_malformed"),
    (
        r#"{"alg":"HS256","alg":"none"}"#,
        "{}",
        "401::credentials_malformed",
    ),
    (
        r#"{"alg":"HS256","kid":7}"#,
        "{}",
        "401::credentials_malformed",
    ),
    (
        r#"{"alg":"HS256","crit":["exp"]}"#,
        "{}",
        "401:crit:credentials_malformed",
    ),
    (
        r#"{"alg":"HS256","crit":[]}"#,
        "{}",
        "401:crit:credentials_malformed",
    ),
    (HS256, r#"{"iss":7}"#, "401:iss:token_claim_invalid"),
    (
        r#"{"alg":"HS256","typ":7,"x":{}}"#,
        r#"{"sub":"a","exp":1800000001}"#,
        "",
    ),
];

const HS256: &str = r#"{"alg":"HS256"}"#;

/// Changes of a good token's claims, and the errors that they get.
const CLAIMS: &[(&str, &str)] = &[
    (r#"{"exp":1799999970}"#, "401::token_expired"),
    (r#"{"exp":1799999971}"#, ""),
    (r#"{"exp":1799999970.5}"#, ""),
    (r#"{"exp":0}"#, "401::token_expired"),
    (r#"{"exp":null}"#, "401:exp:token_claim_invalid"),
    (r#"{"exp":"soon"}"#, "401:exp:token_claim_invalid"),
    (r#"{"exp":-1}"#, "401:exp:token_claim_invalid"),
    (r#"{"exp":1e300}"#, "401:exp:token_claim_invalid"),
    (r#"{"nbf":1800000030}"#, ""),
    (r#"{"nbf":1800000031}"#, "401::token_not_yet_valid"),
    (r#"{"iat":1800000031}"#, "401::token_not_yet_valid"),
    (r#"{"nbf":"7"}"#, "401:nbf:token_claim_invalid"),
    (r#"{"iat":{}}"#, "401:iat:token_claim_invalid"),
    (r#"{"aud":"others"}"#, "401::token_audience_invalid"),
    (r#"{"aud":7}"#, "401:aud:token_claim_invalid"),
    (r#"{"sub":null}"#, "401:sub:token_claim_invalid"),
    (r#"{"sub":""}"#, "401:sub:token_claim_invalid"),
    (r#"{"sub":["u1"]}"#, "401:sub:token_claim_invalid"),
    (r#"{"sub":"a\nb"}"#, "401:sub:token_claim_invalid"),
    (r#"{"roles":7}"#, "401:roles:token_claim_invalid"),
    (r#"{"roles":["a",7]}"#, "401:roles:token_claim_invalid"),
    (r#"{"channels":["/a"]}"#, "401:channels:token_claim_invalid"),
    (
        r#"{"channels":{"handshake":[]}}"#,
        "401:channels:token_claim_invalid",
    ),
    (
        r#"{"channels":{"subscribe":["a"]}}"#,
        "401:channels:token_claim_invalid",
    ),
    (
        r#"{"channels":{"publish":"/meta/handshake"}}"#,
        "401:channels:token_claim_invalid",
    ),
    (
        r#"{"channels":{"publish":[["/a"]]}}"#,
        "401:channels:token_claim_invalid",
    ),
];

#[test]
fn every_wrong_header_or_claim_has_its_error() {
    let tokens = with_secret(|_| {});
    for (header, claims, expected) in SIGNED {
        let token = raw_hs256(header, claims);
        assert_eq!(error(&tokens, &token), *expected, "{header} {claims}");
    }
    for (changes, expected) in CLAIMS {
        let token = hs256(&serde_json::from_str(changes).expect(changes));
        assert_eq!(error(&tokens, &token), *expected, "{changes}");
    }
}

#[test]
fn what_a_token_brings_is_bounded() {
    let tokens = with_secret(|_| {});
    let many = |count| vec!["/a"; count];
    let granted = |subscribe, publish| {
        let granted = json!({ "subscribe": many(subscribe), "publish": many(publish) });
        json!({ "channels": granted })
    };
    let cases = [
        (json!({ "sub": "a".repeat(256) }), ""),
        (
            json!({ "sub": "a".repeat(257) }),
            "401:sub:token_claim_invalid",
        ),
        (json!({ "roles": many(100) }), ""),
        (
            json!({ "roles": many(101) }),
            "401:roles:token_claim_invalid",
        ),
        (json!({ "org": many(100) }), ""),
        (json!({ "org": many(101) }), "401:org:token_claim_invalid"),
        (granted(60, 40), ""),
        (granted(60, 41), "401:channels:token_claim_invalid"),
        (json!({ "x": "a".repeat(8192) }), "401::token_too_long"),
    ];
    for (changes, expected) in cases {
        assert_eq!(error(&tokens, &hs256(&changes)), expected, "{changes}");
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let tokens = with_secret(|_| {});
    let good = hs256(&json!({}));
    assert_eq!(error(&tokens, &good), "");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts");
    };
    let empty = URL_SAFE_NO_PAD.encode("{}");
    let malformed = "401::credentials_malformed";
    let forged = "401::token_signature_invalid";
    let other = EncodingKey::from_secret(b"another secret of thirty-two bytes..");
    let cases = [
        (String::new(), malformed),
        ("a".to_owned(), malformed),
        ("..".to_owned(), malformed),
        (format!("{header}.{claims}"), malformed),
        (format!("{good}.a"), malformed),
        (format!("{good}="), malformed),
        (format!("!{good}"), malformed),
        (format!("{good} "), malformed),
        (format!("{header}.{claims}."), forged),
        (format!("{header}.{empty}.{signature}"), forged),
        (format!("{empty}.{claims}.{signature}"), malformed),
        (signed(&Header::default(), &json!({}), &other), forged),
        ("a".repeat(8192), malformed),
        ("a".repeat(8193), "401::token_too_long"),
    ];
    for (token, expected) in cases {
        assert_eq!(error(&tokens, &token), expected, "{token}");
    }
}

/// What a token says of its algorithm changes nothing about what its key is for.
#[test]
fn the_algorithm_belongs_to_the_key() {
    let claims = claims(&json!({})).to_string();
    let denied = "401::token_algorithm_denied";
    let both = [with_secret(|_| {}), tokens(&[public("rsa.pub.pem")])];
    for tokens in &both {
        for name in ["none", "None", "NONE", "nOnE", "", "HS1", "A128KW"] {
            let header = json!({ "alg": name }).to_string();
            for signature in ["", "AAAA"] {
                let token = raw(&header, &claims, signature);
                assert_eq!(error(tokens, &token), denied, "{name}");
            }
        }
    }
    let [of_secret, of_rsa] = both;
    // The public key as a secret, in the forms in which it may be lying about.
    let text = pem("rsa.pub.pem");
    let trimmed = text.trim_ascii_end();
    for secret in [&text, trimmed] {
        for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            let secret = EncodingKey::from_secret(secret);
            let token = signed(&Header::new(algorithm), &json!({}), &secret);
            assert_eq!(error(&of_rsa, &token), denied);
        }
    }
    let rs256 = signed(&Header::new(Algorithm::RS256), &json!({}), &rsa("rsa.pem"));
    assert_eq!(error(&of_secret, &rs256), denied);
    let of_ec = tokens(&[public("p256.pub.pem")]);
    assert_eq!(error(&of_ec, &rs256), denied);
    let es384 = EncodingKey::from_ec_pem(&pem("p384.pem")).expect("a key");
    let es384 = signed(&Header::new(Algorithm::ES384), &json!({}), &es384);
    assert_eq!(error(&of_ec, &es384), denied);

    // One that is narrower than its kind.
    let only_rs = tokens(&[Issuer {
        algorithms: vec![Algorithm::RS256],
        ..public("rsa.pub.pem")
    }]);
    assert_eq!(error(&only_rs, &rs256), "");
    let ps256 = signed(&Header::new(Algorithm::PS256), &json!({}), &rsa("rsa.pem"));
    assert_eq!(error(&only_rs, &ps256), denied);
    let parts: Vec<&str> = ps256.split('.').collect();
    let renamed = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#);
    let renamed = format!("{renamed}.{}.{}", parts[1], parts[2]);
    assert_eq!(error(&only_rs, &renamed), "401::token_signature_invalid");
}

#[test]
fn a_kid_selects_the_key() {
    let jwk = |name, kid: Option<&str>| {
        let mut jwk = Jwk::from_encoding_key(&rsa(name), Algorithm::RS256).expect("a JWK");
        jwk.common.key_id = kid.map(str::to_owned);
        serde_json::to_value(jwk).expect("JSON")
    };
    let keys = |keys: Value| {
        let file = Temporary::new(json!({ "keys": keys }).to_string().as_bytes());
        tokens(&[Issuer {
            jwks: file.jwks(),
            ..Issuer::default()
        }])
    };
    let token = |kid: Option<&str>| {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = kid.map(str::to_owned);
        signed(&header, &json!({}), &rsa("rsa.pem"))
    };
    let both = keys(json!([
        jwk("rsa-other.pem", Some("b")),
        jwk("rsa.pem", Some("a"))
    ]));
    assert_eq!(error(&both, &token(Some("a"))), "");
    assert_eq!(
        error(&both, &token(Some("b"))),
        "401::token_signature_invalid"
    );
    assert_eq!(error(&both, &token(Some("c"))), "401::token_key_unknown");
    assert_eq!(error(&both, &token(None)), "");
    let nameless = keys(json!([
        jwk("rsa.pem", None),
        jwk("rsa-other.pem", Some("b"))
    ]));
    assert_eq!(error(&nameless, &token(Some("c"))), "");
    assert_eq!(error(&nameless, &token(Some("b"))), "");
}

/// What Keycloak serves: a key for signatures with its certificate, and one for encryption.
#[test]
fn keys_of_a_set_that_are_not_for_signatures_are_passed_over() {
    let jwk = Jwk::from_encoding_key(&rsa("rsa.pem"), Algorithm::RS256).expect("a JWK");
    let mut sig = serde_json::to_value(jwk).expect("JSON");
    let extra =
        json!({ "kid": "s", "use": "sig", "x5c": ["MIICmz=="], "x5t": "5g", "x5t#S256": "x" });
    let more = |of: &mut Value, extra: &Value| {
        let (of, extra) = (of.as_object_mut().unwrap(), extra.as_object().unwrap());
        of.extend(extra.clone());
    };
    more(&mut sig, &extra);
    let mut enc = sig.clone();
    more(
        &mut enc,
        &json!({ "kid": "e", "use": "enc", "alg": "RSA-OAEP" }),
    );
    let mut wraps = sig.clone();
    more(&mut wraps, &json!({ "kid": "w", "key_ops": ["wrapKey"] }));
    let keys = json!([
        enc,
        wraps,
        { "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "k" },
        { "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "small" },
        { "kty": "new", "kid": "n" },
        7,
        sig,
    ]);
    let file = Temporary::new(json!({ "keys": keys }).to_string().as_bytes());
    let tokens = tokens(&[Issuer {
        jwks: file.jwks(),
        iss: Some("https://id.example.com/realms/shop".to_owned()),
        aud: vec!["account".to_owned()],
        user_claim: "preferred_username".to_owned(),
        roles_claim: "realm_access.roles".to_owned(),
        ..Issuer::default()
    }]);
    let token = |kid: &str| {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.to_owned());
        let changes = json!({
            "iss": "https://id.example.com/realms/shop",
            "aud": "account",
            "preferred_username": "alice",
            "realm_access": { "roles": ["editor", "uma_authorization"] },
        });
        signed(&header, &changes, &rsa("rsa.pem"))
    };
    let found = outcome(&tokens, &token("s")).expect("a good token");
    assert_eq!((&*found.user, found.roles[0].as_str()), ("alice", "editor"));
    for kid in ["e", "w", "k", "small", "n"] {
        assert_eq!(
            error(&tokens, &token(kid)),
            "401::token_key_unknown",
            "{kid}"
        );
    }
}

#[test]
fn issuers_are_told_apart() {
    let file = Temporary::new(SECRET);
    let named = |iss: &str, source: Issuer| Issuer {
        iss: Some(iss.to_owned()),
        ..source
    };
    let secret = || Issuer {
        secret: file.secret(),
        ..Issuer::default()
    };
    let two = tokens(&[named("a", secret()), named("b", public("rsa.pub.pem"))]);
    assert_eq!(error(&two, &hs256(&json!({ "iss": "a" }))), "");
    let of_b = hs256(&json!({ "iss": "b" }));
    assert_eq!(error(&two, &of_b), "401::token_algorithm_denied");
    for iss in [json!("c"), json!(null), json!("A"), json!("")] {
        let token = hs256(&json!({ "iss": iss }));
        assert_eq!(error(&two, &token), "401::token_issuer_unknown", "{iss}");
    }
    // Two keys of one issuer, and one of nobody in particular.
    let rotated = tokens(&[
        named("a", public("rsa.pub.pem")),
        named("a", secret()),
        secret(),
    ]);
    for iss in [json!("a"), json!("z"), json!(null)] {
        assert_eq!(error(&rotated, &hs256(&json!({ "iss": iss }))), "");
    }
    assert_eq!(error(&tokens(&[]), &of_b), "401::token_issuer_unknown");
}

#[test]
fn audiences_are_those_that_are_named() {
    let ours = with_secret(|issuer| issuer.aud = vec!["a".to_owned(), "b".to_owned()]);
    for (aud, expected) in [
        (json!("a"), ""),
        (json!(["x", "b"]), ""),
        (json!(["x"]), "401::token_audience_invalid"),
        (json!([]), "401::token_audience_invalid"),
        (json!(null), "401::token_audience_invalid"),
        (json!([7]), "401:aud:token_claim_invalid"),
    ] {
        assert_eq!(
            error(&ours, &hs256(&json!({ "aud": aud }))),
            expected,
            "{aud}"
        );
    }
}

#[test]
fn claims_are_taken_over() {
    let tokens = with_secret(|issuer| {
        issuer.user_claim = "id".to_owned();
        issuer.roles_claim = "https://example.com/roles".to_owned();
    });
    let token = hs256(&json!({
        "id": 42,
        "https://example.com/roles": "editor  admin",
        "channels": { "subscribe": ["/a/**", "/b"], "publish": "/c" },
        "org": ["x", 7, {}, true],
        "a": { "b": "y", "c": "z" },
        "other": "w",
    }));
    let found = outcome(&tokens, &token).expect("a good token");
    assert_eq!(found.user, "42");
    assert_eq!(found.roles, ["editor", "admin"]);
    let pairs = [("org", "x"), ("org", "7"), ("org", "true"), ("a.b", "y")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(found.claims, pairs);
    let grants: Vec<(&[Action], Vec<&str>)> = found
        .grants
        .iter()
        .map(|grant| {
            let channels = grant.channels.iter().map(|channel| channel.as_str());
            (&*grant.actions, channels.collect())
        })
        .collect();
    // A JSON object of the library is sorted by name.
    assert_eq!(
        grants,
        [
            (&[Action::Publish][..], vec!["/c"]),
            (&[Action::Subscribe][..], vec!["/a/**", "/b"]),
        ]
    );
    assert_eq!(found.expires, Some(now() + Duration::from_secs(90)));
    let wrong = hs256(&json!({ "id": 42, "https://example.com/roles": 7 }));
    assert_eq!(error(&tokens, &wrong), "401::token_claim_invalid");
}

#[test]
fn what_is_not_wanted_is_not_looked_at() {
    let tokens = with_secret(|issuer| {
        issuer.channels_claim = String::new();
        issuer.require_expiry = false;
        issuer.leeway = Duration::ZERO;
    });
    let token = hs256(&json!({ "exp": null, "channels": 7, "": 7 }));
    let found = outcome(&tokens, &token).expect("a good token");
    assert!(found.grants.is_empty() && found.expires.is_none());
    let expired = hs256(&json!({ "exp": NOW }));
    assert_eq!(error(&tokens, &expired), "401::token_expired");
}

#[test]
fn a_token_that_was_checked_ends_in_time() {
    let tokens = with_secret(|_| {});
    let token = hs256(&json!({}));
    let first = outcome(&tokens, &token).expect("a good token");
    let second = outcome(&tokens, &token).expect("a good token");
    assert!(Arc::ptr_eq(&first, &second), "it is checked once");
    let end = first.expires.expect("an end");
    for later in [end, end + Duration::from_secs(1000)] {
        let Check::Done(Err(fault)) = tokens.check(&token, later) else {
            panic!("it is over");
        };
        assert_eq!(fault.text(), "401::token_expired");
    }
}

/// Reads a key with this content, and says what is wrong with it.
fn problem(content: &[u8], set: fn(&mut Issuer, Option<Secret>)) -> String {
    let file = Temporary::new(content);
    let mut issuer = Issuer::default();
    set(&mut issuer, file.secret());
    let problems = made(&[issuer], &[]);
    let problems = problems.err().unwrap_or_default();
    let shown: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.key, problem.fix))
        .collect();
    shown.join("; ")
}

#[test]
fn what_is_wrong_with_a_key_is_said() {
    let secret = |content: &[u8]| problem(content, |issuer, file| issuer.secret = file);
    let public = |content: &[u8]| problem(content, |issuer, file| issuer.public_key = file);
    let private = |content: &[u8]| problem(content, |issuer, file| issuer.private_key = file);
    let jwks = |content: &[u8]| problem(content, |issuer, file| issuer.jwks = file.map(Jwks::Here));
    let cases = [
        (
            secret(b"hunter2"),
            "issuer[0].secret: must be at least 32 bytes",
        ),
        (secret(&pem("rsa.pub.pem")), "issuer[0].secret: is a PEM"),
        (
            public(&pem("rsa.pem")),
            "issuer[0].public_key: is a private key",
        ),
        (public(b"hunter2"), "issuer[0].public_key: must be a PEM"),
        (
            public(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
            "issuer[0].public_key: is a certificate; take the key out of it",
        ),
        (
            private(&pem("rsa.pub.pem")),
            "issuer[0].private_key: is no private key",
        ),
        (
            private(b"-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"),
            "issuer[0].private_key: is not in PKCS#8",
        ),
        (
            jwks(b"hunter2"),
            "issuer[0].jwks: must be a JWK or a JWK set",
        ),
        (jwks(b"{}"), "issuer[0].jwks: has no key that can check"),
        (
            jwks(br#"{"keys":7}"#),
            "issuer[0].jwks: its \"keys\" must be a list",
        ),
        (
            problem(&pem("p256.pub.pem"), |issuer, file| {
                issuer.public_key = file;
                issuer.algorithms = vec![Algorithm::RS256];
            }),
            "issuer[0].algorithms: its key is for none of these",
        ),
        (
            problem(b"", |_, _| {}),
            "issuer[0].secret: say how its tokens are checked",
        ),
        (
            problem(b"", |issuer, file| {
                issuer.secret.clone_from(&file);
                issuer.public_key = file;
            }),
            "issuer[0].public_key: secret is set as well",
        ),
    ];
    for (found, expected) in cases {
        assert!(found.starts_with(expected), "{found} / {expected}");
        assert!(!found.contains("hunter2"), "{found}");
    }
}
