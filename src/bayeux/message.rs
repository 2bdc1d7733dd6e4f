//! A message as a client sent it: the envelope's fields, each still in the client's own bytes.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{Name, fields};
use super::{ClientId, meta, text};

/// The entry of `ext` in which messages show who their client is, which is nobody else's business.
pub const AUTHENTICATION: &str = "authentication";

/// One message of a batch. Extensions may replace what subscribers receive of it. Fields that are
/// `null` or absent are alike, but for `data` and `id`.
#[derive(Debug, Clone, Default)]
pub struct Message<'a> {
    /// `channel`; who changes it changes `meta` too.
    pub channel: Option<&'a RawValue>,
    /// The meta channel that `channel` names, or stands for where a transport translates an older
    /// protocol's.
    pub meta: Option<&'static str>,
    /// `id`, echoed in the reply byte for byte if it is a string, a number or `null`.
    pub id: Option<&'a RawValue>,
    /// `clientId`; nothing if it is none that this server can have made.
    pub client_id: Option<ClientId>,
    /// `clientId` if it is another.
    pub foreign_id: Option<&'a RawValue>,
    /// `data`, relayed byte for byte.
    pub data: Option<Cow<'a, RawValue>>,
    /// `subscription`, echoed in the reply byte for byte if it is a string or an array of strings.
    pub subscription: Option<&'a RawValue>,
    /// `advice`.
    pub advice: Option<&'a RawValue>,
    /// `ext`.
    pub ext: Option<Cow<'a, RawValue>>,
    /// `version`.
    pub version: Option<&'a RawValue>,
    /// `connectionType`.
    pub connection_type: Option<&'a RawValue>,
    /// `supportedConnectionTypes`.
    pub supported_connection_types: Option<&'a RawValue>,
    /// The fields the protocol does not know, in the order sent.
    pub custom: Vec<(Name<'a>, Cow<'a, RawValue>)>,
}

impl<'a> Message<'a> {
    /// Returns the text of the channel it is for, or nothing if the field is missing or not a string.
    #[must_use]
    pub fn channel_text(&self) -> Option<Cow<'a, str>> {
        match self.meta {
            Some(meta) => Some(Cow::Borrowed(meta)),
            None => self.channel.and_then(text),
        }
    }

    /// Tells whether it has a `clientId`, be it one that this server can have made or not.
    #[must_use]
    pub fn names_client(&self) -> bool {
        self.client_id.is_some() || self.foreign_id.is_some()
    }

    /// Tells whether it is for this channel, be there a slash behind it or not.
    #[must_use]
    pub fn is_on(&self, channel: &str) -> bool {
        if let Some(meta) = self.meta {
            return meta == channel;
        }
        let text = self.channel_text();
        text.is_some_and(|text| text.strip_suffix('/').unwrap_or(&text) == channel)
    }

    /// Returns an entry of `ext`; nothing if it is not an object, or `null` there.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&RawValue> {
        let [value] = fields(self.ext.as_ref()?, [name])?;
        value.filter(|value| value.get() != "null")
    }

    /// Tells whether the id is one: absent, `null`, a string or a number; if `is_strict`, of letters and
    /// digits only, as CometD has it.
    #[must_use]
    pub fn has_valid_id(&self, is_strict: bool) -> bool {
        let Some(raw) = self.id else { return true };
        if !is_strict {
            return is_id(raw);
        }
        let alphanumeric =
            |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match raw.get().as_bytes().first() {
            Some(b'"') => text(raw).is_some_and(|id| alphanumeric(&id)),
            Some(b'0'..=b'9') => alphanumeric(raw.get()),
            _ => raw.get() == "null",
        }
    }
}

/// Tells whether a value is of a type that an id can have.
pub(super) fn is_id(raw: &RawValue) -> bool {
    matches!(raw.get().as_bytes(), [b'"' | b'-' | b'0'..=b'9' | b'n', ..])
}

impl<'de: 'a, 'a> Deserialize<'de> for Message<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}

