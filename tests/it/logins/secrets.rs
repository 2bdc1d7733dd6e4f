//! No secret that a client or an operator has is in the log, whatever becomes of it.

use std::fs::File;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::passwords::{password, users};
use super::{WAYS, shake};
use crate::one_door::Way;
use crate::support::program::{ConfigFile, Serving, mirant};
use crate::support::{Client, Http, Request, bear};
use crate::webhook::hook::{self, Answer, Hook};

const TOKEN_SECRET: &str = "planted-token-secret-that-is-long-enough";
const PASSWORDS: [&str; 4] = [
    "sesame",
    "planted-wrong-password",
    "planted-unknown-password",
    "planted-long-password",
];
const COOKIE: &str = "planted-cookie-value";

/// A running program that logs all it can to a file.
struct Logged {
    serving: Serving,
    file: ConfigFile,
}

impl Logged {
    fn start(name: &str, set: &[String]) -> Self {
        let file = ConfigFile::new(name, "");
        let log = File::create(file.path()).unwrap();
        let mut command = mirant(&["serve", "--listen", "127.0.0.1:0", "--log-level", "debug"]);
        for setting in set {
            command.args(["--set", setting]);
        }
        let serving = Serving::of(command.stderr(log));
        Self { serving, file }
    }

    fn address(&self) -> SocketAddr {
        self.serving.address()
    }

    fn log(mut self) -> String {
        self.serving.signal("TERM");
        self.serving.child.wait().unwrap();
        std::fs::read_to_string(self.file.path()).unwrap()
    }
}

fn token(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), claims, &key).unwrap()
}

/// Tokens with every fault, and one without; some with a secret in their claims.
fn tokens() -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_secs();
    let good = json!({"sub": "u1", "exp": now + 600, "note": "planted-claim"});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        token(&claims, TOKEN_SECRET)
    };
    let valid = with("jti", json!("1"));
    let body = valid.split('.').nth(1).unwrap();
    vec![
        with("exp", json!(now - 600)),
        with("nbf", json!(now + 600)),
        with("aud", json!("planted-audience")),
        with("iss", json!("planted-issuer")),
        with("sub", json!(7)),
        token(&good, "planted-other-secret-that-is-long-enough"),
        format!("eyJhbGciOiJub25lIn0.{body}."),
        format!("{valid}x"),
        format!("{valid}.planted-part"),
        "planted-text-that-is-no-token".to_owned(),
        format!("{valid}{}", "x".repeat(20_000)),
        valid,
    ]
}

/// What of a token must not be seen: its claims and its signature.
fn parts(token: &str) -> impl Iterator<Item = &str> {
    let long = token.split('.').filter(|part| part.len() > 16);
    long.filter(|part| !part.starts_with("eyJhbGci") && !part.starts_with("eyJ0eXAi"))
        .map(|part| &part[..part.len().min(60)])
}

async fn show_everywhere(address: SocketAddr, token: &str) {
    let ext = json!({"authentication": {"token": token}});
    for way in WAYS {
        shake(address, way, &ext).await;
    }
    let mut session = Client::new(address);
    session.handshake().await;
    session
        .call(json!({"channel": "/a", "data": 1, "ext": ext}))
        .await;
    if token.len() > 10_000 {
        return;
    }
    for line in [
        format!("Authorization: Bearer {token}"),
        format!("Cookie: session_token={token}"),
    ] {
        bear(&line);
        shake(address, Way::WebSocket, &Value::Null).await;
        get(address, "/events?channel=/a").await;
        get(address, "/resources/a").await;
        bear("");
    }
    get(address, &format!("/events?channel=/a&token={token}")).await;
}

async fn get(address: SocketAddr, target: &str) {
    let mut http = Http::open(address).await;
    http.send(Request::new("GET", target).bytes()).await;
    http.response().await;
}

