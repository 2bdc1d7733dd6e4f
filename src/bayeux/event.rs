//! A broadcast as its subscribers receive it: encoded once, shared by all of them.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::meta::SUBSCRIBE;
use super::value::without;
use super::{
    AUTHENTICATION, ChannelBound, ChannelName, ChannelPattern, Message, Name, Parts, REPLAY,
    ReplayId,
};
use crate::memory::{Budget, Kind, sizes};

/// What stands before the channel's name in every event.
pub(super) const BEFORE_CHANNEL: &[u8] = b"{\"channel\":\"";
pub(super) const BEFORE_DATA: &[u8] = b"\",\"data\":";
pub(super) const BEFORE_EXT: &[u8] = b",\"ext\":";

/// A message on its way to subscribers, `{"channel":…,"data":…}` and what else was relayed.
#[derive(Debug)]
pub struct Event {
    json: Bytes,
    /// Bytes of the channel's name, which stands in `json`.
    channel_length: usize,
    id: u64,
    /// Where it stands among the messages of the cluster; 0: nowhere.
    order: u64,
    bound: Option<ChannelBound>,
    framed: [OnceLock<Bytes>; Framing::COUNT],
    /// Where it counts, with all its forms, as long as anyone has it.
    memory: Option<Arc<Budget>>,
}

/// A form in which transports write an event, the same for all receivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// In a frame of a WebSocket.
    WebSocket,
    /// The same, deflated.
    DeflatedWebSocket,
}

impl Framing {
    const COUNT: usize = 2;
}

/// Which of a publisher's own fields reach the subscribers.
#[derive(Debug, Clone, Copy)]
pub struct EventFields {
    /// `ext`.
    pub ext: bool,
    /// The fields the protocol does not know.
    pub custom: bool,
}

/// An event before it is encoded: what subscribers receive of a published message.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// `channel`.
    pub channel: &'a ChannelName,
    /// `data`.
    pub data: Cow<'a, RawValue>,
    /// `ext`.
    pub ext: Option<Cow<'a, RawValue>>,
    /// Other fields, by name.
    pub custom: Vec<(Name<'a>, Cow<'a, RawValue>)>,
}

impl<'a> Draft<'a> {
    /// Makes one of some data alone.
    #[must_use]
    pub fn new(channel: &'a ChannelName, data: &'a RawValue) -> Self {
        Self {
            channel,
            data: Cow::Borrowed(data),
            ext: None,
            custom: Vec::new(),
        }
    }

    /// Takes what subscribers receive of a published message; nothing if it holds no `data`, without
    /// which clients would take it for a reply.
    ///
    /// The fields of the protocol that belong to publisher and server alone are left out: a
    /// subscriber's client would obey an `advice`, and who sees a token could use it.
    #[must_use]
    pub fn of(
        message: &Message<'a>,
        channel: &'a ChannelName,
        fields: EventFields,
    ) -> Option<Self> {
        let custom = fields.custom.then(|| message.custom.clone());
        Some(Self {
            channel,
            data: message.data.clone()?,
            ext: message.ext.as_ref().filter(|_| fields.ext).and_then(public),
            custom: custom.unwrap_or_default(),
        })
    }

    /// Sets a field to JSON; what is no JSON is passed over.
    pub fn set(&mut self, name: &'static str, json: &str) {
        let Ok(value) = RawValue::from_string(json.to_owned()) else {
            return;
        };
        self.custom.retain(|(known, _)| known != name);
        self.custom.push((Name::from(name), Cow::Owned(value)));
    }

