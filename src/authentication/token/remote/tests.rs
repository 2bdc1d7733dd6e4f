//! Keys at a URL of this machine, whose server answers well, badly, slowly, or not at all.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::SystemTime;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::settings::{Issuer, Jwks};
use super::super::{Settings, Tokens};
use super::*;
use crate::authentication::{Check, Fault};
use crate::bayeux::Limits;

const HOUR: Duration = Duration::from_secs(3600);

/// What the server says.
#[derive(Clone)]
enum Answer {
    /// These keys, with further header lines.
    Keys(Vec<&'static str>, &'static str),
    /// Whatever this is.
    Raw(String),
    /// Nothing.
    Silence,
}

/// A server of keys, and how often it was asked.
struct Server {
    url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(Mutex::new(answer));
        let asked = Arc::new(AtomicUsize::new(0));
        let (answers, counts) = (Arc::clone(&answer), Arc::clone(&asked));
        tokio::spawn(async move {
            let mut silent = Vec::new();
            'connections: while let Ok((mut stream, _)) = listener.accept().await {
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => read.push(byte),
                        Err(_) => continue 'connections,
                    }
                }
                counts.fetch_add(1, SeqCst);
                let answer = answers.lock().expect("an answer").clone();
                let response = match answer {
                    Answer::Keys(names, more) => response(&set(&names), more),
                    Answer::Raw(response) => response,
                    Answer::Silence => {
                        silent.push(stream);
                        continue;
                    }
                };
                let _gone = stream.write_all(response.as_bytes()).await;
            }
        });
        let url = format!("http://{address}/keys");
        Self { url, answer, asked }
    }

    fn says(&self, answer: Answer) {
        *self.answer.lock().expect("an answer") = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn tokens(&self, edit: impl FnOnce(&mut Settings)) -> (Tokens, Arc<Metrics>) {
        tokens_of(&self.url, edit)
    }
}

fn tokens_of(url: &str, edit: impl FnOnce(&mut Settings)) -> (Tokens, Arc<Metrics>) {
    let issuer = Issuer {
        jwks: Some(Jwks::There {
            url: url.to_owned(),
        }),
        ..Issuer::default()
    };
    let mut settings = Settings {
        jwks_min_interval: HOUR,
        ..Settings::default()
    };
    edit(&mut settings);
    let metrics = Arc::new(Metrics::default());
    let tokens = Tokens::new(&settings, &[issuer], &[], &Limits::default(), &metrics);
    (tokens.expect("an issuer"), metrics)
}

fn response(body: &str, more: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{more}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn key(name: &str) -> EncodingKey {
    let path = format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    EncodingKey::from_rsa_pem(&std::fs::read(path).expect("a key")).expect("an RSA key")
}

/// A set of these keys, each named like its file, and one for encryption.
fn set(names: &[&str]) -> String {
    let jwk = |name: &&str| {
        let mut jwk = Jwk::from_encoding_key(&key(name), Algorithm::RS256).expect("a JWK");
        jwk.common.key_id = Some((*name).to_owned());
        serde_json::to_value(jwk).expect("JSON")
    };
    let mut keys: Vec<Value> = names.iter().map(jwk).collect();
    keys.push(json!({ "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB" }));
    json!({ "keys": keys }).to_string()
}

fn token(name: &str) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(name.to_owned());
    let signer = if name == "absent" { "rsa" } else { name };
    let claims = json!({ "sub": "u1", "exp": 9_999_999_999_u64 });
    encode(&header, &claims, &key(signer)).expect("a token")
}

/// What becomes of a token, and whether that took its time.
async fn check(tokens: &Tokens, token: &str) -> (Result<String, Fault>, bool) {
    let (outcome, is_pending) = match tokens.check(token, SystemTime::now()) {
        Check::Done(outcome) => (outcome, false),
        Check::Pending(checking) => (checking.await, true),
    };
    (outcome.map(|known| known.identity.user.clone()), is_pending)
}