struct Fields<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for Fields<'a> {
    type Value = Message<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message, which is a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message<'a>, A::Error> {
        let mut message = Message::default();
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            message.set(name, value);
        }
        Ok(message)
    }
}

impl<'a> Message<'a> {
    fn set(&mut self, name: &'a RawValue, value: &'a RawValue) {
        if self.set_known(name.get(), value) {
            return;
        }
        // It may be one of these that is written with escapes; what is no text is none of them.
        let plain = text(name).filter(|_| name.get().contains('\\'));
        let is_known = plain.is_some_and(|plain| self.set_known(&format!("\"{plain}\""), value));
        if !is_known {
            self.custom.push((Name::of(name), Cow::Borrowed(value)));
        }
    }

    /// Sets a field if it is one of the protocol's, by its name with quotes.
    fn set_known(&mut self, name: &str, value: &'a RawValue) -> bool {
        let value_or_none = (value.get() != "null").then_some(value);
        match name {
            r#""channel""# => {
                self.channel = value_or_none;
                self.meta = text(value).and_then(|text| meta::named(&text));
            }
            r#""id""# => self.id = Some(value),
            r#""clientId""# => {
                self.client_id = text(value).and_then(|text| text.parse().ok());
                self.foreign_id = value_or_none.filter(|_| self.client_id.is_none());
            }
            r#""data""# => self.data = Some(Cow::Borrowed(value)),
            r#""subscription""# => self.subscription = value_or_none,
            r#""advice""# => self.advice = value_or_none,
            r#""ext""# => self.ext = value_or_none.map(Cow::Borrowed),
            r#""version""# => self.version = value_or_none,
            r#""connectionType""# => self.connection_type = value_or_none,
            r#""supportedConnectionTypes""# => self.supported_connection_types = value_or_none,
            // Subscribers' clients would take these for the server's own word, so they are never
            // relayed; nor is the private `connectionId` of protocol 0.1. Where messages are scripts,
            // `__proto__` would bring in all of them.
            r#""__proto__""#
            | r#""successful""#
            | r#""error""#
            | r#""minimumVersion""#
            | r#""authSuccessful""#
            | r#""x-messages""#
            | r#""connectionId""# => {}
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Message<'_> {
        serde_json::from_str(text).expect("a message")
    }

    #[test]
    fn fields_keep_their_bytes() {
        let message = parse(r#"{"channel":"/a","data":{"b" : 1.10,"a":1e400},"x":[ 1 ],"id":7}"#);
        assert_eq!(message.channel_text().as_deref(), Some("/a"));
        assert_eq!(
            message.data.as_deref().map(RawValue::get),
            Some(r#"{"b" : 1.10,"a":1e400}"#)
        );
        assert_eq!(message.custom[0].1.get(), "[ 1 ]");
        assert_eq!(message.id.map(RawValue::get), Some("7"));
    }

    #[test]
    fn escaped_names_are_the_names_they_spell() {
        let message = parse(r#"{"ch\u0061nnel":"\/a","adv\u0069ce":{},"c\u0061":1}"#);
        assert_eq!(message.channel_text().as_deref(), Some("/a"));
        assert!(message.advice.is_some());
        assert_eq!(message.custom[0].0, *"ca");
        assert_eq!(message.custom[0].0.json(), r#""c\u0061""#);
    }

    #[test]
    fn meta_channels_and_client_ids_are_known() {
        let cases = [
            (r#""channel":"/meta/connect""#, Some(meta::CONNECT)),
            (r#""channel":"/meta/connect/""#, Some(meta::CONNECT)),
            (r#""channel":"\/meta\/c\u006fnnect""#, Some(meta::CONNECT)),
            (r#""channel":"/meta/connect//""#, None),
            (r#""channel":"/meta/Connect""#, None),
            (r#""channel":"/meta/reconnect""#, None),
            (r#""channel":["/meta/connect"]"#, None),
            (
                r#""channel":"/a","channel":"/meta/connect""#,
                Some(meta::CONNECT),
            ),
            (r#""channel":"/meta/connect","channel":"/a""#, None),
            (r#""channel":"/meta/connect","channel":null"#, None),
        ];
        for (fields, expected) in cases {
            let text = format!("{{{fields}}}");
            let message = parse(&text);
            assert_eq!(message.meta, expected, "{text}");
            assert_eq!(message.is_on(meta::CONNECT), expected.is_some(), "{text}");
        }
        let ids = ["0000000000000000000001", "0000000000000000000002"];
        let [one, two] = ids.map(|id| id.parse().ok());
        let cases = [
            (format!(r#""clientId":"{}""#, ids[0]), one),
            (format!(r#""clientId":"\u0030{}""#, &ids[0][1..]), one),
            (
                format!(r#""clientId":"{}","clientId":"{}""#, ids[0], ids[1]),
                two,
            ),
            (format!(r#""clientId":"{}","clientId":"x""#, ids[0]), None),
            (format!(r#""clientId":"{}","clientId":null"#, ids[0]), None),
            (r#""clientId":1"#.to_owned(), None),
        ];
        assert!(one.is_some() && two.is_some());
        for (fields, expected) in cases {
            let text = format!("{{{fields}}}");
            assert_eq!(parse(&text).client_id, expected, "{text}");
        }
    }

    #[test]
    fn null_is_absent_but_for_data_and_id() {
        let message = parse(r#"{"channel":null,"clientId":null,"data":null,"id":null}"#);
        assert!(message.channel.is_none() && message.client_id.is_none());
        assert!(!message.names_client() && parse(r#"{"clientId":5}"#).names_client());
        assert!(message.data.is_some() && message.id.is_some());
    }

    #[test]
    fn entries_of_ext() {
        let cases = [
            (r#"{"a":1,"b":[ 2 ]}"#, Some("[ 2 ]")),
            (r#"{"\u0062":"x","a":1}"#, Some("\"x\"")),
            (r#"{"b":1,"b":2}"#, Some("2")),
            (r#"{"b":null}"#, None),
            (r#"{"\ud83d":1,"b":2}"#, Some("2")),
            (r#"{"a":{"b":1}}"#, None),
            (r#"[1,2]"#, None),
            ("7", None),
            ("null", None),
        ];
        for (ext, expected) in cases {
            let text = format!(r#"{{"ext":{ext}}}"#);
            let message = parse(&text);
            assert_eq!(message.extension("b").map(RawValue::get), expected, "{ext}");
        }
    }

    #[test]
    fn ids() {
        // (id, whether it is one, whether it is one of letters and digits)
        let cases = [
            (r#"{}"#, true, true),
            (r#"{"id":null}"#, true, true),
            (r#"{"id":"a1"}"#, true, true),
            (r#"{"id":0}"#, true, true),
            (r#"{"id":12}"#, true, true),
            (r#"{"id":"\u0041"}"#, true, true),
            (r#"{"id":1.5}"#, true, false),
            (r#"{"id":1e400}"#, true, true),
            (r#"{"id":-1}"#, true, false),
            (r#"{"id":""}"#, true, false),
            (r#"{"id":"a-b"}"#, true, false),
            (
                r#"{"id":"1c0ec4fb-1ad1-4e57-9bd4-3b1e0ed4ea2f"}"#,
                true,
                false,
            ),
            (r#"{"id":"msg_1_1"}"#, true, false),
            (r#"{"id":"MQ=="}"#, true, false),
            (r#"{"id":"é \u2028\ud83d"}"#, true, false),
            (r#"{"id":"<script>"}"#, true, false),
            (r#"{"id":{}}"#, false, false),
            (r#"{"id":["1"]}"#, false, false),
            (r#"{"id":true}"#, false, false),
            (r#"{"id":false}"#, false, false),
        ];
        for (text, valid, strictly) in cases {
            let message = parse(text);
            let found = (message.has_valid_id(false), message.has_valid_id(true));
            assert_eq!(found, (valid, strictly), "{text}");
        }
    }
}
