//! A part of what is kept, and how it is written for requests.

use std::io::Write;

use crate::bayeux::{ChannelPattern, NotRecovered};
use crate::history::{Epoch, Kept};

/// A part of what is kept of a channel or pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of which channels.
    pub pattern: ChannelPattern,
    /// The name of the store's numbers.
    pub epoch: Epoch,
    /// The messages, in the order of their numbers.
    pub messages: Vec<Kept>,
    /// After this number they begin.
    pub after: u64,
    /// After this number the next part begins.
    pub next: u64,
    /// Why it is not all that there was; nothing: it is.
    pub missing: Option<NotRecovered>,
    /// There was no more when it was read.
    pub is_end: bool,
}

/// What a message takes beside its bytes and its channel's name, and the frame of all, about.
const ROOM: usize = 128;

impl Part {
    /// Writes it as JSON, in which `data` is as it was sent.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let sizes = self.messages.iter();
        let sizes = sizes
            .map(|kept| kept.entry.body.len() + kept.entry.channel.as_str().len() + ROOM)
            .sum::<usize>();
        let mut json = Vec::with_capacity(sizes + 2 * ROOM);
        self.write(&mut json).expect("memory takes all");
        json
    }

    fn write(&self, json: &mut Vec<u8>) -> std::io::Result<()> {
        json.write_all(b"{\"channel\":")?;
        serde_json::to_writer(&mut *json, self.pattern.as_str())?;
        json.write_all(b",\"epoch\":")?;
        serde_json::to_writer(&mut *json, &*self.epoch)?;
        json.write_all(b",\"messages\":[")?;
        for (index, kept) in self.messages.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            write_message(json, kept)?;
        }
        let Self {
            after,
            next,
            is_end,
            ..
        } = self;
        let complete = self.missing.is_none();
        write!(
            json,
            "],\"after\":{after},\"next\":{next},\"complete\":{complete}"
        )?;
        if let Some(missing) = self.missing {
            json.write_all(b",\"reason\":")?;
            serde_json::to_writer(&mut *json, &missing)?;
        }
        write!(json, ",\"end\":{is_end}}}")
    }
}

fn write_message(json: &mut Vec<u8>, kept: &Kept) -> std::io::Result<()> {
    let Kept { place, entry } = kept;
    write!(
        json,
        "{{\"id\":{},\"before\":{},\"channel\":",
        place.id, place.before
    )?;
    serde_json::to_writer(&mut *json, entry.channel.as_str())?;
    let at = humantime::format_rfc3339_micros(entry.at);
    write!(json, ",\"at\":\"{at}\",\"data\":")?;
    json.write_all(&entry.body.data)?;
    if let Some(ext) = &entry.body.ext {
        json.write_all(b",\"ext\":")?;
        json.write_all(ext)?;
    }
    if let Some(custom) = &entry.body.custom {
        json.write_all(b",\"fields\":{")?;
        json.write_all(custom)?;
        json.push(b'}');
    }
    json.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use bytes::Bytes;

    use super::*;
    use crate::bayeux::{ChannelName, Limits};
    use crate::history::{Body, Entry, Place};

    fn kept(id: u64, ext: Option<&'static str>, custom: Option<&'static str>) -> Kept {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        Kept {
            place: Place { id, before: id - 1 },
            entry: Entry {
                channel: ChannelName::parse("/a/b", &Limits::default()).expect("a channel"),
                at: UNIX_EPOCH + Duration::from_micros(1_500_000),
                body: Body {
                    data: bytes("{\"x\": 1e400,\t\"y\":[]}"),
                    ext: ext.map(bytes),
                    custom: custom.map(bytes),
                },
            },
        }
    }

    #[test]
    fn a_part_is_written_with_data_as_it_was_sent() {
        let part = Part {
            pattern: ChannelPattern::parse("/a/**", &Limits::default()).expect("a pattern"),
            epoch: "e1".into(),
            messages: Vec::new(),
            after: 3,
            next: 9,
            missing: None,
            is_end: true,
        };
        assert_eq!(
            String::from_utf8(part.json()).expect("a text"),
            r#"{"channel":"/a/**","epoch":"e1","messages":[],"after":3,"next":9,"complete":true,"end":true}"#
        );
        let part = Part {
            messages: vec![kept(5, None, None), kept(9, Some("{ }"), Some("\"c\":1"))],
            missing: Some(NotRecovered::Expired),
            is_end: false,
            ..part
        };
        let message = concat!(
            r#""channel":"/a/b","at":"1970-01-01T00:00:01.500000Z","data":{"x": 1e400,"#,
            "\t",
            r#""y":[]}"#
        );
        assert_eq!(
            String::from_utf8(part.json()).expect("a text"),
            [
                r#"{"channel":"/a/**","epoch":"e1","messages":[{"id":5,"before":4,"#,
                message,
                r#"},{"id":9,"before":8,"#,
                message,
                r#","ext":{ },"fields":{"c":1}}],"after":3,"next":9,"complete":false,"#,
                r#""reason":"expired","end":false}"#,
            ]
            .concat()
        );
    }
}
