//! An event in parts, as it is kept: from them it is encoded with its number, each time to the same bytes.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

use super::event::{BEFORE_CHANNEL, BEFORE_DATA, BEFORE_EXT};
use super::replay::REPLAY;
use super::value::{entries, text, without};
use super::{ChannelName, Event, Name, ReplayId};

/// What subscribers receive of a message beside its channel and number: JSON, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts<'a> {
    /// `data`.
    pub data: Cow<'a, [u8]>,
    /// `ext`, an object; without `replay`.
    pub ext: Option<Cow<'a, [u8]>>,
    /// The other fields: members of an object, without its braces, such as `"a":1,"b":2`.
    pub custom: Option<Cow<'a, [u8]>>,
}

impl<'a> Parts<'a> {
    /// Takes what there is of a message. An `ext` that is no object is left out.
    pub(super) fn of(
        data: &'a RawValue,
        ext: Option<&'a RawValue>,
        custom: &[(Name<'_>, Cow<'_, RawValue>)],
    ) -> Self {
        let is_object = |ext: &&RawValue| ext.get().starts_with('{');
        let ext = ext.filter(is_object).and_then(|ext| without(ext, REPLAY));
        let member = |(name, value): &(Name<'_>, Cow<'_, RawValue>)| {
            [name.json(), value.get()].join(":").into_bytes()
        };
        let members: Vec<Vec<u8>> = custom.iter().map(member).collect();
        Self {
            data: Cow::Borrowed(data.get().as_bytes()),
            ext: ext.map(|ext| match ext {
                Cow::Borrowed(ext) => Cow::Borrowed(ext.get().as_bytes()),
                Cow::Owned(ext) => Cow::Owned(ext.get().as_bytes().to_vec()),
            }),
            custom: (!members.is_empty()).then(|| Cow::Owned(members.join(&b','))),
        }
    }

    /// Encodes the event of this number; every part keeps its bytes, but for the number. Where `data` has no
    /// room for it (it is no object, or its `event` is none) it stands in `ext`.
    #[must_use]
    pub fn encode(&self, channel: &ChannelName, id: u64, place: ReplayId) -> Event {
        let name = channel.as_str();
        let number = id.to_string();
        let with_number = match place {
            ReplayId::Data if id > 0 => in_data(&self.data, &number),
            _ => None,
        };
        let mut pieces: Vec<&[u8]> = vec![BEFORE_CHANNEL, name.as_bytes(), BEFORE_DATA];
        match &with_number {
            Some(texts) => pieces.extend(texts.iter().map(|text| text.as_bytes())),
            None => pieces.push(&self.data),
        }
        let is_in_ext = id > 0 && place != ReplayId::None && with_number.is_none();
        let ext = self.ext.as_deref();
        if is_in_ext {
            pieces.extend([BEFORE_EXT, b"{\"replay\":", number.as_bytes()]);
            let rest = ext.and_then(|ext| ext.strip_prefix(b"{"));
            let rest = rest.unwrap_or(b"}");
            if rest.trim_ascii_start() != b"}" {
                pieces.push(b",");
            }
            pieces.push(rest);
        } else if let Some(ext) = ext {
            pieces.extend([BEFORE_EXT, ext]);
        }
        if let Some(custom) = &self.custom {
            pieces.extend([b",", &**custom]);
        }
        pieces.push(b"}");
        Event::new(pieces.concat(), name.len(), id)
    }
}

/// Returns the pieces of `data` with a number in `event.replayId`; nothing if it cannot be there.
///
/// Of several fields of one name parsers take one or the other, so it stands in all.
fn in_data<'a>(data: &'a [u8], number: &'a str) -> Option<Vec<&'a str>> {
    let object: &RawValue = serde_json::from_slice(data).ok()?;
    let source = object.get();
    let events = values(object, "event")?;
    if events.is_empty() {
        let rest = &source[1..];
        let comma = separator(rest);
        return Some(vec!["{\"event\":{\"replayId\":", number, "}", comma, rest]);
    }
    let mut pieces = Vec::new();
    let mut done = 0;
    for event in events {
        let ids = values(event, "replayId")?;
        if ids.is_empty() {
            let rest = span(source, event.get()).start + 1;
            let comma = separator(&source[rest..]);
            pieces.extend([&source[done..rest], "\"replayId\":", number, comma]);
            done = rest;
        }
        for id in ids {
            let old = span(source, id.get());
            pieces.extend([&source[done..old.start], number]);
            done = old.end;
        }
    }
    pieces.push(&source[done..]);
    Some(pieces)
}

