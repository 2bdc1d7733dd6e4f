//! The few batches of Bayeux messages a simulated client sends, and how it reads the replies.

use std::io::Write;
use std::time::Duration;

use memchr::memmem::{self, Finder};
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
    let mut message = json!({
        "id": "2",
        "channel": CONNECT,
        "connectionType": connection_type.name(),
        "clientId": client_id,
    });
    if is_first {
        message["advice"] = json!({"timeout": 0});
    }
    batch(&message)
}

/// A subscription to one channel.
pub(super) fn subscribe(client_id: &str, channel: &str) -> Vec<u8> {
    batch(&json!({
        "id": "3",
        "channel": SUBSCRIBE,
        "subscription": channel,
        "clientId": client_id,
    }))
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

/// Finds the successful reply of a meta channel in a batch.
pub(super) fn read_reply(batch: &[u8], channel: &str) -> Result<Reply, Fault> {
    let refused = || Fault::Refused(excerpt(batch));
    let messages = read_messages(batch)?;
    let reply = messages
        .iter()
        .find(|message| message["channel"] == channel)
        .filter(|message| message["successful"] == true)
        .ok_or_else(refused)?;
    let advice = &reply["advice"];
    if matches!(advice["reconnect"].as_str(), Some("none" | "handshake")) {
        return Err(refused());
    }
    let client_id = reply["clientId"].as_str().unwrap_or_default().to_owned();
    if channel == HANDSHAKE && client_id.is_empty() {
        return Err(refused());
    }
    Ok(Reply {
        client_id,
        interval: Duration::from_millis(advice["interval"].as_u64().unwrap_or(0)),
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
        .filter(|message| message.get("data").is_none() && message["successful"] == true)
        .count();
    if acknowledged == count {
        Ok(())
    } else {
        Err(Fault::Refused(excerpt(batch)))
    }
}

fn read_messages(batch: &[u8]) -> Result<Vec<Value>, Fault> {
    serde_json::from_slice(batch).map_err(|_| Fault::Refused(excerpt(batch)))
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
    refusal: Finder<'static>,
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
            refusal: Finder::new(REFUSAL),
            connect: Finder::new(CONNECT.as_bytes()),
            outcome: Finder::new(b"\"successful\""),
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
        self.sequence.find_iter(batch).map(|at| {
            batch[at + self.prefix.len()..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .fold(0, |number: usize, digit| {
                    number
                        .saturating_mul(10)
                        .saturating_add(usize::from(digit - b'0'))
                })
        })
    }

    /// What a batch holds, as far as that can be told without parsing it.
    pub(super) fn content(&self, batch: &[u8]) -> Content {
        let has_messages = self.sequence.find(batch).is_some();
        let Some(reply) = self.outcome.find(batch) else {
            return match has_messages {
                true => Content::Messages,
                false => Content::Other,
            };
        };
        let is_connect = self.connect.find(batch).is_some();
        let is_refusal = self.refusal.find(&batch[reply..]).is_some();
        match (is_refusal, is_connect, has_messages) {
            (false, true, true) => Content::MessagesAndConnect,
            (false, false, true) => Content::Messages,
            (false, false, false) => Content::Acknowledgements,
            (true, _, _) | (false, true, false) => Content::Other,
        }
    }
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
        ];
        for (batch, expected) in cases {
            assert_eq!(marker.content(batch.as_bytes()), expected, "{batch}");
        }
    }
}
