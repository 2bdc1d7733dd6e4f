//! How a client reads what comes: replies, and events.

use std::borrow::Cow;
use std::time::Duration;

use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::fault::{Fault, excerpt};
use super::messages::HANDSHAKE;
use super::position::Recoveries;

/// How a reply says that all is well, and that it is not.
const SUCCESS: &[u8] = b"\"successful\":true";
const REFUSAL: &[u8] = b"\"successful\":false";

/// A message, as far as a client looks at it.
#[derive(Debug, Deserialize)]
pub(crate) struct Incoming<'a> {
    #[serde(borrow)]
    pub(crate) channel: Option<Cow<'a, str>>,
    /// `id`, as it came.
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    pub(crate) successful: Option<bool>,
    #[serde(borrow, rename = "clientId")]
    client_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(crate) error: Option<Cow<'a, str>>,
    #[serde(borrow)]
    advice: Option<Advice<'a>>,
    /// What an event says, `null` too; replies have none.
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) data: Option<&'a RawValue>,
    #[serde(borrow)]
    ext: Option<&'a RawValue>,
}

fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

#[derive(Debug, Default, Deserialize)]
struct Advice<'a> {
    #[serde(borrow)]
    reconnect: Option<Cow<'a, str>>,
    interval: Option<f64>,
    timeout: Option<f64>,
}

/// What a client is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reconnect {
    /// Do the same again.
    Retry,
    /// Begin a new session.
    Handshake,
    /// Stop.
    Stop,
}

/// What the reply to a meta message tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reply {
    /// Whether the server did as it was asked.
    pub(crate) is_successful: bool,
    /// Why it did not.
    pub(crate) error: String,
    /// The session a handshake made; empty in other replies.
    pub(crate) client_id: String,
    /// What to do next, if the server says so.
    pub(crate) reconnect: Option<Reconnect>,
    /// How long the server asks to wait before that.
    pub(crate) interval: Duration,
    /// How long the server holds a connect, if it says so.
    pub(crate) hold: Option<Duration>,
    /// The number of the reply to a connect, or whether a handshake agrees to number them.
    pub(crate) ack: Option<Ack>,
    /// What the reply to a subscribe says of the past.
    pub(crate) replay: Recoveries,
    /// Channels and patterns of which messages may be missing.
    pub(crate) gap: Vec<String>,
}

/// What a reply says of acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Ack {
    /// Replies are numbered from now on.
    Agreed(bool),
    /// The number of this one.
    Number(i64),
}

#[derive(Deserialize)]
struct Ext {
    ack: Option<Ack>,
}

#[derive(Deserialize)]
struct Gap {
    gap: Vec<String>,
}

/// `ext` as far as it is about the past.
#[derive(Deserialize)]
struct Replay<T> {
    replay: T,
}

/// Data with a number inside, as clients of Salesforce want it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Numbered {
    event: NumberedEvent,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NumberedEvent {
    replay_id: u64,
}

impl Incoming<'_> {
    /// Whether this is the reply to what was sent under an id. (A server may answer with a number.)
    pub(crate) fn has_id(&self, id: &str) -> bool {
        let found = self.id.map(|found| found.get().trim_matches('"'));
        found == Some(id)
    }

    /// Whether this is an event, not a reply.
    pub(crate) fn is_event(&self) -> bool {
        let is_meta = |channel: &Cow<'_, str>| channel.starts_with("/meta/");
        self.data.is_some() && !self.channel.as_ref().is_none_or(is_meta)
    }

    /// The number of an event in its server's history, if it has one.
    pub(crate) fn replay_id(&self) -> Option<u64> {
        let ext = self.ext.map(|ext| serde_json::from_str(ext.get()));
        if let Some(Ok(Replay { replay })) = ext {
            return Some(replay);
        }
        let data: Numbered = serde_json::from_str(self.data?.get()).ok()?;
        Some(data.event.replay_id)
    }

    /// What it tells, if it is a reply.
    pub(crate) fn reply(&self) -> Reply {
        let none = Advice::default();
        let advice = self.advice.as_ref().unwrap_or(&none);
        let ext = self.ext.map(|ext| serde_json::from_str::<Ext>(ext.get()));
        let replay = self.ext.map(|ext| serde_json::from_str(ext.get()));
        let replay = replay.and_then(Result::ok);
        let gap = self.ext.map(|ext| serde_json::from_str(ext.get()));
        let gap = gap.and_then(Result::ok);
        Reply {
            is_successful: self.successful == Some(true),
            error: self.error.as_deref().unwrap_or_default().to_owned(),
            client_id: self.client_id.as_deref().unwrap_or_default().to_owned(),
            reconnect: match advice.reconnect.as_deref() {
                Some("handshake") => Some(Reconnect::Handshake),
                Some("none") => Some(Reconnect::Stop),
                Some(_) => Some(Reconnect::Retry),
                None => None,
            },
            interval: milliseconds(advice.interval).unwrap_or_default(),
            hold: milliseconds(advice.timeout),
            ack: ext.and_then(Result::ok).and_then(|ext| ext.ack),
            replay: replay.map_or_else(Recoveries::new, |Replay { replay }| replay),
            gap: gap.map_or_else(Vec::new, |Gap { gap }| gap),
        }
    }
}

