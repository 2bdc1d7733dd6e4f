//! What the webhook is asked.

use core::net::IpAddr;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::access::{Action, Identity};
use crate::authentication::Shown;

/// What is asked about.
#[derive(Debug, Serialize)]
pub(super) struct Question<'a> {
    pub(super) action: Action,
    /// Of a handshake it is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user: Option<Option<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) channels: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) data: Option<&'a RawValue>,
    pub(super) address: Option<IpAddr>,
    pub(super) headers: BTreeMap<&'a str, String>,
    pub(super) ext: Option<&'a RawValue>,
}

impl<'a> Question<'a> {
    /// Asks whether a client may have a session, and who it is.
    pub(super) fn handshake(
        ext: Option<&'a RawValue>,
        shown: Option<&'a Shown>,
        address: Option<IpAddr>,
    ) -> Self {
        Self {
            action: Action::Handshake,
            user: None,
            roles: None,
            channels: None,
            data: None,
            address,
            headers: headers(shown),
            ext,
        }
    }

    /// Says who wants to do something.
    pub(super) fn by(self, identity: Option<&'a Identity>) -> Self {
        Self {
            user: Some(identity.map(|identity| &*identity.user)),
            roles: Some(identity.map_or(&[], |identity| &identity.roles)),
            ..self
        }
    }

    /// Writes it down. Two are the same if their texts are.
    pub(super) fn text(&self) -> Bytes {
        let text = serde_json::to_vec(self);
        text.expect("texts and what was JSON before are JSON")
            .into()
    }
}

/// Joins headers that came more than once.
fn headers(shown: Option<&Shown>) -> BTreeMap<&str, String> {
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in shown.iter().flat_map(|shown| &shown.headers) {
        let between = if &**name == "cookie" { "; " } else { ", " };
        headers
            .entry(name)
            .and_modify(|before| *before = format!("{before}{between}{value}"))
            .or_insert_with(|| value.to_string());
    }
    headers
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_says_what_is_known_and_no_more() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect(text);
        let (ext, data) = (raw("{\"a\" : 1}"), raw("[1]"));
        let pair = |name: &str, value: &str| (name.into(), value.into());
        let shown = Shown {
            headers: [
                pair("x-a", "1"),
                pair("cookie", "s=1"),
                pair("x-a", "2"),
                pair("cookie", "t=2"),
            ]
            .into(),
            ..Shown::default()
        };
        let address = Some([192, 0, 2, 1].into());
        let handshake = Question::handshake(Some(&ext), Some(&shown), address);
        let text = handshake.text();
        let text = std::str::from_utf8(&text).expect("UTF-8");
        assert_eq!(
            text,
            r#"{"action":"handshake","address":"192.0.2.1","headers":{"cookie":"s=1; t=2","x-a":"1, 2"},"ext":{"a" : 1}}"#
        );
        let channels = ["/a".to_owned()];
        let identity = Identity {
            user: "u1".to_owned(),
            roles: vec!["editor".to_owned()],
            ..Identity::default()
        };
        let publish = |identity| {
            let question = Question {
                action: Action::Publish,
                channels: Some(&channels),
                data: Some(&data),
                ..Question::handshake(None, None, None)
            };
            let value = serde_json::from_slice(&question.by(identity).text());
            value.unwrap_or(serde_json::Value::Null)
        };
        let expected = |user: Option<&str>, roles: &[&str]| {
            json!({
                "action": "publish", "user": user, "roles": roles, "channels": ["/a"], "data": [1],
                "address": null, "headers": {}, "ext": null,
            })
        };
        assert_eq!(publish(Some(&identity)), expected(Some("u1"), &["editor"]));
        assert_eq!(publish(None), expected(None, &[]));
    }
}
