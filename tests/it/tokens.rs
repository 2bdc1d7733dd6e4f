//! `mirant token` and `mirant explain --token`, with issuers of all kinds, and what a wrong configuration is
//! told.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::support::program::{ConfigFile, end_of, mirant, run, run_with, stderr};

const SECRET: &str = "a planted secret of thirty-two bytes, which nobody is shown";

/// Runs the program with the secret in its environment, and with input.
fn with_secret(arguments: &[&str]) -> Output {
    end_of(mirant(arguments).env("TOKEN_SECRET", SECRET))
}

fn said(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stdout.clone()).unwrap() + &stderr(output);
    assert!(!text.contains("planted"), "{text}");
    (output.status.code().unwrap(), text)
}

fn create(arguments: &[&str]) -> String {
    let output = with_secret(&[&["token", "create"], arguments].concat());
    let (code, text) = said(&output);
    assert_eq!(code, 0, "{text}");
    text.trim().to_owned()
}

fn check(arguments: &[&str]) -> (i32, String) {
    said(&with_secret(&[&["token", "check"], arguments].concat()))
}

fn key(name: &str) -> String {
    format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_stranger_makes_and_checks_a_token_with_a_secret_alone() {
    let token = create(&[
        "--user=u1",
        "--role=editor",
        "--subscribe=/news/**",
        "--publish=/chat/1",
        "--claim=org=acme",
    ]);
    let (code, text) = check(&[&token]);
    assert_eq!(code, 0, "{text}");
    for line in [
        "algorithm: HS256\n",
        "    org: \"acme\"\n",
        "signed by: issuer[0], secret\n",
        "user: u1\n",
        "roles: editor\n",
        "may subscribe: /news/**\n",
        "may publish: /chat/1\n",
        "expires: in 1h ",
        "\naccepted\n",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let output = end_of(mirant(&["token", "check", &token]).env("TOKEN_SECRET", "x".repeat(32)));
    let (code, text) = said(&output);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("signed by: unknown\n"), "{text}");
    assert!(
        text.contains("refused: 401::token_signature_invalid (it was signed with another key"),
        "{text}"
    );
    let (code, text) = said(&run(&["token", "create", "--user=u1"]));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("issuer[0].secret = { env = \"TOKEN_SECRET\" }: the environment variable TOKEN_SECRET is not set"),
        "{text}"
    );
    let refused = with_secret(&["token", "create", "--user=u1", "--publish=chat"]);
    let (code, text) = said(&refused);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("401:channels:token_claim_invalid"), "{text}");
}

#[test]
fn why_a_token_is_refused_is_said_in_words() {
    let config = format!(
        "[[issuer]]\niss = 'a'\naud = ['push']\nleeway = '0s'\nprivate_key = {{ file = '{}' }}\n\
         [[issuer]]\niss = 'b'\npublic_key = {{ file = '{}' }}\n",
        key("p256.pem"),
        key("rsa.pub.pem")
    );
    let file = ConfigFile::new("tokens", &config);
    let at = ["--config", file.path()];
    let token = create(&[&at[..], &["--user=u1"]].concat());
    let (code, text) = check(&[&at[..], &[&token]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("algorithm: ES256\n"), "{text}");
    assert!(
        text.contains("signed by: issuer[0] \"a\", private_key\n"),
        "{text}"
    );
    let (_, text) = said(&run_with(
        &[&["token", "check", "-"], &at[..]].concat(),
        &format!("{token}\n"),
    ));
    assert!(text.ends_with("accepted\n"), "{text}");

    let expired = create(&[&at[..], &["--user=u1", "--expires=1s"]].concat());
    let config_of_others = config.replace("'push'", "'others'");
    let others = ConfigFile::new("tokens-others", &config_of_others);
    let at_others = ["--config", others.path()];
    let strange = create(&["--user=u1", "--claim=iss=c"]);
    let cases = [
        (
            &at_others,
            &*token,
            "401::token_audience_invalid (its aud is \"push\", which",
        ),
        (
            &at,
            &strange,
            "401::token_issuer_unknown (no [[issuer]] has its iss, which is \"c\")",
        ),
        (
            &at,
            "a.b",
            "401::credentials_malformed (it is not a token: three parts",
        ),
    ];
    for (at, token, expected) in cases {
        let (code, text) = check(&[&at[..], &[token]].concat());
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(&format!("refused: {expected}")), "{text}");
    }
    // Valid for a second: refused from then on, whenever that is noticed.
    let text = loop {
        let (code, text) = check(&[&at[..], &[&expired]].concat());
        if code == 1 {
            break text;
        }
    };
    assert!(
        text.contains("refused: 401::token_expired (its exp was "),
        "{text}"
    );

    let create_of_b = [&["token", "create", "--user=u1", "--issuer=b"], &at[..]].concat();
    let (code, text) = said(&run(&create_of_b));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("only public keys are known here"), "{text}");
    let create_of_c = [&["token", "create", "--user=u1", "--issuer=c"], &at[..]].concat();
    let (code, text) = said(&run(&create_of_c));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no [[issuer]] has iss = \"c\""), "{text}");
}

