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

/// What a batch asks for: it has one message, or some that publish.
pub(crate) enum Request<'a> {
    /// A handshake.
    Handshake,
    /// A connect.
    Connect {
        /// Whether it may wait for an event.
        is_held: bool,
    },
    /// A subscription to one channel, which is not a pattern.
    Subscribe {
        /// The channel.
        channel: &'a str,
    },
    /// Events for those who have subscribed to their channels.
    Publish(Vec<Event<'a>>),
}

/// What subscribers get of a publish.
pub(crate) struct Event<'a> {
    /// Where it is published.
    pub(crate) channel: &'a str,
    /// The message, as JSON.
    pub(crate) text: String,
}

impl<'a> Request<'a> {
    /// Finds out, by as little as tells them apart.
    pub(crate) fn of(batch: &'a [u8]) -> io::Result<Self> {
        let request = match memmem::find(batch, b"\"/meta/") {
            None => Self::publish(batch),
            Some(meta) => match batch.get(meta + 7) {
                Some(b'h') => Some(Self::Handshake),
                Some(b'c') => Some(Self::Connect {
                    is_held: memmem::find(batch, b"\"timeout\":0").is_none(),
                }),
                Some(b's') => Self::subscribe(batch),
                _ => None,
            },
        };
        request.ok_or_else(|| ErrorKind::InvalidData.into())
    }

    fn subscribe(batch: &'a [u8]) -> Option<Self> {
        let (_, channel) = field(str::from_utf8(batch).ok()?, "\"subscription\":\"")?;
        Some(Self::Subscribe { channel })
    }

    /// Messages whose first field is `id`, and whose last is `data`.
    fn publish(batch: &'a [u8]) -> Option<Self> {
        let messages = str::from_utf8(batch).ok()?;
        let messages = messages.strip_prefix("[{\"id\"")?.strip_suffix("}]")?;
        let events = messages.split("},{\"id\"").map(|message| {
            let (rest, channel) = field(message, "\"channel\":\"")?;
            let (_, data) = rest.split_once("\"data\":")?;
            Some(Event {
                channel,
                text: format!(r#"{{"channel":"{channel}","data":{data}}}"#),
            })
        });
        events.collect::<Option<_>>().map(Self::Publish)
    }
}

/// What is behind a field that holds a plain string, and the string.
fn field<'a>(message: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let (_, after) = message.split_once(name)?;
    let (value, rest) = after.split_once('"')?;
    Some((rest, value))
}

/// Takes the batch of the first request off; nothing when there is none.
///
/// # Errors
///
/// When there is anything but a whole request, whose last header says how long the body is.
pub(crate) fn take(arrived: &[u8]) -> io::Result<Option<(&[u8], &[u8])>> {
    if arrived.is_empty() {
        return Ok(None);
    }
    let batch = memmem::find(arrived, b"\r\n\r\n").and_then(|end| {
        let (head, body) = (&arrived[..end], &arrived[end + 4..]);
        let length = &head[memchr::memrchr(b' ', head)? + 1..];
        body.split_at_checked(str::from_utf8(length).ok()?.parse().ok()?)
    });
    batch.map(Some).ok_or_else(|| ErrorKind::InvalidData.into())
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

/// The batch that answers a publisher.
pub(crate) fn acknowledgement(events: &[Event<'_>]) -> String {
    let mut batch = String::from("[");
    for Event { channel, .. } in events {
        let comma = if batch.len() > 1 { "," } else { "" };
        write!(
            batch,
            r#"{comma}{{"channel":"{channel}","successful":true}}"#
        )
        .expect("a string takes every write");
    }
    batch + "]"
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
    fn events_are_channels_and_data_of_publishes() {
        let one = r#"{"id":"0","channel":"/x","clientId":"7","data":{"bench":"a#0#"}}"#;
        let other = r#"{"id":"1","channel":"/y","clientId":"7","data":{"bench":"a#1#"}}"#;
        let batch = format!("[{one},{other}]");
        let Ok(Request::Publish(events)) = Request::of(batch.as_bytes()) else {
            panic!("not a publish");
        };
        let found: Vec<_> = events
            .iter()
            .map(|event| (event.channel, &*event.text))
            .collect();
        let expected = [
            ("/x", r#"{"channel":"/x","data":{"bench":"a#0#"}}"#),
            ("/y", r#"{"channel":"/y","data":{"bench":"a#1#"}}"#),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            acknowledgement(&events),
            r#"[{"channel":"/x","successful":true},{"channel":"/y","successful":true}]"#
        );
    }

    #[test]
    fn subscriptions_name_a_channel() {
        let batch = br#"[{"channel":"/meta/subscribe","subscription":"/x/1"}]"#;
        let Ok(Request::Subscribe { channel }) = Request::of(batch) else {
            panic!("not a subscription");
        };
        assert_eq!(channel, "/x/1");
    }

    #[test]
    fn takes_requests_one_by_one() {
        let one = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]";
        let both = [&one[..], one].concat();
        let (first, rest) = take(&both).unwrap().unwrap();
        assert_eq!(first, b"[]");
        assert_eq!(rest, one);
        let (_, rest) = take(rest).unwrap().unwrap();
        assert!(take(rest).unwrap().is_none());
        assert!(take(&one[..one.len() - 1]).is_err());
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
