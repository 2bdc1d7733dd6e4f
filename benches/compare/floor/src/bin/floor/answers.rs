//! The requests that `mirant bench` makes, and answers of fixed form; does no I/O.

use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::str;

use data_encoding::BASE64;
use memchr::memmem;
use sha1::{Digest, Sha1};

/// The reply to a connect that is answered at once.
pub(crate) const CONNECTED: &str =
    r#"[{"id":"2","channel":"/meta/connect","successful":true,"advice":{"reconnect":"retry"}}]"#;
/// The reply to a subscription.
pub(crate) const SUBSCRIBED: &str = r#"[{"id":"3","channel":"/meta/subscribe","successful":true}]"#;
/// What RFC 6455 appends to a key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a batch asks for: it has one message.
pub(crate) enum Request {
    /// A handshake.
    Handshake,
    /// A connect.
    Connect {
        /// Whether it may wait for an event.
        is_held: bool,
    },
    /// A subscription to some channel.
    Subscribe,
    /// An event for everyone.
    Publish {
        /// What subscribers get.
        event: String,
        /// The batch that the publisher gets.
        acknowledgement: String,
    },
}

impl Request {
    /// Finds out, by as little as tells them apart.
    pub(crate) fn of(batch: &[u8]) -> io::Result<Self> {
        let Some(meta) = memmem::find(batch, b"\"/meta/") else {
            return Self::publish(batch).ok_or_else(|| ErrorKind::InvalidData.into());
        };
        match batch.get(meta + 7) {
            Some(b'h') => Ok(Self::Handshake),
            Some(b'c') => Ok(Self::Connect {
                is_held: memmem::find(batch, b"\"timeout\":0").is_none(),
            }),
            Some(b's') => Ok(Self::Subscribe),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }

    /// A message whose last field is `data`.
    fn publish(batch: &[u8]) -> Option<Self> {
        let batch = str::from_utf8(batch).ok()?;
        let (_, after) = batch.split_once("\"channel\":\"")?;
        let (channel, _) = after.split_once('"')?;
        let (_, data) = batch.strip_suffix("}]")?.split_once("\"data\":")?;
        Some(Self::Publish {
            event: format!(r#"{{"channel":"{channel}","data":{data}}}"#),
            acknowledgement: format!(r#"[{{"channel":"{channel}","successful":true}}]"#),
        })
    }
}

/// The batch of a request; the request must be whole, which its last byte tells.
pub(crate) fn body(request: &[u8]) -> io::Result<&[u8]> {
    memmem::find(request, b"\r\n\r\n")
        .map(|head| &request[head + 4..])
        .filter(|body| body.ends_with(b"]"))
        .ok_or_else(|| ErrorKind::InvalidData.into())
}

/// The response to a request that wants to go over to WebSocket.
pub(crate) fn upgrade(request: &[u8]) -> Option<String> {
    if !request.starts_with(b"GET ") {
        return None;
    }
    let (_, after) = str::from_utf8(request)
        .ok()?
        .split_once("Sec-WebSocket-Key: ")?;
    let (key, _) = after.split_once("\r\n")?;
    let accept = BASE64.encode(&Sha1::digest(format!("{key}{GUID}")));
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// The reply to a handshake; the connection's number is the client's id.
pub(crate) fn handshake(number: usize) -> String {
    format!(
        r#"[{{"id":"1","channel":"/meta/handshake","version":"1.0","successful":true,"clientId":"{number}","supportedConnectionTypes":["websocket","long-polling"],"advice":{{"reconnect":"retry","interval":0,"timeout":30000}}}}]"#
    )
}

/// The batch that answers a held connect with events.
pub(crate) fn delivery(events: &str) -> Vec<u8> {
    format!(r#"[{events},{{"id":"2","channel":"/meta/connect","successful":true}}]"#).into_bytes()
}

/// The HTTP response that carries a batch.
pub(crate) fn response(batch: &[u8]) -> Vec<u8> {
    let mut head = String::from("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
    write!(head, "Content-Length: {}\r\n\r\n", batch.len()).expect("a string takes every write");
    [head.as_bytes(), batch].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_channel_and_data_of_a_publish() {
        let batch = br#"[{"id":"0","channel":"/x","clientId":"7","data":{"bench":"a#0#"}}]"#;
        let Ok(Request::Publish { event, .. }) = Request::of(batch) else {
            panic!("not a publish");
        };
        assert_eq!(event, r#"{"channel":"/x","data":{"bench":"a#0#"}}"#);
    }

    #[test]
    fn only_connects_without_a_timeout_are_held() {
        // (message, whether it is held)
        let cases = [
            (
                r#"[{"advice":{"timeout":0},"channel":"/meta/connect"}]"#,
                false,
            ),
            (r#"[{"channel":"/meta/connect"}]"#, true),
        ];
        for (batch, expected) in cases {
            let Ok(Request::Connect { is_held }) = Request::of(batch.as_bytes()) else {
                panic!("not a connect: {batch}");
            };
            assert_eq!(is_held, expected, "{batch}");
        }
    }

    #[test]
    fn accepts_as_the_rfc_does() {
        let request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let response = upgrade(request).unwrap();
        assert!(
            response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            "{response}"
        );
    }
}