#[test]
fn explain_takes_a_token() {
    let file = ConfigFile::new(
        "tokens-explain",
        "[[issuer]]\nsecret = { env = 'TOKEN_SECRET' }\n\
         [[access]]\nallow = ['publish']\nchannels = ['/{claim.org}/**']\nwho = { role = 'editor' }\n",
    );
    let explain = |token: &str, action: &str, channel: &str| {
        let token = format!("--token={token}");
        said(&with_secret(&[
            "explain",
            "--config",
            file.path(),
            &token,
            action,
            channel,
        ]))
    };
    let token = create(&[
        "--user=u1",
        "--role=editor",
        "--claim=org=acme",
        "--subscribe=/news/*",
    ]);
    let (code, text) = explain(&token, "publish", "/acme/x");
    assert_eq!(
        (code, text.ends_with("\nallowed by access[0]\n")),
        (0, true),
        "{text}"
    );
    let (code, text) = explain(&token, "publish", "/other/x");
    assert_eq!(code, 1, "{text}");
    let (code, text) = explain(&token, "subscribe", "/news/1");
    assert_eq!(code, 0, "{text}");
    assert!(
        text.ends_with("allowed by the token itself: no [[access]] decides\n"),
        "{text}"
    );
    let (code, text) = explain("a.b", "subscribe", "/news/1");
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("the token is refused: 401::credentials_malformed"),
        "{text}"
    );
}

/// A server of keys that answers every request alike; it ends with the tests.
pub(crate) fn key_server(body: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/certs", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut read = [0; 4096];
            let _ = stream.read(&mut read);
            counts.fetch_add(1, SeqCst);
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length";
            let _ = write!(stream, "{head}: {}\r\n\r\n{body}", body.len());
        }
    });
    (url, asked)
}

#[test]
fn keys_at_a_url_are_fetched_when_a_token_is_checked() {
    let jwks = std::fs::read_to_string(key("keycloak.json")).unwrap();
    let (url, asked) = key_server(jwks);
    let issuer = |key: &str| {
        format!(
            "[[issuer]]\niss = 'https://id.example.com/realms/shop'\naud = ['account']\n{key}\n\
             user_claim = 'preferred_username'\nroles_claim = 'realm_access.roles'\n"
        )
    };
    let signs = format!(
        "kid = 'sig-1'\nprivate_key = {{ file = '{}' }}",
        key("rsa.pem")
    );
    let of_issuer = ConfigFile::new("tokens-signs", &issuer(&signs));
    let ours = ConfigFile::new(
        "tokens-jwks",
        &issuer(&format!("jwks = {{ url = '{url}' }}")),
    );
    let user = ["--user=alice", "--role=editor"];
    let token = create(&[&["--config", of_issuer.path()][..], &user].concat());
    let (code, text) = check(&["--config", ours.path(), &token]);
    assert_eq!(code, 0, "{text}");
    for line in ["jwks, kid \"sig-1\"\n", "user: alice\n", "roles: editor\n"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_eq!(asked.load(SeqCst), 1);
    // A configuration is checked without the network.
    let (code, text) = said(&run(&["check-config", ours.path()]));
    assert_eq!((code, asked.load(SeqCst)), (0, 1), "{text}");
    let down = ConfigFile::new(
        "tokens-down",
        &issuer("jwks = { url = 'http://127.0.0.1:1/' }"),
    );
    let (code, text) = check(&["--config", down.path(), &token]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("refused: 503::token_keys_unavailable"),
        "{text}"
    );
}

/// Entries, and what their problem is; what stands in place of a secret is never shown.
const WRONG: &[(&str, &str)] = &[
    (
        "secret = 'planted'",
        "issuer[0].secret: expected { env = \"NAME\" } or { file = \"/path\" }",
    ),
    (
        "private_key = 'planted'",
        "issuer[0].private_key: expected { env = \"NAME\" }",
    ),
    (
        "secret = { value = 'planted' }",
        "issuer[0].secret: expected { env = \"NAME\" }",
    ),
    (
        "jwks = 'https://a/'",
        "issuer[0].jwks: expected { url = \"https://…\" }",
    ),
    (
        "jwks = { url = 'ftp://a/' }",
        "issuer[0].jwks = { url = \"ftp://a/\" }: must begin with https://",
    ),
    (
        "jwks = { url = 'https://u:planted@a/' }",
        "issuer[0].jwks = …: must not hold a user or a password",
    ),
    (
        "secret = { file = '/no/such/file' }",
        "issuer[0].secret = { file = \"/no/such/file\" }: /no/such/file cannot be read",
    ),
    (
        "secret = { env = 'NO_SUCH' }",
        "issuer[0].secret = { env = \"NO_SUCH\" }: the environment variable NO_SUCH is not set",
    ),
    (
        "iss = 'a'",
        "issuer[0].secret = (unset): say how its tokens are checked",
    ),
    (
        "secret = { env = 'A' }\njwks = { file = 'b' }",
        "issuer[0].jwks = …: secret is set as well",
    ),
    (
        "secret = { env = 'A' }\niss = ''",
        "issuer[0].iss = \"\": must not be empty",
    ),
    (
        "secret = { env = 'A' }\nleeway = '2h'",
        "issuer[0].leeway = 2h: must be at most \"1h\"",
    ),
    (
        "secret = { env = 'A' }\nalgorithms = ['none']",
        "issuer[0].algorithms = [\"none\"]: expected",
    ),
    (
        "secret = { env = 'A' }\naudience = 'b'",
        "unknown key issuer[0].audience",
    ),
    (
        "secret = { env = 'A' }\nuser_claim = ''",
        "issuer[0].user_claim = \"\": must name a claim",
    ),
];

#[test]
fn a_wrong_issuer_is_told_by_file_key_and_fix() {
    for (entry, expected) in WRONG {
        let file = ConfigFile::new("tokens-wrong", &format!("[[issuer]]\n{entry}\n"));
        let (code, text) = said(&run(&["check-config", file.path()]));
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let set = "issuer=[{ secret = 'planted' }]";
    let (code, text) = said(&run(&["serve", "--set", set]));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("--set issuer=…: issuer[0].secret: expected"),
        "{text}"
    );
}
