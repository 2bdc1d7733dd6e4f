//! The few batches of Bayeux messages a simulated client sends, and how it reads the replies.

use std::borrow::Cow;
use std::io::Write;
use std::time::Duration;

use memchr::memmem::{self, Finder};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::fault::{Fault, excerpt};
use super::transport::ConnectionType;

/// The channel of handshakes.
pub(super) const HANDSHAKE: &str = "/meta/handshake";
/// The channel of connects.
pub(super) const CONNECT: &str = "/meta/connect";
/// The channel of subscriptions.
pub(super) const SUBSCRIBE: &str = "/meta/subscribe";

/// How a reply says that all is well, and that it is not.
const SUCCESS: &[u8] = b"\"successful\":true";
const REFUSAL: &[u8] = b"\"successful\":false";
/// The field that says either.
const OUTCOME: &[u8] = b"\"successful\"";
/// The length of what stands around the marked text in a message's `data`: `{"bench":""}`.
const FRAME: usize = 12;

/// A handshake.
pub(super) fn handshake(connection_type: ConnectionType) -> Vec<u8> {
    let types = match connection_type {
        ConnectionType::LongPolling => vec![connection_type.name()],
        ConnectionType::WebSocket | ConnectionType::XhrStreaming => {
            vec![connection_type.name(), ConnectionType::LongPolling.name()]
        }
    };
    batch(&json!({
        "id": "1",
        "channel": HANDSHAKE,
        "version": "1.0",
        "minimumVersion": "1.0",
        "supportedConnectionTypes": types,
    }))
}

