//! Requests of the server to an application of a test: how they are read, and whether their signatures are right.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

/// A request that came in.
#[derive(Debug, Clone)]
pub(crate) struct Posted {
    /// By name in small letters.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) text: String,
}

impl Posted {
    /// Reads a POST to this path; none if the connection ends.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin), path: &str) -> Option<Self> {
        let (headers, body) = Self::read_any(stream, path).await?;
        let text = String::from_utf8(body).unwrap();
        Some(Self { headers, text })
    }

    /// Reads one whose body need not be text.
    pub(crate) async fn read_any(
        stream: &mut (impl AsyncRead + Unpin),
        path: &str,
    ) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        assert_eq!(lines.next(), Some(&*format!("POST {path} HTTP/1.1")));
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        stream.read_exact(&mut body).await.ok()?;
        Some((headers, body))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value)
    }

    /// Says what is wrong with the signatures: there is to be one by each secret, in their order.
    pub(crate) fn problem(&self, secrets: &[&str]) -> Option<String> {
        let (id, timestamp) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let sent = UNIX_EPOCH + Duration::from_secs(timestamp.parse().unwrap_or(0));
        let age = SystemTime::now().duration_since(sent).unwrap_or_default();
        if age > Duration::from_secs(60) {
            return Some(format!("{timestamp} is not now"));
        }
        let signed = format!("{id}.{timestamp}.{}", self.text);
        let signatures: Vec<&str> = self.header("webhook-signature").split(' ').collect();
        let is_valid = |(secret, signature): (&&str, &&str)| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let signature = signature.strip_prefix("v1,");
            let signature = signature.and_then(|text| BASE64.decode(text).ok());
            signature.is_some_and(|bytes| hmac::verify(&key, signed.as_bytes(), &bytes).is_ok())
        };
        let is_signed =
            signatures.len() == secrets.len() && secrets.iter().zip(&signatures).all(is_valid);
        (!is_signed).then(|| format!("{self:?} is not signed"))
    }
}

/// An answer with 200, whose body is this.
pub(crate) fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
