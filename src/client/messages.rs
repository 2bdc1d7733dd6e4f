//! The few batches of Bayeux messages a client sends, and how it reads the replies.

use std::borrow::Cow;
use std::time::Duration;

use memchr::memmem;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::fault::{Fault, excerpt};
use super::transport::ConnectionType;

/// The channel of handshakes.
pub(crate) const HANDSHAKE: &str = "/meta/handshake";
/// The channel of connects.
pub(crate) const CONNECT: &str = "/meta/connect";
/// The channel of subscriptions.
pub(crate) const SUBSCRIBE: &str = "/meta/subscribe";

/// How a reply says that all is well, and that it is not.
const SUCCESS: &[u8] = b"\"successful\":true";
const REFUSAL: &[u8] = b"\"successful\":false";

/// A handshake, which may show a token.
pub(crate) fn handshake(connection_type: ConnectionType, token: Option<&str>) -> Vec<u8> {
    let types = match connection_type {
        ConnectionType::LongPolling => vec![connection_type.name()],
        ConnectionType::WebSocket | ConnectionType::XhrStreaming => {
            vec![connection_type.name(), ConnectionType::LongPolling.name()]
        }
    };
    let mut message = json!({
        "id": "1",
        "channel": HANDSHAKE,
        "version": "1.0",
        "minimumVersion": "1.0",
        "supportedConnectionTypes": types,
    });
    if let Some(token) = token {
        message["ext"] = json!({ "authentication": { "token": token } });
    }
    batch(&message)
}

/// A connect; the first asks, as CometD's clients do, to be answered at once.
pub(crate) fn connect(connection_type: ConnectionType, client_id: &str, is_first: bool) -> Vec<u8> {
    let advice = match is_first {
        true => r#","advice":{"timeout":0}"#,
        false => "",
    };
    let (name, client_id) = (connection_type.name(), Value::from(client_id));
    format!(
        r#"[{{"id":"2","channel":"{CONNECT}","connectionType":"{name}","clientId":{client_id}{advice}}}]"#
    )
    .into_bytes()
}

/// A subscription to one channel, whose name needs no escapes.
pub(crate) fn subscribe(client_id: &str, channel: &str) -> Vec<u8> {
    let client_id = Value::from(client_id);
    format!(
        r#"[{{"id":"3","channel":"{SUBSCRIBE}","subscription":"{channel}","clientId":{client_id}}}]"#
    )
    .into_bytes()
}

fn batch(message: &Value) -> Vec<u8> {
    json!([message]).to_string().into_bytes()
}

/// What the reply to a meta message tells.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Reply {
    /// The session a handshake made; empty in other replies.
    pub(crate) client_id: String,
    /// How long the server asks to wait before the next connect.
    pub(crate) interval: Duration,
}

/// The fields of a message that are looked at.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Option<Cow<'a, str>>,
    successful: Option<bool>,
    #[serde(borrow, rename = "clientId")]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    advice: Option<Advice<'a>>,
    data: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
struct Advice<'a> {
    #[serde(borrow)]
    reconnect: Option<Cow<'a, str>>,
    interval: Option<i64>,
}

/// Finds the successful reply of a meta channel in a batch.
pub(crate) fn read_reply(batch: &[u8], channel: &str) -> Result<Reply, Fault> {
    let refused = || Fault::Refused(excerpt(batch));
    let reply = read_messages(batch)?
        .into_iter()
        .find(|message| message.channel.as_deref() == Some(channel))
        .filter(|message| message.successful == Some(true))
        .ok_or_else(refused)?;
    let advice = reply.advice.unwrap_or_default();
    if matches!(advice.reconnect.as_deref(), Some("none" | "handshake")) {
        return Err(refused());
    }
    let client_id = reply.client_id.unwrap_or_default().into_owned();
    if channel == HANDSHAKE && client_id.is_empty() {
        return Err(refused());
    }
    let interval = u64::try_from(advice.interval.unwrap_or(0)).unwrap_or(0);
    Ok(Reply {
        client_id,
        interval: Duration::from_millis(interval),
    })
}

/// Checks that a batch acknowledges `count` publishes.
pub(crate) fn check_acknowledged(batch: &[u8], count: usize) -> Result<(), Fault> {
    // No need to parse what says so as plainly as servers do.
    let successes = memmem::find_iter(batch, SUCCESS).count();
    if successes == count && memmem::find(batch, REFUSAL).is_none() {
        return Ok(());
    }
    let messages = read_messages(batch)?;
    let acknowledged = messages
        .iter()
        .filter(|message| message.data.is_none() && message.successful == Some(true))
        .count();
    if acknowledged == count {
        Ok(())
    } else {
        Err(Fault::Refused(excerpt(batch)))
    }
}

/// Reads the messages of an array, or of several that came at once.
fn read_messages(batch: &[u8]) -> Result<Vec<Message<'_>>, Fault> {
    let arrays = serde_json::Deserializer::from_slice(batch).into_iter::<Vec<Message<'_>>>();
    let mut messages = Vec::new();
    for array in arrays {
        messages.append(&mut array.map_err(|_| Fault::Refused(excerpt(batch)))?);
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_and_subscriptions_are_json() {
        let connect = connect(ConnectionType::WebSocket, "m\"e", true);
        let connect: Value = serde_json::from_slice(&connect).unwrap();
        let expected = json!([{
            "id": "2",
            "channel": "/meta/connect",
            "connectionType": "websocket",
            "clientId": "m\"e",
            "advice": {"timeout": 0},
        }]);
        assert_eq!(connect, expected);
        let subscribe: Value = serde_json::from_slice(&subscribe("m\"e", "/x")).unwrap();
        let expected = json!([{
            "id": "3", "channel": "/meta/subscribe", "subscription": "/x", "clientId": "m\"e",
        }]);
        assert_eq!(subscribe, expected);
    }

    #[test]
    fn acknowledgements_are_counted() {
        let good = r#"{"channel":"/x","successful":true}"#;
        let spaced = r#"{"channel": "/x", "successful": true}"#;
        let bad = r#"{"channel":"/x","successful":false}"#;
        // (batch, acknowledgements)
        let cases = [
            (format!("[{good}]"), Some(1)),
            (format!("[{spaced},{spaced}]"), Some(2)),
            (format!("[{good},{bad}]"), Some(1)),
            ("busy".to_owned(), None),
        ];
        for (batch, expected) in cases {
            let found = (1..3).find(|&count| check_acknowledged(batch.as_bytes(), count).is_ok());
            assert_eq!(found, expected, "{batch}");
        }
    }
}
