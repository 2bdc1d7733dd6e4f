//! What the webhook is asked, and how it can know who asks: the signature of Standard Webhooks.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::access::{Action, Identity};
use crate::authentication::Shown;

/// What stands before secrets that are base64.
const ENCODED: &str = "whsec_";

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

/// Signs requests.
pub(super) struct Signer(hmac::Key);

/// The headers of a request that prove who asks, and when.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) id: String,
    pub(super) timestamp: String,
    pub(super) signature: String,
}

impl Signer {
    /// Takes a secret: bytes, or as Standard Webhooks write it, `whsec_` and base64.
    ///
    /// # Errors
    /// What follows `whsec_` is no base64.
    pub(super) fn new(secret: &[u8]) -> Result<Self, &'static str> {
        let encoded = secret.strip_prefix(ENCODED.as_bytes());
        let decoded = encoded.map(|encoded| BASE64.decode(encoded));
        let key = match &decoded {
            None => secret,
            Some(Ok(decoded)) => decoded,
            Some(Err(_)) => return Err("what follows whsec_ must be base64"),
        };
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    pub(super) fn sign(&self, id: String, now: SystemTime, body: &[u8]) -> Signed {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let timestamp = since.as_secs().to_string();
        let mut context = hmac::Context::with_key(&self.0);
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            context.update(part);
        }
        let signature = format!("v1,{}", BASE64.encode(context.sign()));
        Signed {
            id,
            timestamp,
            signature,
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let signer = Signer::new(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret");
        let now = UNIX_EPOCH + Duration::from_secs(1_614_265_330);
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned();
        let signed = signer.sign(id, now, br#"{"test": 2432232314}"#);
        assert_eq!(signed.timestamp, "1614265330");
        assert_eq!(
            signed.signature,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert!(Signer::new(b"whsec_?").is_err());
        let plain = Signer::new(b"a secret of bytes").expect("a secret");
        assert!(!format!("{plain:?}").contains("secret of"));
    }

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