async fn error(tokens: &Tokens, token: &str) -> (String, bool) {
    let (outcome, is_pending) = check(tokens, token).await;
    (
        outcome.err().map(|fault| fault.text()).unwrap_or_default(),
        is_pending,
    )
}

fn text(error: &str, is_pending: bool) -> (String, bool) {
    (error.to_owned(), is_pending)
}

const UNAVAILABLE: &str = "503::token_keys_unavailable";
const UNKNOWN: &str = "401::token_key_unknown";

#[tokio::test]
async fn keys_are_fetched_once_for_all_who_wait() {
    let server = Server::start(Answer::Keys(vec!["rsa"], "")).await;
    let (tokens, metrics) = server.tokens(|_| {});
    let (first, second) = (token("rsa"), token("rsa"));
    let both = tokio::join!(error(&tokens, &first), error(&tokens, &second));
    assert_eq!(both, (text("", true), text("", true)));
    assert_eq!(error(&tokens, &token("rsa")).await, text("", false));
    assert_eq!(server.asked(), 1);
    // Of an unknown name nothing is asked so soon.
    assert_eq!(error(&tokens, &token("absent")).await, text(UNKNOWN, false));
    assert_eq!(server.asked(), 1);
    assert_eq!(metrics.key_fetches.value(), 1);
}

