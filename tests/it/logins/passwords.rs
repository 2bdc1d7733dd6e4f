//! Passwords: who is let in, what others are told, and what becomes of guesses.

use std::net::SocketAddr;

use bytesize::ByteSize;
use serde_json::{Value, json};

use super::{WAYS, client_of, hash_of, hash_that_takes, problem, shake};
use crate::support::{Request, TestServer, only, until};

const RULES: &str = "access=[{ allow = ['handshake'], who = 'authenticated' }, \
    { allow = ['publish'], channels = ['/news'], who = { role = 'editor' } }, \
    { allow = ['publish'], channels = ['/user/{user}'], who = 'authenticated' }, \
    { allow = ['subscribe'], channels = ['/room/{claim.room}'], who = 'authenticated' }]";

/// Two users, with the passwords `sesame` and `simsim`.
pub(super) fn users() -> String {
    let (one, two) = (hash_of("sesame"), hash_of("simsim"));
    format!(
        "user=[{{ name = 'u1', password_hash = '{one}', roles = ['editor'], \
         claims = {{ room = ['a', 'b'] }} }}, {{ name = 'u2', password_hash = '{two}' }}]"
    )
}

pub(super) fn password(user: &str, password: &str) -> Value {
    json!({"authentication": {"user": user, "password": password}})
}

