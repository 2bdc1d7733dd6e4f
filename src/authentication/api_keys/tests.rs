//! Which keys fit, what they allow, and what a client that shows one is granted.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::access::{Access, Asked, Rule, Subject};
use crate::bayeux::ChannelName;

const KEY: &str = "mirant_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn keys(entries: &[Key], role: Option<&str>) -> ApiKeys {
    ApiKeys::new(entries, role, &Limits::default()).expect("keys")
}

fn entry(name: &str, key: &str, allow: &[Permission]) -> Key {
    Key {
        name: name.to_owned(),
        hash: Some(Digest::of(key.as_bytes()).to_string()),
        allow: allow.to_vec(),
        ..Key::default()
    }
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_key_is_found_by_its_whole_text_until_it_expires() {
    let other = KEY.replace('A', "B");
    let keys = keys(
        &[
            entry("a", KEY, &[Permission::Read]),
            Key {
                expires: Some(at(10)),
                ..entry("b", &other, &[Permission::Read])
            },
        ],
        None,
    );
    let found = |shown: &str, now| {
        keys.find(shown, at(now))
            .map(|key| key.rights.name.as_str())
    };
    let cases = [
        (KEY, 99, Ok("a")),
        (&*other, 9, Ok("b")),
        (&*other, 10, Err(NotValid::Expired)),
        (&KEY[..KEY.len() - 1], 0, Err(NotValid::Unknown)),
        (&*KEY.to_lowercase(), 0, Err(NotValid::Unknown)),
        ("", 0, Err(NotValid::Unknown)),
        (&*"A".repeat(MAX_KEY + 1), 0, Err(NotValid::Unknown)),
    ];
    for (shown, now, expected) in cases {
        assert_eq!(found(shown, now), expected, "{shown} at {now}");
    }
    assert!(ApiKeys::default().find(KEY, at(0)).is_err());
}

#[test]
fn made_keys_are_keys_and_differ() {
    let (one, other) = (make(), make());
    assert!(one.starts_with(PREFIX) && one.len() == 50, "{one}");
    assert_ne!(one, other);
    assert_eq!(key_fix(one.as_bytes()), None);
}

#[test]
fn what_can_be_guessed_or_sent_in_no_header_is_no_key() {
    for wrong in [
        "hunter2",
        &"a".repeat(MAX_KEY + 1),
        &format!("{KEY} x"),
        &format!("{KEY}é"),
    ] {
        assert!(key_fix(wrong.as_bytes()).is_some(), "{wrong}");
    }
}

#[test]
fn a_secret_that_cannot_be_read_and_a_key_that_stands_twice_are_told_of() {
    let path = std::env::temp_dir().join(format!("mirant-api-key-{}", std::process::id()));
    let of_file = |name: &str| Key {
        hash: None,
        secret: Some(crate::authentication::Secret::File(path.clone())),
        ..entry(name, KEY, &[Permission::Read])
    };
    let problem = |entries: &[Key]| {
        let problems = ApiKeys::new(entries, None, &Limits::default()).err();
        problems.unwrap_or_default().remove(0).to_string()
    };
    std::fs::write(&path, "hunter2\n").expect("a file");
    let short = problem(&[of_file("a")]);
    assert!(
        short.contains("api.key[0].secret") && short.contains("at least 32"),
        "{short}"
    );
    assert!(!short.contains("hunter2"), "{short}");
    std::fs::write(&path, format!("{KEY}\n")).expect("a file");
    let read = keys(&[of_file("a")], None);
    assert!(read.find(KEY, at(0)).is_ok());
    let twice = problem(&[entry("b", KEY, &[Permission::Read]), of_file("a")]);
    assert!(twice.starts_with("api.key[1] = …: an earlier"), "{twice}");
    std::fs::remove_file(&path).expect("the file");
    let gone = problem(&[of_file("a")]);
    assert!(gone.contains("cannot be read"), "{gone}");
}

#[test]
fn admin_is_all_of_it_and_channels_are_those_of_the_patterns() {
    let all = [
        Permission::Publish,
        Permission::Read,
        Permission::Sessions,
        Permission::Calls,
        Permission::Admin,
    ];
    for allowed in all {
        let keys = keys(&[entry("a", KEY, &[allowed])], None);
        let key = keys.find(KEY, at(0)).expect("the key");
        for asked in all {
            let expected = allowed == Permission::Admin || asked == allowed;
            assert_eq!(key.rights.allows(asked), expected, "{allowed:?} {asked:?}");
        }
    }
    let key = Key {
        channels: vec!["/a/*".to_owned(), "/b".to_owned()],
        ..entry("a", KEY, &[Permission::Admin])
    };
    let keys = keys(&[key], None);
    let key = keys.find(KEY, at(0)).expect("the key");
    for (name, expected) in [
        ("/a/1", true),
        ("/a/1/2", false),
        ("/b", true),
        ("/c", false),
    ] {
        let channel = ChannelName::parse(name, &Limits::default()).expect("a channel");
        assert_eq!(key.rights.covers(&channel), expected, "{name}");
    }
}

#[test]
fn a_client_that_shows_a_key_has_its_name_its_role_and_what_it_allows() {
    use Permission::{Admin, Calls, Publish, Read, Sessions};
    // (what it allows, its channels, its roles; what it may subscribe to, and publish on)
    type Case<'c> = (
        &'c [Permission],
        &'c [&'c str],
        bool,
        &'c [&'c str],
        &'c [&'c str],
    );
    let cases: [Case<'_>; 7] = [
        (&[Publish], &["/**"], false, &[], &["/chat/1", "/service/x"]),
        (&[Read], &["/chat/**"], false, &["/chat/1"], &[]),
        (&[Sessions], &["/**"], false, &[], &[]),
        (&[Calls], &["/**"], true, &["/service/x"], &["/service/x"]),
        (
            &[Calls],
            &["/chat/**", "/service/x"],
            true,
            &["/service/x"],
            &["/service/x"],
        ),
        (&[Calls], &["/chat/**"], true, &[], &[]),
        (
            &[Admin],
            &["/**"],
            true,
            &["/chat/1", "/service/x"],
            &["/chat/1", "/service/x"],
        ),
    ];
    // A rule that is about nobody: without rules all is allowed.
    let rules: Rule =
        toml::from_str("deny = ['publish']\nchannels = ['/no']\nwho = 'anyone'").expect("a rule");
    let access = Access::new(&[rules]).expect("rules");
    for (allow, channels, has_role, subscribes, publishes) in cases {
        let key = Key {
            channels: channels.iter().map(|&text| text.to_owned()).collect(),
            ..entry("backend", KEY, allow)
        };
        let keys = keys(&[key], Some("backend-role"));
        let identity = &keys.find(KEY, at(0)).expect("the key").rights.identity;
        assert_eq!(identity.user, "backend");
        let roles: &[&str] = if has_role { &["backend-role"] } else { &[] };
        assert_eq!(identity.roles, roles, "{allow:?}");
        let subject = Subject {
            identity: Some(Arc::clone(identity)),
            address: None,
        };
        assert!(access.decide(Asked::Handshake, &subject).allowed);
        for name in ["/chat/1", "/service/x"] {
            let channel = ChannelName::parse(name, &Limits::default()).expect("a channel");
            let may_publish = access.decide(Asked::Publish(&channel), &subject).allowed;
            assert_eq!(
                may_publish,
                publishes.contains(&name),
                "{allow:?} publish {name}"
            );
            let may_subscribe = access
                .decide(Asked::Subscribe(&channel.into()), &subject)
                .allowed;
            assert_eq!(
                may_subscribe,
                subscribes.contains(&name),
                "{allow:?} subscribe {name}"
            );
        }
    }
}
