//! The server's answer to one message, and its JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::message::is_id;
use super::{Advice, BayeuxError, ClientId, Message};

/// A field that only some replies carry.
#[derive(Debug, Clone)]
pub enum Field {
    /// `version`, always `"1.0"`: clients of every age accept it.
    Version,
    /// `clientId`, in the reply to a handshake only.
    ClientId(ClientId),
    /// `supportedConnectionTypes`.
    ConnectionTypes(Vec<&'static str>),
    /// A field of a dialect that this protocol does not know, with its JSON.
    Other(&'static str, &'static str),
    /// A field of an extension, with its JSON.
    Custom(&'static str, String),
}

/// The answer to one message.
#[derive(Debug, Clone)]
pub struct Reply<'a> {
    id: Option<&'a RawValue>,
    channel: Option<&'a RawValue>,
    subscription: Option<&'a RawValue>,
    is_successful: bool,
    error: Option<BayeuxError>,
    /// The error, if an extension or a handler has one of its own.
    reason: Option<Cow<'static, str>>,
    advice: Option<Advice>,
    fields: Vec<Field>,
    /// Entries of `ext`, by name, each with its JSON.
    ext: Vec<(Cow<'static, str>, String)>,
}

impl<'a> Reply<'a> {
    /// Answers with success.
    ///
    /// What is echoed has the type that clients expect: one that reads typed fields would fail on
    /// anything else, and with it on the whole response.
    #[must_use]
    pub fn to(message: &Message<'a>) -> Self {
        Self {
            id: message.id.filter(|id| is_id(id)),
            channel: message.channel.filter(|channel| is_string(channel)),
            subscription: message.subscription.filter(|raw| is_subscription(raw)),
            is_successful: true,
            error: None,
            reason: None,
            advice: None,
            fields: Vec::new(),
            ext: Vec::new(),
        }
    }

    /// Answers a publish with success: its reply has no `subscription`, whatever was sent.
    #[must_use]
    pub fn to_publish(message: &Message<'a>) -> Self {
        Self {
            subscription: None,
            ..Self::to(message)
        }
    }

    /// Answers a connect that was held, of which only these fields were kept.
    #[must_use]
    pub fn to_connect(id: Option<&'a RawValue>, channel: Option<&'a RawValue>) -> Self {
        Self {
            id,
            channel,
            ..Self::to(&Message::default())
        }
    }

    /// Makes it a failure.
    #[must_use]
    pub fn failed(mut self, error: BayeuxError) -> Self {
        self.error = Some(error);
        self.failed_silently()
    }

    /// Makes it a failure with an error that is not the protocol's: `code:arguments:text`.
    #[must_use]
    pub fn refused(mut self, reason: Cow<'static, str>) -> Self {
        self.reason = Some(reason);
        self.failed_silently()
    }

    /// Makes it what became of the message.
    #[must_use]
    pub fn outcome(self, outcome: Result<(), BayeuxError>) -> Self {
        match outcome {
            Ok(()) => self,
            Err(error) => self.failed(error),
        }
    }

    /// Makes it a failure that only its advice explains.
    #[must_use]
    pub fn failed_silently(mut self) -> Self {
        self.is_successful = false;
        self
    }

    /// Adds advice, or replaces it.
    #[must_use]
    pub fn advised(mut self, advice: Advice) -> Self {
        self.advice = Some(advice);
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Adds a field.
    pub fn add(&mut self, field: Field) {
        self.fields.push(field);
    }

    /// Adds an entry to `ext`, under a name as it stands in a JSON string.
    pub fn extend(&mut self, name: impl Into<Cow<'static, str>>, json: String) {
        self.ext.push((name.into(), json));
    }

    /// Returns the error, if it is a failure that has one.
    #[must_use]
    pub fn error(&self) -> Option<BayeuxError> {
        self.error
    }

    /// Tells whether it is a success.
    #[must_use]
    pub fn is_successful(&self) -> bool {
        self.is_successful
    }

    /// Makes it own what it echoes, which then stands behind an error.
    #[must_use]
    pub fn into_owned(self) -> Reply<'static> {
        let echoed = [
            ("channel", self.channel),
            ("id", self.id),
            ("subscription", self.subscription),
        ];
        let echoed = echoed
            .into_iter()
            .filter_map(|(name, value)| Some(Field::Custom(name, value?.get().to_owned())));
        Reply {
            id: None,
            channel: None,
            subscription: None,
            fields: echoed.chain(self.fields).collect(),
            is_successful: self.is_successful,
            error: self.error,
            reason: self.reason,
            advice: self.advice,
            ext: self.ext,
        }
    }

    /// Tells whether it says no more than that all went well.
    #[must_use]
    pub fn is_plain_success(&self) -> bool {
        self.is_successful && self.advice.is_none()
    }

    /// Appends the reply as a JSON object.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.is_successful {
            b"{\"successful\":true".as_slice()
        } else {
            b"{\"successful\":false"
        });
        let echoed = [
            (",\"channel\":", self.channel),
            (",\"id\":", self.id),
            (",\"subscription\":", self.subscription),
        ];
        for (name, value) in echoed {
            if let Some(value) = value {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(value.get().as_bytes());
            }
        }
        if let Some(error) = self.error {
            out.extend_from_slice(b",\"error\":\"");
            out.extend_from_slice(error.text().as_bytes());
            out.push(b'"');
        } else if let Some(reason) = &self.reason {
            out.extend_from_slice(b",\"error\":");
            serde_json::to_writer(&mut *out, reason)
                .expect("a string is JSON, and a Vec takes every write");
        }
        for field in &self.fields {
            out.push(b',');
            field.write(out);
        }
        let mut opening = ",\"ext\":{";
        for (name, json) in &self.ext {
            for part in [opening, "\"", name, "\":", json] {
                out.extend_from_slice(part.as_bytes());
            }
            opening = ",";
        }
        if !self.ext.is_empty() {
            out.push(b'}');
        }
        if let Some(advice) = &self.advice {
            out.extend_from_slice(b",\"advice\":");
            advice.write(out);
        }
        out.push(b'}');
    }
}