#[tokio::test]
async fn who_comes_after_goes_on_with_the_keys_that_were_fetched() {
    let server = Server::start(Answer::Keys(vec!["rsa"], "")).await;
    let (before, _) = server.tokens(|_| {});
    assert_eq!(error(&before, &token("rsa")).await, text("", true));
    server.says(Answer::Raw("no HTTP\r\n\r\n".to_owned()));
    let (after, _) = server.tokens(|_| {});
    after.go_on_from(&before);
    assert_eq!(error(&after, &token("rsa")).await, text("", false));
    assert_eq!(server.asked(), 1);
    // Those of elsewhere are others; and who has failed is not counted any more once it is gone.
    let (elsewhere, metrics) = tokens_of(&server.url.replace("keys", "others"), |_| {});
    elsewhere.go_on_from(&before);
    let unavailable = text(UNAVAILABLE, true);
    assert_eq!(error(&elsewhere, &token("rsa")).await, unavailable);
    assert_eq!(metrics.failing_key_sources.value(), 1);
    drop(elsewhere);
    assert_eq!(metrics.failing_key_sources.value(), 0);
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_asked_for_again_after_a_while() {
    let server = Server::start(Answer::Silence).await;
    let bad = [
        Answer::Silence,
        Answer::Raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()),
        Answer::Raw(
            "HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_owned(),
        ),
        Answer::Raw("no HTTP\r\n\r\n".to_owned()),
        Answer::Raw(response("no JSON", "")),
        Answer::Raw(response(r#"{"keys":[]}"#, "")),
        Answer::Raw(response(
            r#"{"kty":"oct","k":"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"}"#,
            "",
        )),
        Answer::Raw(response(&" ".repeat(5000), "")),
        Answer::Keys(vec!["rsa", "rsa-other"], ""),
    ];
    for (index, answer) in (1..).zip(bad) {
        server.says(answer);
        let (tokens, metrics) = server.tokens(|settings| {
            settings.jwks_timeout = Duration::from_millis(500);
            settings.max_jwks_size = bytesize::ByteSize::b(4096);
            settings.max_jwks_keys = 1;
        });
        for is_pending in [true, false] {
            let (outcome, was_pending) = check(&tokens, &token("rsa")).await;
            let fault = outcome.expect_err("no keys");
            assert_eq!((fault.text(), was_pending), text(UNAVAILABLE, is_pending));
            let retry = fault.retry.expect("a time");
            assert!(retry > HOUR / 2 && retry <= HOUR, "{retry:?}");
        }
        assert_eq!(server.asked(), index);
        assert_eq!(metrics.failed_key_fetches.value(), 1);
        assert!(metrics.render().contains("mirant_failing_key_sources 1\n"));
    }

    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", gone.local_addr().expect("an address"));
    drop(gone);
    let (tokens, _) = tokens_of(&url, |settings| settings.jwks_min_interval = Duration::ZERO);
    for _ in 0..2 {
        assert_eq!(error(&tokens, &token("rsa")).await, text(UNAVAILABLE, true));
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_one_that_is_gone_is_not_used() {
    let server = Server::start(Answer::Keys(vec!["rsa"], "")).await;
    let (tokens, _) = server.tokens(|settings| settings.jwks_min_interval = Duration::ZERO);
    assert_eq!(error(&tokens, &token("rsa")).await, text("", true));
    assert_eq!(error(&tokens, &token("rsa")).await, text("", false));
    server.says(Answer::Keys(vec!["rsa-other"], ""));
    assert_eq!(error(&tokens, &token("rsa-other")).await, text("", true));
    assert_eq!(server.asked(), 2);
    // It was known, and is not any more.
    assert_eq!(error(&tokens, &token("rsa")).await, text(UNKNOWN, true));
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn old_keys_serve_while_their_source_is_down() {
    let server = Server::start(Answer::Keys(
        vec!["rsa"],
        "Cache-Control: public, max-age=0\r\n",
    ))
    .await;
    let (tokens, metrics) = server.tokens(|settings| settings.jwks_min_interval = Duration::ZERO);
    tokens.fetch_keys();
    assert_eq!(error(&tokens, &token("rsa")).await, text("", true));
    assert_eq!(server.asked(), 1, "one fetch for both");
    server.says(Answer::Raw("no HTTP\r\n\r\n".to_owned()));
    // They are not fresh: each use begins a fetch, if none is going on, and does not wait for it.
    while metrics.failed_key_fetches.value() < 3 {
        assert_eq!(error(&tokens, &token("rsa")).await, text("", false));
        tokio::task::yield_now().await;
    }
    assert!(metrics.render().contains("mirant_failing_key_sources 1\n"));
    server.says(Answer::Keys(vec!["rsa", "rsa-other"], ""));
    let fetched = metrics.key_fetches.value();
    while metrics.key_fetches.value() == fetched {
        assert_eq!(error(&tokens, &token("rsa")).await, text("", false));
        tokio::task::yield_now().await;
    }
    assert_eq!(error(&tokens, &token("rsa-other")).await, text("", false));
    assert!(metrics.render().contains("mirant_failing_key_sources 0\n"));
}

#[tokio::test]
async fn keys_that_are_too_old_do_not_serve() {
    let server = Server::start(Answer::Keys(vec!["rsa"], "")).await;
    let (tokens, _) = server.tokens(|settings| settings.jwks_max_stale = Duration::ZERO);
    assert_eq!(error(&tokens, &token("rsa")).await, text(UNAVAILABLE, true));
    assert_eq!(server.asked(), 1);
}

#[test]
fn the_age_of_a_response_is_read() {
    let cases = [
        ("max-age=60", Some(60)),
        ("public, Max-Age=\"60\", x", Some(60)),
        ("s-maxage=60", None),
        ("max-age=x", None),
        ("no-store", None),
    ];
    for (value, expected) in cases {
        let response = Response::builder().header(CACHE_CONTROL, value);
        let response = response.body(Bytes::new()).expect("a response");
        assert_eq!(
            max_age(&response),
            expected.map(Duration::from_secs),
            "{value}"
        );
    }
}

#[test]
fn logs_show_no_query() {
    let url = "https://a.example:8443/b?key=hunter2"
        .parse()
        .expect("a URL");
    let bounds = Bounds {
        max_age: HOUR,
        max_stale: HOUR,
        min_interval: HOUR,
        max_keys: 1,
    };
    let outbound = crate::outbound::Bounds {
        timeout: HOUR,
        max_response: 1,
        max_requests: 1,
    };
    let outbound = Arc::new(Outbound::new(outbound).expect("certificate authorities"));
    let remote = Remote::new(url, &[], bounds, &outbound, &Arc::default());
    assert_eq!(remote.to_string(), "https://a.example:8443/b");
    assert!(!format!("{remote:?}").contains("hunter2"));
}