fn assert_kept(log: &str, planted: &[&str]) {
    assert!(log.contains("DEBUG") && log.contains("session begins"));
    for secret in planted {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
}

#[tokio::test]
async fn the_log_holds_no_password_and_nothing_of_a_token() {
    let secret = ConfigFile::new("log-token-secret", TOKEN_SECRET);
    let users = users();
    let hashes: Vec<&str> = users.split('$').filter(|part| part.len() > 20).collect();
    let set = [
        format!("issuer=[{{ secret = {{ file = '{}' }} }}]", secret.path()),
        users.clone(),
        "authentication.cookie=session_token".to_owned(),
        "authentication.query_parameter=token".to_owned(),
        "authentication.wrong_passwords=8".to_owned(),
        "channel=[{ pattern = '/**', resource = true }]".to_owned(),
    ];
    let logged = Logged::start("log-of-tokens", &set);
    let address = logged.address();
    let [right, wrong, unknown, long] = PASSWORDS;
    for way in WAYS {
        for (user, shown) in [
            ("u1", right),
            ("u1", wrong),
            ("u2", wrong),
            ("nobody", unknown),
            (unknown, "x"),
            ("u1", &long.repeat(20)),
        ] {
            shake(address, way, &password(user, shown)).await;
        }
        let malformed = json!({"authentication": {"user": "u1", "password": [wrong]}});
        shake(address, way, &malformed).await;
    }
    let mut is_slowed = false;
    for _ in 0..12 {
        let reply = shake(address, Way::LongPolling, &password("u2", wrong)).await;
        is_slowed |= reply["error"].as_str().unwrap().starts_with("429:");
    }
    assert!(is_slowed);
    let tokens = tokens();
    for token in &tokens {
        show_everywhere(address, token).await;
    }
    let log = logged.log();
    assert_kept(&log, &PASSWORDS);
    assert_kept(&log, &hashes);
    assert_kept(&log, &[TOKEN_SECRET, "planted-"]);
    for token in &tokens {
        assert_kept(&log, &parts(token).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_log_holds_nothing_that_the_webhook_is_told_or_signs_with() {
    let hook = Hook::new().await;
    let mut set = hook.set();
    for setting in [
        "webhook.cookies=sid",
        "webhook.headers=authorization",
        "webhook.decides=handshake,subscribe,publish",
        "webhook.timeout=200ms",
        "webhook.cache=0s",
    ] {
        set.push(setting.to_owned());
    }
    let logged = Logged::start("log-of-webhook", &set);
    let address = logged.address();
    let lying = json!({"allow": true, "usr": "planted-answer", "ext": {"x": "planted-answer"}});
    let answers = [
        json!({"allow": true, "user": "u1", "ext": {"key": "planted-answer"}}),
        json!({"allow": false, "reason": "no"}),
    ];
    let mut answers: Vec<Answer> = answers.map(Answer::Json).into();
    answers.extend([Answer::Json(lying), Answer::Closed, Answer::Held]);
    bear(&format!(
        "Authorization: Bearer planted-bearer\r\nCookie: sid={COOKIE}; other=planted-other"
    ));
    let ext = json!({"authentication": {"user": "u1", "password": "planted-password"}});
    for answer in answers {
        hook.answer("handshake", answer.clone());
        for way in WAYS {
            shake(address, way, &ext).await;
        }
        get(address, "/events?channel=/a").await;
        hook.allow();
        let mut client = Client::new(address);
        client.handshake_with(json!({ "ext": ext })).await;
        hook.answer("publish", answer.clone());
        hook.answer("subscribe", answer);
        client
            .call(json!({"channel": "/a", "data": "planted-data", "ext": ext}))
            .await;
        client.subscribe("/a").await;
    }
    bear("");
    // The log limits how often it says so.
    assert!(hook.asked() > 30, "{}", hook.asked());
    let log = logged.log();
    assert_kept(&log, &[hook::SECRET, COOKIE, "planted-"]);
    assert!(log.contains("webhook.url"), "{log}");
}