/// Returns what is to stand before what is left of an object, of which the brace is taken.
fn separator(rest: &str) -> &'static str {
    if rest.trim_ascii_start().starts_with('}') {
        ""
    } else {
        ","
    }
}

/// Returns the values of all fields of a name; nothing of what is no object.
fn values<'a>(object: &'a RawValue, name: &str) -> Option<Vec<&'a RawValue>> {
    let entries = entries(object)?.into_iter();
    let named = entries.filter(|(own, _)| text(own).as_deref() == Some(name));
    Some(named.map(|(_, value)| value).collect())
}

/// Returns where a slice of a text stands in it.
fn span(source: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - source.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::{Draft, EventFields, Limits, Message};

    /// Encodes a message with the number 7, and again from what is kept of it.
    fn encoded(members: &str, place: ReplayId) -> String {
        let text = format!("{{\"channel\":\"/a\",{members}}}");
        let message: Message<'_> = serde_json::from_str(&text).expect("a message");
        let channel = ChannelName::parse("/a", &Limits::default()).expect("a channel");
        let fields = EventFields {
            ext: true,
            custom: true,
        };
        let draft = Draft::of(&message, &channel, fields).expect("data");
        let event = draft.encode_as(7, place);
        assert_eq!((event.id(), event.channel()), (7, "/a"));
        let json = String::from_utf8(event.json().to_vec()).expect("UTF-8");
        let parts = draft.parts();
        let kept = Parts {
            data: Cow::Owned(parts.data.to_vec()),
            ext: parts.ext.map(|ext| Cow::Owned(ext.to_vec())),
            custom: parts.custom.map(|custom| Cow::Owned(custom.to_vec())),
        };
        assert_eq!(kept.encode(&channel, 7, place).json(), json.as_bytes());
        let without = draft.encode_as(0, place);
        assert!(without.id() == 0 && !json_of(&without).contains("\"replay\":7"));
        let _: &RawValue = serde_json::from_str(&json).expect("JSON");
        json.strip_prefix("{\"channel\":\"/a\",")
            .expect("the channel first")
            .to_owned()
    }

    fn json_of(event: &Event) -> &str {
        std::str::from_utf8(event.json()).expect("UTF-8")
    }

    fn check(place: ReplayId, cases: &[(&str, &str)]) {
        for (members, expected) in cases {
            assert_eq!(encoded(members, place), *expected, "{members}");
        }
    }

    #[test]
    fn in_ext_it_stands_before_what_was_there_and_takes_the_place_of_a_publisher_s() {
        check(
            ReplayId::Ext,
            &[
                (
                    r#""data":{"b" : 1.10,"a":1e400}"#,
                    r#""data":{"b" : 1.10,"a":1e400},"ext":{"replay":7}}"#,
                ),
                (r#""data":1,"ext":{}"#, r#""data":1,"ext":{"replay":7}}"#),
                (r#""data":1,"ext":{ }"#, r#""data":1,"ext":{"replay":7 }}"#),
                (
                    r#""data":1,"ext":{ "a" : 1.0 }"#,
                    r#""data":1,"ext":{"replay":7, "a" : 1.0 }}"#,
                ),
                (
                    r#""data":1,"ext":{"replay":9}"#,
                    r#""data":1,"ext":{"replay":7}}"#,
                ),
                (
                    r#""data":1,"ext":{"repl\u0061y":9,"a":2,"replay":{"id":1}}"#,
                    r#""data":1,"ext":{"replay":7,"a":2}}"#,
                ),
                (
                    r#""data":1,"ext":{"\ud800":1,"replay":2}"#,
                    r#""data":1,"ext":{"replay":7,"\ud800":1}}"#,
                ),
                (
                    r#""data":1,"ext":{"a":{"replay":9}}"#,
                    r#""data":1,"ext":{"replay":7,"a":{"replay":9}}}"#,
                ),
                (
                    r#""data":1,"ext":"replay""#,
                    r#""data":1,"ext":{"replay":7}}"#,
                ),
                (r#""data":1,"ext":[1]"#, r#""data":1,"ext":{"replay":7}}"#),
                (
                    r#""data":1,"x":[ 2 ],"y":3,"ext":{"a":1}"#,
                    r#""data":1,"ext":{"replay":7,"a":1},"x":[ 2 ],"y":3}"#,
                ),
            ],
        );
    }

    #[test]
    fn in_data_it_stands_in_the_event_whose_other_bytes_stay() {
        check(
            ReplayId::Data,
            &[
                (
                    r#""data":{"sobject":{"Id": 1.0}}"#,
                    r#""data":{"event":{"replayId":7},"sobject":{"Id": 1.0}}}"#,
                ),
                (r#""data":{}"#, r#""data":{"event":{"replayId":7}}}"#),
                (r#""data":{ }"#, r#""data":{"event":{"replayId":7} }}"#),
                (
                    r#""data":{"a":1e400, "event" : { }}"#,
                    r#""data":{"a":1e400, "event" : {"replayId":7 }}}"#,
                ),
                (
                    r#""data":{"event":{"type" : "created"},"z":1}"#,
                    r#""data":{"event":{"replayId":7,"type" : "created"},"z":1}}"#,
                ),
                (
                    r#""data":{"event":{"a":1, "replayId" : {"x":[9]} ,"b":2}}"#,
                    r#""data":{"event":{"a":1, "replayId" : 7 ,"b":2}}}"#,
                ),
                (
                    r#""data":{"event":{"replay\u0049d":"x","replayId":2}}"#,
                    r#""data":{"event":{"replay\u0049d":7,"replayId":7}}}"#,
                ),
                (
                    r#""data":{"\u0065vent":{"replayId":1},"event":{"a":2}}"#,
                    r#""data":{"\u0065vent":{"replayId":7},"event":{"replayId":7,"a":2}}}"#,
                ),
                (
                    r#""data":{"event":{"replayId":10000}},"ext":{"a":1}"#,
                    r#""data":{"event":{"replayId":7}},"ext":{"a":1}}"#,
                ),
                (
                    r#""data":{"x":{"event":1}},"ext":{"replay":3}"#,
                    r#""data":{"event":{"replayId":7},"x":{"event":1}}}"#,
                ),
                // There is no room: as in ext.
                (
                    r#""data":[{"event":{}}]"#,
                    r#""data":[{"event":{}}],"ext":{"replay":7}}"#,
                ),
                (
                    r#""data":"event","ext":{"a":1}"#,
                    r#""data":"event","ext":{"replay":7,"a":1}}"#,
                ),
                (r#""data":null"#, r#""data":null,"ext":{"replay":7}}"#),
                (
                    r#""data":{"event":5}"#,
                    r#""data":{"event":5},"ext":{"replay":7}}"#,
                ),
                (
                    r#""data":{"event":{},"event":null}"#,
                    r#""data":{"event":{},"event":null},"ext":{"replay":7}}"#,
                ),
            ],
        );
    }

    #[test]
    fn it_may_stand_nowhere_but_nobody_else_s_does() {
        check(
            ReplayId::None,
            &[
                (
                    r#""data":{"event":{"replayId":1}}"#,
                    r#""data":{"event":{"replayId":1}}}"#,
                ),
                (r#""data":1,"ext":{"replay":9}"#, r#""data":1}"#),
                (
                    r#""data":1,"ext":{"a": 1.0,"replay":9},"x":1"#,
                    r#""data":1,"ext":{"a":1.0},"x":1}"#,
                ),
            ],
        );
    }

    #[test]
    fn nesting_has_no_end_that_matters() {
        let deep = |depth: usize, inner: &str| {
            format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth))
        };
        let nested = deep(100_000, "");
        let data = format!(r#""data":{{"event":{{"a":{nested}}},"b":{nested}}}"#);
        let found = encoded_unread(&data, ReplayId::Data);
        assert!(found.contains(r#""event":{"replayId":7,"a":[["#));
        let ext = format!(r#""data":1,"ext":{{"replay":{nested},"a":{nested}}}"#);
        let found = encoded_unread(&ext, ReplayId::Ext);
        assert!(found.ends_with(&format!(r#""ext":{{"replay":7,"a":{nested}}}}}"#)));
    }

    /// Encodes without reading it again, which tests' own parser refuses if it is nested deep.
    fn encoded_unread(members: &str, place: ReplayId) -> String {
        let text = format!("{{\"channel\":\"/a\",{members}}}");
        let message: Message<'_> = serde_json::from_str(&text).expect("a message");
        let channel = ChannelName::parse("/a", &Limits::default()).expect("a channel");
        let fields = EventFields {
            ext: true,
            custom: true,
        };
        let draft = Draft::of(&message, &channel, fields).expect("data");
        json_of(&draft.encode_as(7, place)).to_owned()
    }
}
