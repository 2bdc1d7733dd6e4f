//! What the owner has to know of a request, as bytes.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::authentication::Shown;
use crate::bayeux::RandomId;

/// Bytes of the length of the head.
const LENGTH: usize = 4;

/// A request that is passed on: its messages, and what its head has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedRequest {
    /// What tells it from all others of the node that passes it on. It comes again under its number only if that has
    /// got no answer.
    pub number: Option<u64>,
    /// The texts of its messages.
    pub texts: Vec<Bytes>,
    /// They were fields of a form or a query.
    pub are_fields: bool,
    /// How they are answered.
    pub format: PassedFormat,
    /// The function that its client has named.
    pub callback: Option<Box<str>>,
    /// The address of its client.
    pub client: Option<IpAddr>,
    /// The browser cookies that it has.
    pub cookies: Box<[RandomId]>,
    /// What it shows of its client.
    pub shown: Option<Arc<Shown>>,
    /// Whether it came by HTTP/2.
    pub by_http2: bool,
}

/// How its messages are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedFormat {
    /// As a JSON array.
    Json,
    /// As a script that calls the function.
    Script,
    /// As a JSON array in a response that is embedded in another.
    Embedded,
}

/// What stands before the texts, as JSON. What has its default is left out.
#[derive(Serialize, Deserialize)]
struct Head {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    /// The lengths of the texts.
    texts: Vec<usize>,
    format: PassedFormat,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    are_fields: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    headers: Box<[(Box<str>, Box<str>)]>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    by_http2: bool,
}

impl PassedRequest {
    /// Returns it as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let shown = self.shown.as_deref().cloned().unwrap_or_default();
        let head = Head {
            number: self.number,
            texts: self.texts.iter().map(Bytes::len).collect(),
            format: self.format,
            are_fields: self.are_fields,
            callback: self.callback.clone(),
            client: self.client,
            cookies: self.cookies.iter().map(ToString::to_string).collect(),
            token: shown.token,
            headers: shown.headers,
            by_http2: self.by_http2,
        };
        let head = serde_json::to_vec(&head).expect("all of it is JSON");
        let size: usize = self.texts.iter().map(Bytes::len).sum();
        let mut out = BytesMut::with_capacity(LENGTH + head.len() + size);
        out.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
        out.put_slice(&head);
        for text in &self.texts {
            out.put_slice(text);
        }
        out.freeze()
    }

    /// Reads it; nothing if it is malformed.
    #[must_use]
    pub fn decode(mut bytes: Bytes) -> Option<Self> {
        let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
        let head: Head = serde_json::from_slice(bytes.get(..length)?).ok()?;
        bytes.advance(length);
        let mut text = |length: &usize| (*length <= bytes.len()).then(|| bytes.split_to(*length));
        let texts = head.texts.iter().map(&mut text).collect::<Option<_>>()?;
        let cookies = head.cookies.iter().map(|cookie| cookie.parse());
        let shown = Shown {
            token: head.token,
            headers: head.headers,
        };
        bytes.is_empty().then_some(Self {
            number: head.number,
            texts,
            are_fields: head.are_fields,
            format: head.format,
            callback: head.callback,
            client: head.client,
            cookies: cookies.collect::<Result<_, _>>().ok()?,
            shown: (shown != Shown::default()).then(|| Arc::new(shown)),
            by_http2: head.by_http2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let plain = PassedRequest {
            number: None,
            texts: vec![Bytes::from_static(b"[{}]")],
            are_fields: false,
            format: PassedFormat::Json,
            callback: None,
            client: None,
            cookies: Box::default(),
            shown: None,
            by_http2: false,
        };
        let full = PassedRequest {
            number: Some(u64::MAX),
            texts: vec![
                Bytes::new(),
                Bytes::from_static(b"[]"),
                "[\"\u{e9}\"]".into(),
            ],
            are_fields: true,
            format: PassedFormat::Script,
            callback: Some("a.b".into()),
            client: Some([192, 0, 2, 1].into()),
            cookies: Box::new([
                RandomId::from_random([7; 16]),
                RandomId::from_random([8; 16]),
            ]),
            shown: Some(Arc::new(Shown {
                token: Some("a token".into()),
                headers: Box::new([("cookie".into(), "a=\"b\"".into())]),
            })),
            by_http2: true,
        };
        for request in [plain, full] {
            let bytes = request.encode();
            assert_eq!(PassedRequest::decode(bytes.clone()), Some(request));
            for end in 0..bytes.len() {
                assert_eq!(PassedRequest::decode(bytes.slice(..end)), None, "{end}");
            }
            let longer = [&bytes[..], b"x"].concat();
            assert_eq!(PassedRequest::decode(longer.into()), None);
        }
    }
}
