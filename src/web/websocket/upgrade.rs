//! The request that turns a connection into a WebSocket, and its answer (RFC 6455 section 4.2).

use http::{Method, StatusCode, Version, header};
use tungstenite::handshake::derive_accept_key;

use super::deflate;
use crate::web::{Head, Headers, Response};

/// An upgrade that is accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The response, after which the connection carries frames.
    pub response: Response,
    /// Whether messages may be deflated, both ways.
    pub deflates: bool,
}

/// Why an upgrade is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// It is for another version of the protocol.
    #[error("the WebSocket version must be 13")]
    Version,
    /// It has no key, or one that is not.
    #[error("the upgrade to WebSocket needs a Sec-WebSocket-Key of 16 bytes in Base64")]
    Key,
}

impl From<UpgradeError> for Response {
    fn from(refused: UpgradeError) -> Self {
        let status = match refused {
            UpgradeError::Version => StatusCode::UPGRADE_REQUIRED,
            UpgradeError::Key => StatusCode::BAD_REQUEST,
        };
        let response = Self::error(status, &refused.to_string());
        if refused == UpgradeError::Version {
            return response
                .header("Sec-WebSocket-Version", b"13")
                .header("Upgrade", b"websocket");
        }
        response
    }
}

/// Tells whether a request asks for a WebSocket.
#[must_use]
pub fn is_upgrade(head: &Head) -> bool {
    head.method == Method::GET
        && head.version != Version::HTTP_10
        && head.headers.lists(&header::CONNECTION, "upgrade")
        && head.headers.lists(&header::UPGRADE, "websocket")
}

/// Accepts an upgrade.
///
/// A sub-protocol that the client asks for is echoed, the first of several: CometD's clients may be
/// configured to insist on one, and none changes what is spoken.
///
/// # Errors
/// The version or the key is not right.
pub fn accept(headers: &Headers, may_deflate: bool) -> Result<Accepted, UpgradeError> {
    if headers.text(&header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(UpgradeError::Version);
    }
    let key = headers.text(&header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|key| is_key(key));
    let key = derive_accept_key(key.ok_or(UpgradeError::Key)?.as_bytes());
    let mut response = Response::new(StatusCode::SWITCHING_PROTOCOLS)
        .header_lines(b"Upgrade: websocket\r\nConnection: Upgrade\r\n")
        .header("Sec-WebSocket-Accept", key.as_bytes());
    let protocols = headers.text(&header::SEC_WEBSOCKET_PROTOCOL);
    let protocols = protocols.unwrap_or_default();
    let mut protocols = protocols.split(',').map(str::trim);
    if let Some(first) = protocols.next().filter(|first| !first.is_empty()) {
        response = response.header("Sec-WebSocket-Protocol", first.as_bytes());
    }
    let mut offers = headers.texts(&header::SEC_WEBSOCKET_EXTENSIONS);
    let deflate = offers.find_map(deflate::accept).filter(|_| may_deflate);
    if let Some(answer) = deflate {
        response = response.header("Sec-WebSocket-Extensions", answer.as_bytes());
    }
    Ok(Accepted {
        response,
        deflates: deflate.is_some(),
    })
}

/// 16 bytes are 22 characters and two that fill up.
fn is_key(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.strip_suffix("==")
        .is_some_and(|digits| digits.len() == 22 && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(headers: &[(&'static str, &'static str)]) -> Head {
        let fields = headers.iter();
        Head {
            method: Method::GET,
            uri: http::Uri::default(),
            version: Version::HTTP_11,
            headers: fields
                .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
                .collect(),
        }
    }

    #[test]
    fn an_upgrade_names_both_headers_in_any_case() {
        let cases: [(&[(&str, &str)], bool); 4] = [
            (
                &[
                    ("connection", "keep-alive, Upgrade"),
                    ("upgrade", "WebSocket"),
                ],
                true,
            ),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "upgrade")], false),
            (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
        ];
        for (headers, expected) in cases {
            assert_eq!(is_upgrade(&request(headers)), expected, "{headers:?}");
        }
    }

    #[test]
    fn the_answer_proves_the_key_and_takes_what_is_offered() {
        let request = request(&[
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-protocol", "cometd, other"),
            ("sec-websocket-extensions", "x, permessage-deflate"),
        ]);
        let accepted = accept(&request.headers, true).expect("an answer");
        assert!(accepted.deflates);
        let persistence = crate::web::Persistence::of(&request);
        let bytes = accepted.response.encode(persistence);
        let text = String::from_utf8(bytes).expect("UTF-8");
        let lines: Vec<&str> = text
            .split("\r\n")
            .filter(|line| !line.starts_with("Date"))
            .collect();
        let expected = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
            "Sec-WebSocket-Protocol: cometd",
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            "X-Content-Type-Options: nosniff",
            "",
            "",
        ];
        assert_eq!(lines, expected);
        assert!(!accept(&request.headers, false).expect("an answer").deflates);
    }

    #[test]
    fn another_version_or_key_is_refused() {
        let cases: [(&[(&str, &str)], UpgradeError); 4] = [
            (&[("sec-websocket-key", KEY)], UpgradeError::Version),
            (
                &[("sec-websocket-key", KEY), ("sec-websocket-version", "8")],
                UpgradeError::Version,
            ),
            (&[("sec-websocket-version", "13")], UpgradeError::Key),
            (
                &[("sec-websocket-key", "x"), ("sec-websocket-version", "13")],
                UpgradeError::Key,
            ),
        ];
        for (headers, expected) in cases {
            assert_eq!(
                accept(&request(headers).headers, true).err(),
                Some(expected),
                "{headers:?}"
            );
        }
    }
}
