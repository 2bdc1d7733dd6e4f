//! The published messages of a run, and how they are found again.

use std::io::Write;

use memchr::memmem::Finder;
use serde_json::json;

use crate::client::messages::CONNECT;

/// The field by which a reply says whether all is well.
const OUTCOME: &[u8] = b"\"successful\"";
/// The length of what stands around the marked text in a message's `data`: `{"bench":""}`.
const FRAME: usize = 12;

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
    use serde_json::Value;

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