fn milliseconds(value: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(value? / 1000.0).ok()
}

/// The wait that an error asks for: `429:MS:too_many_messages`.
pub(crate) fn wait_asked(error: &str) -> Option<Duration> {
    let mut parts = error.split(':');
    let is_later = parts.next() == Some("429");
    let wait = parts.next()?.parse().ok().filter(|_| is_later);
    wait.map(Duration::from_millis)
}

/// Finds the reply of a meta channel in a batch, be it a refusal.
pub(crate) fn find_reply(batch: &[u8], channel: &str) -> Result<Reply, Fault> {
    let messages = read_messages(batch)?;
    let reply = messages
        .iter()
        .find(|message| message.channel.as_deref() == Some(channel));
    reply
        .map(Incoming::reply)
        .ok_or_else(|| Fault::Refused(excerpt(batch)))
}

/// Finds the successful reply of a meta channel in a batch.
pub(crate) fn read_reply(batch: &[u8], channel: &str) -> Result<Reply, Fault> {
    let reply = find_reply(batch, channel)?;
    let goes_on = matches!(reply.reconnect, Some(Reconnect::Retry) | None);
    let has_session = channel != HANDSHAKE || !reply.client_id.is_empty();
    if reply.is_successful && goes_on && has_session {
        Ok(reply)
    } else {
        Err(Fault::Refused(excerpt(batch)))
    }
}

/// Counts the publishes that a batch acknowledges.
///
/// # Errors
/// It acknowledges none, or refuses one.
pub(crate) fn count_acknowledged(batch: &[u8]) -> Result<usize, Fault> {
    let is_refused = memmem::find(batch, REFUSAL).is_some();
    // No need to parse what says so as plainly as servers do.
    let successes = memmem::find_iter(batch, SUCCESS).count();
    if successes > 0 && !is_refused {
        return Ok(successes);
    }
    let messages = read_messages(batch)?;
    let is_good =
        |message: &&Incoming<'_>| message.data.is_none() && message.successful == Some(true);
    match messages.iter().filter(is_good).count() {
        0 => Err(Fault::Refused(excerpt(batch))),
        _ if messages
            .iter()
            .any(|message| message.successful == Some(false)) =>
        {
            Err(Fault::Refused(excerpt(batch)))
        }
        count => Ok(count),
    }
}

/// Reads the messages of an array, or of several that came at once.
fn read_messages(batch: &[u8]) -> Result<Vec<Incoming<'_>>, Fault> {
    let arrays = serde_json::Deserializer::from_slice(batch).into_iter::<Vec<Incoming<'_>>>();
    let mut messages = Vec::new();
    for array in arrays {
        messages.append(&mut array.map_err(|_| Fault::Refused(excerpt(batch)))?);
    }
    Ok(messages)
}

