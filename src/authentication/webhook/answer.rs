//! What the webhook answers, read strictly: what is not understood is no answer, because a misspelt name
//! might be a bound.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::access::{Action, Grant, Identity};
use crate::authentication::Known;
use crate::bayeux::{ChannelKind, ChannelPattern, Limits};

/// Longer than what a client should be told in a line.
const MAX_REASON: usize = 200;
/// Further away is never.
const MAX_EXPIRY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
/// What the server says itself in the `ext` of a reply.
const OWN_EXT: [&str; 2] = ["ack", "timesync"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer<'a> {
    allow: bool,
    reason: Option<String>,
    user: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    claims: BTreeMap<String, Values>,
    #[serde(default)]
    grants: Grants,
    expires: Option<Expires>,
    #[serde(default, borrow)]
    ext: BTreeMap<String, &'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
enum Values {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Grants {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected seconds, or a time such as \"2026-01-31T12:00:00Z\""
)]
enum Expires {
    In(u64),
    At(String),
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision<T = ()> {
    /// It may be.
    Allowed(T),
    /// It may not, and that is why; empty if there is no more to say.
    Denied(String),
}

/// Reads the answer about a handshake.
///
/// # Errors
/// What is wrong with it.
pub(super) fn handshake(
    text: &[u8],
    limits: &Limits,
    now: SystemTime,
) -> Result<Decision<Known>, String> {
    let answer: Answer<'_> = object(text)?;
    if !answer.allow {
        return Ok(denied(answer.reason));
    }
    let user = answer.user.filter(|user| !user.is_empty());
    let user = user.ok_or("a handshake that is allowed needs a user")?;
    let claims = answer.claims.into_iter().flat_map(|(name, values)| {
        let values = match values {
            Values::One(value) => vec![value],
            Values::Many(values) => values,
        };
        values.into_iter().map(move |value| (name.clone(), value))
    });
    let own = OWN_EXT
        .into_iter()
        .find(|name| answer.ext.contains_key(*name));
    if let Some(own) = own {
        return Err(format!("ext.{own} is the server's own"));
    }
    let ext = answer.ext.into_iter();
    let identity = Identity {
        user,
        roles: answer.roles,
        claims: claims.collect(),
        grants: grants(&answer.grants, limits)?,
        expires: expires(answer.expires, now)?,
    };
    Ok(Decision::Allowed(Known {
        identity: identity.into(),
        ext: ext.map(|(name, value)| (name, value.to_owned())).collect(),
    }))
}

/// Reads the answer about something else, which says nothing about who the client is.
///
/// # Errors
/// What is wrong with it.
pub(super) fn other(text: &[u8]) -> Result<Decision, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Short {
        allow: bool,
        reason: Option<String>,
    }
    let Short { allow, reason } = object(text)?;
    Ok(if allow {
        Decision::Allowed(())
    } else {
        denied(reason)
    })
}

/// Reads an object, and no list of what an object would hold.
fn object<'de, T: Deserialize<'de>>(text: &'de [u8]) -> Result<T, String> {
    if !text.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".to_owned());
    }
    serde_json::from_slice(text).map_err(|error| error.to_string())
}

/// Makes a reason one that can stand in an error, `403:/chat/1,reason:publish_denied`.
fn denied<T>(reason: Option<String>) -> Decision<T> {
    let reason = reason.unwrap_or_default();
    let mut reason: String = reason
        .chars()
        .map(|letter| {
            let is_free = letter != ':' && !letter.is_control();
            if is_free { letter } else { ' ' }
        })
        .collect();
    let end = (0..=MAX_REASON)
        .rev()
        .find(|end| reason.is_char_boundary(*end));
    reason.truncate(end.unwrap_or(0));
    Decision::Denied(reason)
}

fn grants(grants: &Grants, limits: &Limits) -> Result<Vec<Grant>, String> {
    let grant = |name: &str, action, texts: &[String]| {
        let channels = texts.iter().map(|text| {
            let pattern = ChannelPattern::parse(text, limits).ok();
            let pattern = pattern.filter(|pattern| pattern.kind() != ChannelKind::Meta);
            pattern.ok_or_else(|| format!("grants.{name} has an entry that is no channel"))
        });
        Ok::<_, String>(Grant {
            actions: vec![action],
            channels: channels.collect::<Result<_, _>>()?,
        })
    };
    Ok(vec![
        // Where no rule is about handshakes it is decided by now.
        grant("handshake", Action::Handshake, &[])?,
        grant("subscribe", Action::Subscribe, &grants.subscribe)?,
        grant("publish", Action::Publish, &grants.publish)?,
    ])
}