    /// Encodes it; every field keeps its bytes.
    #[must_use]
    pub fn encode(&self) -> Event {
        let (data, ext) = (self.data.get(), self.ext.as_ref());
        let name = self.channel.as_str();
        // Exactly: events may be kept for long.
        let around = BEFORE_CHANNEL.len() + BEFORE_DATA.len() + b"}".len();
        let ext_size = ext.map_or(0, |ext| BEFORE_EXT.len() + ext.get().len());
        let field = |(name, value): &(Name<'_>, Cow<'_, RawValue>)| {
            name.json().len() + value.get().len() + b",:".len()
        };
        let custom_size: usize = self.custom.iter().map(field).sum();
        let size = around + name.len() + data.len() + ext_size + custom_size;
        let mut json = Vec::with_capacity(size);
        json.extend_from_slice(BEFORE_CHANNEL);
        // A channel name holds no character that JSON escapes.
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(BEFORE_DATA);
        json.extend_from_slice(data.as_bytes());
        if let Some(ext) = ext {
            json.extend_from_slice(BEFORE_EXT);
            json.extend_from_slice(ext.get().as_bytes());
        }
        for (name, value) in &self.custom {
            json.push(b',');
            json.extend_from_slice(name.json().as_bytes());
            json.push(b':');
            json.extend_from_slice(value.get().as_bytes());
        }
        json.push(b'}');
        debug_assert_eq!(json.len(), size);
        Event::new(json, name.len(), 0)
    }

    /// Encodes it with the number that it has in history.
    #[must_use]
    pub fn encode_as(&self, id: u64, place: ReplayId) -> Event {
        self.parts().encode(self.channel, id, place)
    }

    /// Returns what is to be kept of it, to be encoded now or later.
    #[must_use]
    pub fn parts(&self) -> Parts<'_> {
        Parts::of(&self.data, self.ext.as_deref(), &self.custom)
    }
}

/// Returns the `ext` that others may see: without what shows who its client is, and without what they would
/// take for the server's number of the message. Nothing if nothing is left.
fn public<'a>(ext: &Cow<'a, RawValue>) -> Option<Cow<'a, RawValue>> {
    let ext = left_without(ext, AUTHENTICATION)?;
    left_without(&ext, REPLAY)
}

fn left_without<'a>(ext: &Cow<'a, RawValue>, name: &str) -> Option<Cow<'a, RawValue>> {
    match ext {
        Cow::Borrowed(ext) => without(ext, name),
        Cow::Owned(ext) => {
            let left = without(ext, name)?;
            Some(Cow::Owned(left.into_owned()))
        }
    }
}

impl Event {
    /// Takes an event as JSON, in which the channel's name, so many bytes, stands first.
    pub(super) fn new(json: impl Into<Bytes>, channel_length: usize, id: u64) -> Self {
        Self {
            json: json.into(),
            channel_length,
            id,
            order: 0,
            bound: None,
            framed: Default::default(),
            memory: None,
        }
    }

    /// Returns the number that it has in history; 0: none.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Makes what tells a client that it is no longer subscribed to something: like the reply to a subscribe
    /// that fails.
    #[must_use]
    pub fn subscription_lost(pattern: &ChannelPattern, error: &str) -> Self {
        let subscription = serde_json::to_string(pattern.as_str()).expect("a string is JSON");
        let error = serde_json::to_string(error).expect("a string is JSON");
        let json = format!(
            r#"{{"channel":"{SUBSCRIBE}","successful":false,"subscription":{subscription},"error":{error}}}"#
        );
        Self::new(json, SUBSCRIBE.len(), 0)
    }

    /// Takes an event as another process has encoded it, with the number that it has in history; nothing if it
    /// is none.
    #[must_use]
    pub fn of_json(json: Bytes, id: u64) -> Option<Self> {
        let name = json.strip_prefix(BEFORE_CHANNEL)?;
        let channel_length = memchr::memchr(b'"', name)?;
        let is_name = name[..channel_length].is_ascii();
        is_name.then(|| Self::new(json, channel_length, id))
    }