/// A connect; the first asks, as CometD's clients do, to be answered at once.
pub(super) fn connect(connection_type: ConnectionType, client_id: &str, is_first: bool) -> Vec<u8> {
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
pub(super) fn subscribe(client_id: &str, channel: &str) -> Vec<u8> {
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
pub(super) struct Reply {
    /// The session a handshake made; empty in other replies.
    pub(super) client_id: String,
    /// How long the server asks to wait before the next connect.
    pub(super) interval: Duration,
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
pub(super) fn read_reply(batch: &[u8], channel: &str) -> Result<Reply, Fault> {
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
pub(super) fn check_acknowledged(batch: &[u8], count: usize) -> Result<(), Fault> {
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

/// What a batch that a parked client got holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Messages of this run, and no reply.
    Messages,
    /// Messages of this run, and a successful reply to a connect.
    MessagesAndConnect,
    /// Successful replies to what was published, and nothing else.
    Acknowledgements,
    /// What has to be looked at more closely.
    Other,
}

/// Makes the published messages of one run and finds them again without parsing JSON.
///
/// The `data` of message 17 is `{"bench":"<run>#17#xxx"}`: the run's name keeps strangers apart.
#[derive(Debug)]
pub(super) struct Marker {
    prefix: String,
    payload: usize,
    sequence: Finder<'static>,
    connect: Finder<'static>,
    /// What all replies have, and no message.
    outcome: Finder<'static>,
}

impl Marker {
    /// A marker for the run of that name, and messages of `payload` bytes.
    pub(super) fn new(run: &str, payload: usize) -> Self {
        let prefix = format!("{run}#");
        Self {
            sequence: Finder::new(prefix.as_bytes()).into_owned(),
            connect: Finder::new(CONNECT.as_bytes()),
            outcome: Finder::new(OUTCOME),
            prefix,
            payload,
        }
    }

    /// The batch that publishes messages, each given by its number and its channel.
    pub(super) fn publish<'a>(
        &self,
        client_id: &str,
        messages: impl ExactSizeIterator<Item = (usize, &'a str)>,
    ) -> Vec<u8> {
        let client_id = json!(client_id).to_string();
        let mut batch = Vec::with_capacity(messages.len() * (self.payload + 160) + 2);
        for (number, channel) in messages {
            batch.push(if batch.is_empty() { b'[' } else { b',' });
            write!(
                batch,
                "{{\"id\":\"{number}\",\"channel\":\"{channel}\",\"clientId\":{client_id},\"data\":"
            )
            .expect("a vector takes every write");
            let data = batch.len();
            write!(batch, "{{\"bench\":\"{}{number}#", self.prefix)
                .expect("a vector takes every write");
            let end = data + self.payload.saturating_sub(2);
            batch.resize(batch.len().max(end), b'x');
            batch.extend_from_slice(b"\"}}");
        }
        batch.push(b']');
        batch
    }

    /// The numbers of this run's messages in a batch, in their order there.
    pub(super) fn sequences<'a>(&'a self, batch: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let mut rest = batch;
        std::iter::from_fn(move || {
            let at = self.sequence.find(rest)?;
            let marked = &rest[at + self.prefix.len()..];
            let digits = marked.iter().take_while(|byte| byte.is_ascii_digit());
            let number = digits.fold(0, |number: usize, digit| {
                number
                    .saturating_mul(10)
                    .saturating_add(usize::from(digit - b'0'))
            });
            // There is nothing to be found in what fills the payload up.
            let filled = self.payload.saturating_sub(self.prefix.len() + FRAME);
            rest = marked.get(filled..).unwrap_or_default();
            Some(number)
        })
    }

    /// What a batch holds, as far as that can be told without parsing it; it `has_messages` if there
    /// are numbers in it.
    pub(super) fn content(&self, batch: &[u8], has_messages: bool) -> Content {
        let mut outcomes = self.outcome.find_iter(batch).peekable();
        if outcomes.peek().is_none() {
            return match has_messages {
                true => Content::Messages,
                false => Content::Other,
            };
        }
        let are_good = outcomes.all(|at| is_true(&batch[at + OUTCOME.len()..]));
        let is_connect = self.connect.find(batch).is_some();
        match (are_good, is_connect, has_messages) {
            (true, true, true) => Content::MessagesAndConnect,
            (true, false, true) => Content::Messages,
            (true, false, false) => Content::Acknowledgements,
            (false, _, _) | (true, true, false) => Content::Other,
        }
    }
}

/// Whether the value that follows a key is `true`.
fn is_true(after_key: &[u8]) -> bool {
    let value = after_key.trim_ascii_start().strip_prefix(b":");
    value.is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_messages_it_made() {
        let marker = Marker::new("ab12", 60);
        let batch = marker.publish("me", (8..11).map(|number| (number, "/bench/ab12")));
        assert_eq!(marker.sequences(&batch).collect::<Vec<_>>(), [8, 9, 10]);
        let messages: Vec<Value> = serde_json::from_slice(&batch).unwrap();
        assert_eq!(messages[2]["id"], "10");
        for message in messages {
            assert_eq!(message["data"].to_string().len(), 60);
        }
    }

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
    fn small_payloads_still_carry_the_number() {
        let marker = Marker::new("ab12", 0);
        let batch = marker.publish("me", [(5, "/x")].into_iter());
        assert_eq!(marker.sequences(&batch).collect::<Vec<_>>(), [5]);
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

    #[test]
    fn tells_batches_apart_without_parsing() {
        let marker = Marker::new("ab12", 0);
        let event = r#"{"channel":"/x","data":{"bench":"ab12#5#"}}"#;
        let reply = r#"{"channel":"/meta/connect","successful":true}"#;
        let published = r#"{"channel":"/x","successful":true}"#;
        let cases = [
            (event.to_owned(), Content::Messages),
            (format!("{event},{event}"), Content::Messages),
            (format!("{event},{reply}"), Content::MessagesAndConnect),
            (
                format!("{event},{}", reply.replace("true", "false")),
                Content::Other,
            ),
            (reply.to_owned(), Content::Other),
            (r#"{"channel":"/x"}"#.to_owned(), Content::Other),
            (published.to_owned(), Content::Acknowledgements),
            (format!("{published},{event}"), Content::Messages),
            (format!("{published},{reply}"), Content::Other),
            (published.replace("true", "false"), Content::Other),
            (
                format!("{event},{}", published.replace("true", "false")),
                Content::Other,
            ),
            (event.replace("ab12", "cd34"), Content::Other),
            (
                format!("{event},{}", reply.replace(":true", " : true")),
                Content::MessagesAndConnect,
            ),
            (
                format!("{event},{}", reply.replace(":true", ": false")),
                Content::Other,
            ),
            (
                format!("{reply},{},{event}", published.replace("true", "false")),
                Content::Other,
            ),
        ];
        for (batch, expected) in cases {
            let has_messages = marker.sequences(batch.as_bytes()).next().is_some();
            let content = marker.content(batch.as_bytes(), has_messages);
            assert_eq!(content, expected, "{batch}");
        }
    }
}