fn is_string(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

fn is_subscription(raw: &RawValue) -> bool {
    if !raw.get().starts_with('[') {
        return is_string(raw);
    }
    let elements: Result<Vec<&RawValue>, _> = serde_json::from_str(raw.get());
    elements.is_ok_and(|elements| elements.into_iter().all(is_string))
}

impl Field {
    fn write(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        let written = match self {
            Self::Version => write!(out, r#""version":"1.0","minimumVersion":"1.0""#),
            Self::ClientId(id) => write!(out, r#""clientId":"{id}""#),
            Self::ConnectionTypes(names) => {
                let names = names.join("\",\"");
                write!(out, r#""supportedConnectionTypes":["{names}"]"#)
            }
            Self::Custom(name, json) => write!(out, r#""{name}":{json}"#),
            Self::Other(name, json) => write!(out, r#""{name}":{json}"#),
        };
        written.expect("a Vec takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply<'_>) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_reply_echoes_what_was_sent() {
        let message: Message<'_> =
            serde_json::from_str(r#"{"id": 7 ,"channel":"/meta/subscribe","subscription":["/a"]}"#)
                .expect("a message");
        assert_eq!(
            written(&Reply::to(&message)),
            r#"{"successful":true,"channel":"/meta/subscribe","id":7,"subscription":["/a"]}"#
        );
    }

    #[test]
    fn an_owned_reply_says_the_same() {
        let text = r#"{"id": 7 ,"channel":"/meta/subscribe","subscription":["/a"],"x":1}"#;
        let message: Message<'_> = serde_json::from_str(text).expect("a message");
        let mut reply = Reply::to(&message).advised(Advice::none());
        reply.add(Field::Version);
        reply.extend("ack", "7".to_owned());
        let value = |reply: &Reply<'_>| -> serde_json::Value {
            serde_json::from_str(&written(reply)).expect("JSON")
        };
        for reply in [
            reply.clone(),
            reply.clone().failed(BayeuxError::ChannelInvalid),
            reply.refused("403::no".into()),
        ] {
            assert_eq!(value(&reply.clone().into_owned()), value(&reply));
        }
    }

    #[test]
    fn what_is_echoed_has_the_type_that_clients_expect() {
        let others = ["5", "true", "{}", "[[]]", r#"["/a",5]"#, r#"{"a":"/a"}"#];
        let cases = [
            ("channel", r#""/a""#, true),
            ("channel", r#""\ud83d""#, true),
            ("channel", r#"["/a"]"#, false),
            ("subscription", r#""/a""#, true),
            ("subscription", r#"["/a", "b"]"#, true),
            ("subscription", "[]", true),
            ("id", r#""\u0061""#, true),
            ("id", "-1.50", true),
            ("id", "null", true),
            ("id", r#"["a"]"#, false),
            ("id", "true", false),
            ("id", "{}", false),
        ]
        .into_iter()
        .chain(others.map(|other| ("channel", other, false)))
        .chain(others.map(|other| ("subscription", other, false)));
        for (name, value, is_echoed) in cases {
            let text = format!(r#"{{"{name}":{value}}}"#);
            let message: Message<'_> = serde_json::from_str(&text).expect("a message");
            let expected = if is_echoed {
                format!(r#"{{"successful":true,"{name}":{value}}}"#)
            } else {
                r#"{"successful":true}"#.to_owned()
            };
            assert_eq!(written(&Reply::to(&message)), expected, "{text}");
        }
    }

    #[test]
    fn a_failure_has_an_error_and_advice() {
        let message: Message<'_> =
            serde_json::from_str(r#"{"channel":"/meta/connect"}"#).expect("a message");
        let reply = Reply::to(&message)
            .failed(BayeuxError::SessionUnknown)
            .advised(Advice::none());
        assert_eq!(
            written(&reply),
            r#"{"successful":false,"channel":"/meta/connect","error":"402::session_unknown","advice":{"reconnect":"none"}}"#
        );
    }

    #[test]
    fn a_reason_is_a_string_whatever_it_holds() {
        let reply = Reply::to(&Message::default()).refused("403:\"a\":no".into());
        assert_eq!(
            written(&reply),
            r#"{"successful":false,"error":"403:\"a\":no"}"#
        );
    }

    #[test]
    fn ext_has_every_entry() {
        let mut reply = Reply::to(&Message::default());
        reply.extend("ack", "7".to_owned());
        assert_eq!(written(&reply), r#"{"successful":true,"ext":{"ack":7}}"#);
        reply.extend("b", "[]".to_owned());
        assert_eq!(
            written(&reply),
            r#"{"successful":true,"ext":{"ack":7,"b":[]}}"#
        );
    }

    #[test]
    fn a_reply_to_a_message_without_a_channel_is_json_all_the_same() {
        let reply = Reply::to(&Message::default()).failed(BayeuxError::ChannelMissing);
        assert!(serde_json::from_str::<serde_json::Value>(&written(&reply)).is_ok());
    }
}