/// Reads the messages of an array, and the text of each as it came.
pub(crate) fn read_texts(batch: &[u8]) -> Result<Vec<(&str, Incoming<'_>)>, Fault> {
    let malformed =
        |error: serde_json::Error| Fault::Malformed(format!("{} ({error})", excerpt(batch)));
    let texts: Vec<&RawValue> = serde_json::from_slice(batch).map_err(malformed)?;
    texts
        .into_iter()
        .map(|text| {
            let text = text.get();
            Ok((text, serde_json::from_str(text).map_err(malformed)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_counted() {
        let good = r#"{"channel":"/x","successful":true}"#;
        let spaced = r#"{"channel": "/x", "successful": true}"#;
        let bad = r#"{"channel":"/x","successful":false}"#;
        // (batch, acknowledgements)
        let cases = [
            (format!("[{good}]"), Some(1)),
            (format!("[{spaced},{spaced}]"), Some(2)),
            (format!("[{good},{bad}]"), None),
            ("busy".to_owned(), None),
        ];
        for (batch, expected) in cases {
            let found = count_acknowledged(batch.as_bytes()).ok();
            assert_eq!(found, expected, "{batch}");
        }
    }

    #[test]
    fn an_event_is_told_from_a_reply_by_its_data() {
        for (text, is_event) in [
            (r#"{"channel":"/x","data":null}"#, true),
            (r#"{"data":{"channel":1},"channel":"/x","id":7}"#, true),
            (r#"{"channel":"/x","successful":true,"id":"1"}"#, false),
            (r#"{"channel":"/meta/connect","data":1}"#, false),
            (r#"{"data":1}"#, false),
        ] {
            let batch = format!("[{text}]");
            let messages = read_texts(batch.as_bytes()).unwrap();
            assert_eq!(messages[0].0, text);
            assert_eq!(messages[0].1.is_event(), is_event, "{text}");
        }
    }

    #[test]
    fn replies_tell_what_is_next() {
        let ms = Duration::from_millis;
        // (the fields of a reply, what it tells)
        let cases = [
            ("", Reply::default()),
            (
                r#","successful":true,"ext":{"ack":7},"advice":{"interval":20,"timeout":30000.0}"#,
                Reply {
                    is_successful: true,
                    interval: ms(20),
                    hold: Some(ms(30_000)),
                    ack: Some(Ack::Number(7)),
                    ..Reply::default()
                },
            ),
            (
                r#","successful":false,"error":"402::x","advice":{"reconnect":"handshake"}"#,
                Reply {
                    error: "402::x".to_owned(),
                    reconnect: Some(Reconnect::Handshake),
                    ..Reply::default()
                },
            ),
            (
                r#","advice":{"reconnect":"none","interval":-1},"ext":{"ack":true}"#,
                Reply {
                    reconnect: Some(Reconnect::Stop),
                    ack: Some(Ack::Agreed(true)),
                    ..Reply::default()
                },
            ),
            (
                r#","ext":{"gap":["/a"],"ack":true}"#,
                Reply {
                    ack: Some(Ack::Agreed(true)),
                    gap: vec!["/a".to_owned()],
                    ..Reply::default()
                },
            ),
            (r#","ext":[],"advice":null"#, Reply::default()),
        ];
        for (fields, expected) in cases {
            let batch = format!(r#"[{{"channel":"/meta/connect"{fields}}}]"#);
            let messages = read_texts(batch.as_bytes()).unwrap();
            assert_eq!(messages[0].1.reply(), expected, "{fields}");
        }
    }

    #[test]
    fn an_event_may_have_a_number_in_its_ext_or_in_its_data() {
        for (fields, expected) in [
            (r#""data":1,"ext":{"replay":7,"a":1}"#, Some(7)),
            (
                r#""data":{"event":{"replayId":8}},"ext":{"replay":7}"#,
                Some(7),
            ),
            (
                r#""data":{"event":{"replayId":8,"a":1}},"ext":{"a":1}"#,
                Some(8),
            ),
            (r#""data":{"event":{"replayId":8}}"#, Some(8)),
            (r#""data":{"event":{"replayId":"8"}}"#, None),
            (r#""data":{"event":1},"ext":[]"#, None),
            (r#""data":"x","ext":{"replay":-7}"#, None),
            (r#""data":null"#, None),
        ] {
            let text = format!(r#"{{"channel":"/x",{fields}}}"#);
            let message: Incoming<'_> = serde_json::from_str(&text).unwrap();
            assert_eq!(message.replay_id(), expected, "{text}");
        }
    }

    #[test]
    fn a_reply_tells_what_becomes_of_the_past() {
        for (ext, expected) in [
            (
                r#"{"replay":{"/a":{"recovered":true,"after":5,"first":1,"last":9,"epoch":"e"}}}"#,
                Some((true, None)),
            ),
            (
                r#"{"replay":{"/a":{"recovered":false,"reason":"limit"}},"ack":true}"#,
                Some((false, Some("limit"))),
            ),
            (r#"{"replay":{"/b":{"recovered":true}}}"#, None),
            (r#"{"replay":true}"#, None),
            (r#"{"replay":{"/a":{"recovered":1}}}"#, None),
        ] {
            let text = format!(r#"{{"channel":"/meta/subscribe","ext":{ext}}}"#);
            let message: Incoming<'_> = serde_json::from_str(&text).unwrap();
            let replay = message.reply().replay;
            let found = replay.get("/a");
            let found = found.map(|found| (found.recovered, found.reason.as_deref()));
            assert_eq!(found, expected, "{ext}");
        }
    }

    #[test]
    fn nonsense_is_no_batch() {
        for batch in [
            "",
            "busy",
            "{}",
            "[1]",
            r#"[{"channel":5}]"#,
            "[{}",
            "[{}][{}]",
        ] {
            assert!(read_texts(batch.as_bytes()).is_err(), "{batch}");
        }
    }

    #[test]
    fn ids_are_alike_as_text_and_as_number() {
        for (text, is_it) in [
            (r#"{"id":"17"}"#, true),
            (r#"{"id":17}"#, true),
            (r#"{"id":"171"}"#, false),
            (r#"{"id":null}"#, false),
            ("{}", false),
        ] {
            let message: Incoming<'_> = serde_json::from_str(text).unwrap();
            assert_eq!(message.has_id("17"), is_it, "{text}");
        }
    }

    #[test]
    fn an_error_may_ask_for_a_wait() {
        for (error, wait) in [
            ("429:250:too_many_messages", Some(250)),
            ("429:user:too_many_sessions", None),
            ("403:250:x", None),
            ("", None),
        ] {
            assert_eq!(
                wait_asked(error),
                wait.map(Duration::from_millis),
                "{error}"
            );
        }
    }
}