#[tokio::test]
async fn a_right_password_is_let_in_and_others_are_told_why_not() {
    let users = users();
    let server = TestServer::start(&[&*users, RULES, "authentication.wrong_passwords=100"]);
    let long = "x".repeat(257);
    let cases = [
        (password("u1", "sesame"), Value::Null),
        (password("u2", "simsim"), Value::Null),
        (password("u1", "simsim"), json!("401::password_invalid")),
        (password("u1", ""), json!("401::password_invalid")),
        (password("nobody", "sesame"), json!("401::password_invalid")),
        (
            password("u1", &long),
            json!("401:authentication.max_password_length:credentials_malformed"),
        ),
        (
            json!({"authentication": {"user": "u1"}}),
            json!("401::credentials_malformed"),
        ),
        (
            json!({"authentication": {"token": "a.b.c"}}),
            json!("401::token_issuer_unknown"),
        ),
        (Value::Null, json!("403::handshake_denied")),
    ];
    let mut problems = Vec::new();
    for way in WAYS {
        for (ext, error) in &cases {
            let reply = shake(server.address, way, ext).await;
            let reconnect = if error.is_null() { "retry" } else { "none" };
            let problem = problem(&reply, error, reconnect);
            problems.extend(problem.map(|problem| format!("{way:?}, {ext}: {problem}")));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    let sessions = server.metrics().sessions.value();
    assert_eq!(sessions, 2 * WAYS.len() as i64);
}

/// The wait that a reply tells in its error and in its advice.
fn wait(reply: &Value) -> u64 {
    let error = reply["error"].as_str().unwrap_or_default();
    let wait = error
        .strip_prefix("429:")
        .and_then(|rest| rest.strip_suffix(":too_many_attempts"));
    let wait: u64 = wait.unwrap_or_else(|| panic!("{reply}")).parse().unwrap();
    assert_eq!(reply["advice"]["reconnect"], "retry", "{reply}");
    assert_eq!(reply["advice"]["interval"], wait, "{reply}");
    wait
}

#[tokio::test]
async fn who_guesses_has_to_wait_and_nobody_else() {
    let users = users();
    for way in WAYS {
        let server = TestServer::start(&[&*users, RULES, "authentication.wrong_passwords=2"]);
        let attempt = async |user: &str, guess: &str| {
            shake(server.address, way, &password(user, guess)).await
        };
        for _ in 0..2 {
            let reply = attempt("u1", "guess").await;
            assert_eq!(reply["error"], "401::password_invalid", "{way:?}");
        }
        for guess in ["guess", "sesame"] {
            let wait = wait(&attempt("u1", guess).await);
            assert!((1..=1000).contains(&wait), "{way:?}: {wait}");
        }
        assert_eq!(server.metrics().sessions.value(), 0, "{way:?}");
        let other = attempt("u2", "simsim").await;
        assert_eq!(other["successful"], true, "{way:?}: {other}");
    }
}

#[tokio::test]
async fn after_the_wait_the_right_password_is_let_in() {
    let users = users();
    let server = TestServer::start(&[&*users, RULES, "authentication.wrong_passwords=1"]);
    let attempt = async |guess: &str| shake(server.address, WAYS[0], &password("u1", guess)).await;
    attempt("guess").await;
    let mut last = u64::MAX;
    loop {
        let reply = attempt("sesame").await;
        if reply["successful"] == true {
            break;
        }
        let wait = wait(&reply);
        assert!(wait <= last, "attempts that are refused do not count");
        last = wait;
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    }
    assert_ne!(last, u64::MAX, "it had to wait");
}

async fn outcomes(address: SocketAddr, ext: &Value) -> [Value; 5] {
    let reply = shake(address, WAYS[0], ext).await;
    let mut client = client_of(address, &reply);
    let mut outcomes = Vec::new();
    for channel in ["/news", "/user/u1", "/user/u2"] {
        outcomes.push(only(client.publish(channel, 1).await)["error"].clone());
    }
    for channel in ["/room/a", "/room/c"] {
        outcomes.push(client.subscribe(channel).await["error"].clone());
    }
    outcomes.try_into().unwrap()
}

#[tokio::test]
async fn roles_and_claims_of_a_user_count_in_rules() {
    let server = TestServer::start(&[&*users(), RULES]);
    let denied = |channel: &str, what: &str| json!(format!("403:{channel}:{what}_denied"));
    assert_eq!(
        outcomes(server.address, &password("u1", "sesame")).await,
        [
            Value::Null,
            Value::Null,
            denied("/user/u2", "publish"),
            Value::Null,
            denied("/room/c", "subscribe"),
        ]
    );
    assert_eq!(
        outcomes(server.address, &password("u2", "simsim")).await,
        [
            denied("/news", "publish"),
            denied("/user/u1", "publish"),
            Value::Null,
            denied("/room/a", "subscribe"),
            denied("/room/c", "subscribe"),
        ]
    );
}

#[tokio::test]
async fn who_goes_away_during_a_check_leaves_nothing() {
    const CLIENTS: usize = 16;
    let hash = hash_that_takes("sesame", ByteSize::mib(32), 4);
    let server = TestServer::start(&[
        &format!("user=[{{ name = 'u1', password_hash = '{hash}' }}]"),
        "authentication.max_password_checks=1",
        &format!("extensions.max_waiting={CLIENTS}"),
        "extensions.max_wait=60s",
    ]);
    let waiting = || server.metrics().waiting_batches.value();
    let text = json!([super::handshake(&password("u1", "sesame"))]).to_string();
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        let mut http = server.open().await;
        http.send(Request::post(text.clone()).bytes()).await;
        connections.push(http);
    }
    // One is checked at a time, and others have not come yet or are over.
    until(|| waiting() > 3).await;
    for http in connections {
        http.reset();
    }
    until(|| waiting() == 0).await;
    let reply = shake(server.address, WAYS[0], &password("u1", "sesame")).await;
    assert_eq!(reply["successful"], true, "its place is free: {reply}");
    let figures = server.metrics().render();
    let checked = |line: &&str| line.starts_with("mirant_password");
    let checked: Vec<&str> = figures.lines().filter(checked).collect();
    let right = "mirant_passwords_total{outcome=\"right\"} ";
    let right = checked.iter().find_map(|line| line.strip_prefix(right));
    let right: usize = right
        .unwrap_or_else(|| panic!("{figures}"))
        .parse()
        .unwrap();
    assert!(
        right < CLIENTS,
        "those that had not begun never do: {checked:?}"
    );
}
