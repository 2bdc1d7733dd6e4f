//! Which passwords are taken, and what users are refused.

use std::task::{Context, Waker};
use std::time::Instant;

use bytesize::ByteSize;
use tokio::task::JoinSet;

use super::*;

const CHEAP: Cost = Cost {
    memory: ByteSize::kib(8),
    passes: 1,
    lanes: 1,
};

fn user(name: &str, password: &str) -> User {
    User {
        name: name.to_owned(),
        password_hash: hash(password, CHEAP).expect("a hash"),
        roles: vec!["editor".to_owned()],
        claims: [
            ("org".to_owned(), Claim::One("acme".to_owned())),
            (
                "team".to_owned(),
                Claim::Many(vec!["a".to_owned(), "b".to_owned()]),
            ),
        ]
        .into(),
    }
}

fn passwords(settings: &Settings) -> Passwords {
    let users = [user("u1", "sesame"), user("u2", "other")];
    Passwords::new(&users, settings, Arc::default()).expect("users")
}

async fn check(passwords: &Passwords, user: &str, password: &str) -> Result<Known, Fault> {
    match passwords.check(user, password, None) {
        Check::Done(outcome) => outcome,
        Check::Pending(checking) => checking.await,
    }
}

fn wrong() -> Fault {
    BayeuxError::PasswordInvalid.into()
}

#[tokio::test]
async fn a_user_is_who_has_the_password() {
    let passwords = passwords(&Settings::default());
    let known = check(&passwords, "u1", "sesame").await.expect("u1");
    let identity = &*known.identity;
    assert_eq!(
        (&*identity.user, &*identity.roles),
        ("u1", &["editor".to_owned()][..])
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let claims = [pair("org", "acme"), pair("team", "a"), pair("team", "b")];
    assert_eq!(identity.claims, claims);
    for (user, password) in [
        ("u1", "other"),
        ("u2", "sesame"),
        ("u3", "sesame"),
        ("", ""),
    ] {
        let fault = check(&passwords, user, password).await.expect_err(user);
        assert_eq!(fault, wrong(), "{user}");
        assert_eq!(fault.text(), "401::password_invalid");
    }
    let metrics = passwords.inner.metrics.render();
    for line in [
        "mirant_passwords_total{outcome=\"right\"} 1",
        "mirant_passwords_total{outcome=\"wrong\"} 4",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn who_guesses_has_to_wait_whether_the_user_exists_or_not() {
    let passwords = passwords(&Settings::default());
    for user in ["u1", "nobody"] {
        for _ in 0..5 {
            assert_eq!(
                check(&passwords, user, "guess").await.expect_err("wrong"),
                wrong()
            );
        }
        let before = Instant::now();
        let Check::Done(Err(fault)) = passwords.check(user, "sesame", None) else {
            panic!("{user} was not refused at once");
        };
        let retry = fault.retry.expect("a time");
        assert!(retry <= Duration::from_secs(1), "{retry:?}");
        assert!(
            retry + before.elapsed() > Duration::from_millis(1),
            "{retry:?}"
        );
        let milliseconds = retry.as_millis();
        assert_eq!(
            fault.text(),
            format!("429:{milliseconds}:too_many_attempts")
        );
    }
    check(&passwords, "u2", "other").await.expect("u2");
}

#[tokio::test]
async fn who_guesses_has_to_wait_whatever_users_there_are_then() {
    let before = passwords(&Settings::default());
    for _ in 0..5 {
        let _ = check(&before, "u1", "guess").await;
    }
    let succeeding = |settings: &Settings| {
        let users = [user("u1", "sesame"), user("u4", "new")];
        let mut after = Passwords::new(&users, settings, Arc::default()).expect("users");
        after.go_on_from(&before);
        after
    };
    let after = succeeding(&Settings::default());
    assert!(matches!(
        after.check("u1", "sesame", None),
        Check::Done(Err(_))
    ));
    check(&after, "u4", "new").await.expect("u4");
    // Other bounds begin anew.
    let settings = Settings {
        wrong_passwords: 7,
        ..Settings::default()
    };
    check(&succeeding(&settings), "u1", "sesame")
        .await
        .expect("u1");
}

/// Each of them may be tried when it comes, but few when it is their turn.
#[tokio::test(flavor = "multi_thread")]
async fn guesses_that_come_all_at_once_get_no_further() {
    let passwords = passwords(&Settings::default());
    let mut checks = JoinSet::new();
    for _ in 0..100 {
        match passwords.check("u1", "guess", None) {
            Check::Pending(checking) => drop(checks.spawn(checking)),
            Check::Done(outcome) => assert_ne!(outcome.expect_err("wrong"), wrong()),
        }
    }
    let outcomes = checks.join_all().await;
    let outcomes = outcomes.into_iter().filter_map(Result::err);
    let looked_at = outcomes.filter(|fault| *fault == wrong()).count();
    assert!((5..7).contains(&looked_at), "{looked_at}");
}

#[tokio::test]
async fn a_password_that_is_too_long_is_not_hashed() {
    let settings = Settings {
        max_password_length: 8,
        ..Settings::default()
    };
    let passwords = passwords(&settings);
    let Check::Done(Err(fault)) = passwords.check("u1", "123456789", None) else {
        panic!("was not refused at once");
    };
    assert_eq!(
        fault.text(),
        "401:authentication.max_password_length:credentials_malformed"
    );
    assert_eq!(
        check(&passwords, "u1", "12345678")
            .await
            .expect_err("wrong"),
        wrong()
    );
}

/// Waits in line are not part of what a check takes from its place, so one that is given up leaves it.
#[tokio::test]
async fn a_check_that_is_given_up_leaves_its_place() {
    let settings = Settings {
        max_password_checks: 1,
        ..Settings::default()
    };
    let passwords = passwords(&settings);
    let mut context = Context::from_waker(Waker::noop());
    let place = Arc::clone(&passwords.places).try_acquire_owned();
    for _ in 0..2 * pending::MOST {
        let Check::Pending(mut checking) = passwords.check("u1", "sesame", None) else {
            panic!("was not begun");
        };
        assert!(checking.as_mut().poll(&mut context).is_pending());
    }
    drop(place.expect("the only place"));
    check(&passwords, "u1", "sesame").await.expect("u1");
    assert_eq!(passwords.places.available_permits(), 1);
}

#[test]
fn what_is_wrong_with_users_is_told_without_their_hashes() {
    let mut users = vec![
        user("u1", "a"),
        user("", "b"),
        user("u1", "c"),
        user("u2", "d"),
    ];
    users[3].password_hash =
        "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"
            .to_owned();
    users.push(User {
        name: "u3".to_owned(),
        ..User::default()
    });
    let problems = Passwords::problems(&users, &Settings::default());
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "user[1].name = \"\": must not be empty",
            "user[2].name = \"u1\": user[0] has the same name",
            "user[3].password_hash = \"…\": its check takes 4.0 GiB of memory, more than \
             authentication.max_password_memory (64.0 MiB)",
            "user[4].password_hash = \"\": is no hash of Argon2, such as \
             \"$argon2id$v=19$m=19456,t=2,p=1$…\"; `mirant hash-password` makes one",
        ]
    );
    assert!(!format!("{users:?}").contains("$argon2"));
}