fn expires(expires: Option<Expires>, now: SystemTime) -> Result<Option<SystemTime>, String> {
    let time = match expires {
        None => return Ok(None),
        Some(Expires::In(seconds)) => now + Duration::from_secs(seconds).min(MAX_EXPIRY),
        Some(Expires::At(text)) => humantime::parse_rfc3339_weak(&text)
            .map_err(|_| "expires is neither seconds nor a time such as 2026-01-31T12:00:00Z")?,
    };
    if time <= now {
        return Err("expires is over".to_owned());
    }
    Ok(Some(time))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn known(text: &str) -> Known {
        match handshake(text.as_bytes(), &Limits::default(), NOW) {
            Ok(Decision::Allowed(known)) => known,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_answer_says_who_a_client_is() {
        let known_one = known(
            r#"{"allow": true, "user": "u1", "roles": ["a", "b"], "claims": {"org": "x", "team": ["y", "z"]},
                "grants": {"subscribe": ["/a/**", "/b"], "publish": []}, "expires": 60,
                "ext": {"hello": {"x" : 1}}}"#,
        );
        let identity = &known_one.identity;
        assert_eq!(identity.user, "u1");
        assert_eq!(identity.roles, ["a", "b"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            identity.claims,
            [pair("org", "x"), pair("team", "y"), pair("team", "z")]
        );
        let granted: Vec<(Action, Vec<&str>)> = identity
            .grants
            .iter()
            .map(|grant| {
                let channels = grant.channels.iter().map(ChannelPattern::as_str);
                (grant.actions[0], channels.collect())
            })
            .collect();
        let expected = [
            (Action::Handshake, vec![]),
            (Action::Subscribe, vec!["/a/**", "/b"]),
            (Action::Publish, vec![]),
        ];
        assert_eq!(granted, expected);
        assert_eq!(identity.expires, Some(NOW + Duration::from_secs(60)));
        let ext: Vec<(&str, &str)> = known_one
            .ext
            .iter()
            .map(|(name, value)| (&**name, value.get()))
            .collect();
        assert_eq!(ext, [("hello", "{\"x\" : 1}")]);
        let short = known(r#"{"user":"u1","allow":true}"#);
        assert_eq!(short.identity.expires, None);
        let dated = known(r#"{"allow":true,"user":"u1","expires":"1970-01-02T00:00:00Z"}"#);
        assert_eq!(
            dated.identity.expires,
            Some(NOW + Duration::from_secs(86_400))
        );
        let late = known(r#"{"allow":true,"user":"u1","expires":18446744073709551615}"#);
        assert_eq!(late.identity.expires, Some(NOW + MAX_EXPIRY));
    }

    #[test]
    fn an_answer_that_is_not_understood_is_none() {
        let cases = [
            "",
            "null",
            "[]",
            "[true, null]",
            "true",
            "<html>",
            "{}",
            r#"{"allow": 1, "user": "u1"}"#,
            r#"{"allow": "true", "user": "u1"}"#,
            r#"{"allow": null, "user": "u1"}"#,
            r#"{"allow": true}"#,
            r#"{"allow": true, "user": ""}"#,
            r#"{"allow": true, "user": 7}"#,
            r#"{"allow": true, "user": "u1"} {}"#,
            r#"{"allow": true, "user": "u1", "allow": true}"#,
            r#"{"allow": true, "user": "u1", "role": ["a"]}"#,
            r#"{"allow": true, "user": "u1", "roles": "a"}"#,
            r#"{"allow": true, "user": "u1", "roles": [1]}"#,
            r#"{"allow": true, "user": "u1", "claims": {"a": 1}}"#,
            r#"{"allow": true, "user": "u1", "claims": ["a"]}"#,
            r#"{"allow": true, "user": "u1", "grants": {"subscribe": ["a"]}}"#,
            r#"{"allow": true, "user": "u1", "grants": {"subscribe": ["/meta/**"]}}"#,
            r#"{"allow": true, "user": "u1", "grants": {"publish": ["/a/*/b"]}}"#,
            r#"{"allow": true, "user": "u1", "grants": {"publsh": ["/a"]}}"#,
            r#"{"allow": true, "user": "u1", "grants": ["/a"]}"#,
            r#"{"allow": true, "user": "u1", "expires": 0}"#,
            r#"{"allow": true, "user": "u1", "expires": -1}"#,
            r#"{"allow": true, "user": "u1", "expires": 1.5}"#,
            r#"{"allow": true, "user": "u1", "expires": "soon"}"#,
            r#"{"allow": true, "user": "u1", "expires": "1969-01-01T00:00:00Z"}"#,
            r#"{"allow": true, "user": "u1", "expiry": 60}"#,
            r#"{"allow": true, "user": "u1", "ext": {"ack": true}}"#,
            r#"{"allow": true, "user": "u1", "ext": [1]}"#,
        ];
        for text in cases {
            let read = handshake(text.as_bytes(), &Limits::default(), NOW);
            assert!(read.is_err(), "{text}: {read:?}");
            let read = other(text.as_bytes());
            assert_eq!(
                read.is_ok(),
                text == r#"{"allow": true}"#,
                "{text}: {read:?}"
            );
        }
        let nested = format!(
            "{{\"allow\":true,\"user\":\"u1\",\"ext\":{{\"a\":{}",
            "[".repeat(100_000)
        );
        assert!(handshake(nested.as_bytes(), &Limits::default(), NOW).is_err());
    }

    #[test]
    fn a_reason_cannot_break_the_error_that_it_stands_in() {
        let long = "é".repeat(200);
        let cases = [
            (r#"{"allow":false}"#.to_owned(), ""),
            (r#"{"allow":false,"reason":"no"}"#.to_owned(), "no"),
            (r#"{"allow":false,"reason":"a:b\nc"}"#.to_owned(), "a b c"),
            (
                format!("{{\"allow\":false,\"reason\":\"{long}\"}}"),
                &long[..200],
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(
                other(text.as_bytes()),
                Ok(Decision::Denied(expected.to_owned()))
            );
            let read = handshake(text.as_bytes(), &Limits::default(), NOW);
            assert!(matches!(read, Ok(Decision::Denied(reason)) if reason == expected));
        }
    }
}