    /// Makes what tells a client that some of what it was to get of the past is not kept any more, while the rest
    /// comes: like the reply to a subscribe, with its `ext.replay`.
    #[must_use]
    pub fn overtaken(pattern: &ChannelPattern, replay: &str) -> Self {
        let subscription = serde_json::to_string(pattern.as_str()).expect("a string is JSON");
        let json = format!(
            r#"{{"channel":"{SUBSCRIBE}","successful":true,"subscription":{subscription},"ext":{{"replay":{replay}}}}}"#
        );
        Self::new(json, SUBSCRIBE.len(), 0)
    }

    /// Returns what it tells of the past, if that is what it is for.
    #[must_use]
    pub fn replay_told(&self) -> Option<&str> {
        let json = std::str::from_utf8(&self.json).ok();
        let json = json.filter(|_| self.channel() == SUBSCRIBE)?;
        json.split_once(r#","ext":{"replay":"#)?
            .1
            .strip_suffix("}}")
    }

    /// Sets what a session may have queued of the event's channel, the same for all its events.
    #[must_use]
    pub fn bounded(mut self, bound: Option<ChannelBound>) -> Self {
        self.bound = bound;
        self
    }

    /// Sets where it stands among the messages of the cluster.
    #[must_use]
    pub fn ordered(mut self, order: u64) -> Self {
        self.order = order;
        self
    }

    /// Returns where it stands among the messages of the cluster; 0: nowhere, such as what is for one session only.
    #[must_use]
    pub fn order(&self) -> u64 {
        self.order
    }

    /// Counts it from now on, as long as anyone has it.
    #[must_use]
    pub fn counted(mut self, memory: &Arc<Budget>) -> Self {
        memory.add(Kind::Events, self.size());
        self.memory = Some(Arc::clone(memory));
        self
    }

    /// Returns the bytes that it takes, behind an `Arc`.
    fn size(&self) -> usize {
        let framed = self.framed.iter().filter_map(OnceLock::get);
        let framed: usize = framed.map(|frame| sizes::block(frame.len())).sum();
        sizes::shared(size_of::<Self>()) + sizes::block(self.json.len()) + framed
    }

    /// Returns what a session may have queued of its channel, if that has a bound of its own.
    #[must_use]
    pub fn bound(&self) -> Option<ChannelBound> {
        self.bound
    }

    /// Returns the name of its channel.
    #[must_use]
    pub fn channel(&self) -> &str {
        let start = BEFORE_CHANNEL.len();
        let name = &self.json[start..start + self.channel_length];
        std::str::from_utf8(name).expect("a channel name is ASCII")
    }

    /// Returns the event in a form; `encode` makes it of the JSON object for the first who asks.
    pub fn framed(&self, framing: Framing, encode: impl FnOnce(&[u8]) -> Vec<u8>) -> &Bytes {
        self.framed[framing as usize].get_or_init(|| {
            let frame = Bytes::from(encode(&self.json));
            if let Some(memory) = &self.memory {
                memory.add(Kind::Events, sizes::block(frame.len()));
            }
            frame
        })
    }

    /// Returns the event as a JSON object.
    #[must_use]
    pub fn json(&self) -> &Bytes {
        &self.json
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Some(memory) = &self.memory {
            memory.sub(Kind::Events, self.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayeux::Limits;

    fn parsed(text: &str, fields: EventFields) -> Option<Event> {
        let message: Message<'_> = serde_json::from_str(text).expect("a message");
        let channel = message.channel_text().expect("a channel");
        let channel = ChannelName::parse(&channel, &Limits::default()).expect("a channel name");
        Draft::of(&message, &channel, fields).map(|draft| draft.encode())
    }

    fn event(text: &str, fields: EventFields) -> Option<String> {
        let event = parsed(text, fields)?;
        Some(String::from_utf8(event.json().to_vec()).expect("UTF-8"))
    }

    const ALL: EventFields = EventFields {
        ext: true,
        custom: true,
    };

    #[test]
    fn only_channel_data_ext_and_custom_fields_are_relayed_and_byte_for_byte() {
        let text = r#"{"id":"1","clientId":"c","advice":{"reconnect":"none"},"successful":true,
            "error":"e","subscription":"/x","version":"1.0","minimumVersion":"1.0",
            "supportedConnectionTypes":[],"connectionType":"t","authSuccessful":true,"x-messages":1,
            "connectionId":"q","__proto__":{"advice":{}},"__pro\u0074o\u005f_":{"id":1},"channel":"/a/b/","data":{"b" : 1.10,"a":1e400},"ext":{ },"n\"":[ ]}"#;
        assert_eq!(
            event(text, ALL).as_deref(),
            Some(r#"{"channel":"/a/b","data":{"b" : 1.10,"a":1e400},"ext":{ },"n\"":[ ]}"#)
        );
        let none = EventFields {
            ext: false,
            custom: false,
        };
        assert_eq!(
            event(text, none).as_deref(),
            Some(r#"{"channel":"/a/b","data":{"b" : 1.10,"a":1e400}}"#)
        );
    }

    #[test]
    fn an_event_is_counted_with_its_forms_until_nobody_has_it() {
        let memory = Arc::new(Budget::default());
        let event = parsed(r#"{"channel":"/a","data":1}"#, ALL).expect("data");
        let event = event.counted(&memory);
        let alone = memory.of(Kind::Events);
        assert_eq!(alone, event.size() as u64);
        for _ in 0..2 {
            event.framed(Framing::WebSocket, |_| vec![0; 1000]);
        }
        assert_eq!(memory.of(Kind::Events), alone + 1024);
        drop(event);
        assert_eq!(memory.of(Kind::Events), 0);
    }

    #[test]
    fn others_do_not_see_who_a_publisher_is_nor_a_number_that_is_not_the_server_s() {
        let cases = [
            (r#"{"authentication":{"token":"t"},"replay":5}"#, None),
            (r#"{"replay":5,"a": 1.0}"#, Some(r#"{"a":1.0}"#)),
            (
                r#"{"repl\u0061y":5,"b":{"replay":1}}"#,
                Some(r#"{"b":{"replay":1}}"#),
            ),
        ];
        for (ext, expected) in cases {
            let text = format!(r#"{{"channel":"/a","data":1,"ext":{ext}}}"#);
            let ext = expected.map(|ext| format!(r#","ext":{ext}"#));
            let expected = format!(r#"{{"channel":"/a","data":1{}}}"#, ext.unwrap_or_default());
            assert_eq!(event(&text, ALL).as_deref(), Some(&*expected), "{text}");
        }
    }

    #[test]
    fn an_event_knows_its_channel() {
        for name in ["/a", "/{var}/x y", "/a/b-c.d/~e"] {
            let event = parsed(&format!(r#"{{"channel":"{name}","data":1}}"#), ALL);
            assert_eq!(event.expect("data").channel(), name);
        }
    }

    #[test]
    fn an_event_is_read_as_it_was_encoded() {
        let event = parsed(r#"{"channel":"/a/b","data":{"b" : 1.10},"ext":{ }}"#, ALL);
        let lost = ChannelPattern::parse("/a/*", &Limits::default()).expect("a pattern");
        for event in [event.expect("data"), Event::subscription_lost(&lost, "403")] {
            let read = Event::of_json(event.json().clone(), 7).expect("an event");
            assert_eq!(read.id(), 7);
            assert_eq!(
                (read.json(), read.channel()),
                (event.json(), event.channel())
            );
        }
        for text in [
            "",
            "{}",
            r#"{"data":1}"#,
            r#"{"channel":"/a"#,
            r#"{"channel":"/é"}"#,
        ] {
            assert!(
                Event::of_json(Bytes::copy_from_slice(text.as_bytes()), 0).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn without_data_there_is_no_event_but_null_is_data() {
        assert_eq!(event(r#"{"channel":"/a"}"#, ALL), None);
        assert_eq!(
            event(r#"{"channel":"/a","data":null}"#, ALL).as_deref(),
            Some(r#"{"channel":"/a","data":null}"#)
        );
    }
}
