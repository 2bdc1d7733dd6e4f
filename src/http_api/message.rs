//! The messages that application servers send: `{channel, data, ext?, id?}`. Each field keeps its bytes, and what
//! is wrong with one message is no matter of its neighbours.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::problem::{Kind, Problem};
use crate::bayeux::{ChannelName, Limits, Message, text};

/// A message as it was sent.
#[derive(Debug, Default, Clone, Copy)]
pub struct Posted<'a> {
    /// `channel`.
    pub channel: Option<&'a RawValue>,
    /// `data`.
    pub data: Option<&'a RawValue>,
    /// `ext`.
    pub ext: Option<&'a RawValue>,
    /// `id`, by which it may be sent again.
    pub id: Option<&'a RawValue>,
    /// `session`, of a delivery.
    pub session: Option<&'a RawValue>,
    /// `user`, of a delivery.
    pub user: Option<&'a RawValue>,
}

/// A message, or what is wrong with its form.
#[derive(Debug)]
pub struct Element<'a>(pub Result<Posted<'a>, String>);

/// The messages of one request.
#[derive(Debug)]
pub enum Batch<'a> {
    /// A message by itself.
    One(Element<'a>),
    /// A list of them.
    Many(Vec<Element<'a>>),
}

/// What is told of what is no message.
const FORM: &str = "a message is an object with channel and data";

impl<'a> Posted<'a> {
    /// Returns it as extensions see it.
    ///
    /// # Errors
    /// It has no data.
    pub fn message(&self) -> Result<Message<'a>, Problem> {
        let data = self.data.ok_or_else(|| {
            Problem::new(
                Kind::Message,
                "the message has no data, which may be any JSON, null too",
            )
        })?;
        Ok(Message {
            channel: self.channel,
            data: Some(Cow::Borrowed(data)),
            ext: self.ext.map(Cow::Borrowed),
            ..Message::default()
        })
    }

    /// Returns the channel that it is for.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    pub fn channel(&self, limits: &Limits) -> Result<ChannelName, Problem> {
        let name = string("channel", self.channel)?.ok_or_else(|| {
            Problem::new(
                Kind::Message,
                "the message has no channel, such as \"/chat/1\"",
            )
        })?;
        channel(&name, limits)
    }

    fn set(&mut self, name: &str, value: &'a RawValue) -> Result<(), String> {
        let (field, may_be_null) = match name {
            "channel" => (&mut self.channel, false),
            "data" => (&mut self.data, true),
            "ext" => (&mut self.ext, false),
            "id" => (&mut self.id, false),
            "session" => (&mut self.session, false),
            "user" => (&mut self.user, false),
            _ => {
                let shown: String = name.chars().take(40).collect();
                return Err(format!("{FORM}, and not with {shown:?}"));
            }
        };
        if field.is_some() {
            return Err(format!("{name} stands twice in the message"));
        }
        *field = (may_be_null || value.get() != "null").then_some(value);
        Ok(())
    }
}

/// Reads the name of a channel.
///
/// # Errors
/// It is none.
pub fn channel(name: &str, limits: &Limits) -> Result<ChannelName, Problem> {
    ChannelName::parse(name, limits).map_err(|_| {
        let (length, segments) = (limits.max_channel_length, limits.max_channel_segments);
        let detail = format!(
            "a channel begins with '/', as in \"/chat/1\"; it has no wildcard, at most {length} bytes \
             (bayeux.max_channel_length), and at most {segments} segments (bayeux.max_channel_segments)"
        );
        Problem::new(Kind::Channel, detail)
    })
}

/// Reads the text of a field; nothing if it is absent.
///
/// # Errors
/// It is no text.
pub fn string<'f>(
    name: &str,
    field: Option<&'f RawValue>,
) -> Result<Option<Cow<'f, str>>, Problem> {
    match field.map(text) {
        None => Ok(None),
        Some(Some(text)) => Ok(Some(text)),
        Some(None) => Err(Problem::new(
            Kind::Message,
            format!("{name} must be a string"),
        )),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

/// Whatever else there is, is no message.
macro_rules! no_message {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok(no_message())
        })*
    };
}

fn no_message<'a>() -> Element<'a> {
    Element(Err(FORM.to_owned()))
}

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    no_message!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(no_message())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(no_message())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        read(map)
    }
}

/// Reads the fields of a message, to the end even if one is wrong.
fn read<'de, A: MapAccess<'de>>(mut map: A) -> Result<Element<'de>, A::Error> {
    let mut read = Ok(Posted::default());
    while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
        let Ok(posted) = &mut read else { continue };
        let set = match text(name) {
            Some(name) => posted.set(&name, value),
            None => Err(FORM.to_owned()),
        };
        if let Err(problem) = set {
            read = Err(problem);
        }
    }
    Ok(Element(read))
}

impl<'de: 'a, 'a> Deserialize<'de> for Batch<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BatchVisitor)
    }
}

struct BatchVisitor;

impl<'de> Visitor<'de> for BatchVisitor {
    type Value = Batch<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message, or a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = list.next_element()? {
            messages.push(message);
        }
        Ok(Batch::Many(messages))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        read(map).map(Batch::One)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(text: &str) -> Result<Vec<Result<Posted<'_>, String>>, String> {
        let batch = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(match batch {
            Batch::One(Element(message)) => vec![message],
            Batch::Many(messages) => messages.into_iter().map(|element| element.0).collect(),
        })
    }

    fn data(text: &str) -> Vec<Option<String>> {
        let messages = batch(text).expect("messages");
        let data = messages.into_iter().map(|message| {
            let data = message.ok()?.data?;
            Some(data.get().to_owned())
        });
        data.collect()
    }

    #[test]
    fn data_keeps_its_bytes() {
        let odd =
            r#"{"b" : 1.10,"a":1e400,"a":123456789012345678901234567890,"c":"\u0041\ud83d\/"}"#;
        let text = format!(r#"{{"d\u0061ta":{odd},"channel":"/a"}}"#);
        assert_eq!(data(&text), [Some(odd.to_owned())]);
        assert_eq!(data(r#"{"data":null}"#), [Some("null".to_owned())]);
        assert_eq!(data(r#"{"channel":null}"#), [None]);
    }

    #[test]
    fn what_is_wrong_with_a_message_is_no_matter_of_its_neighbours() {
        let text = r#"[{"data":1},5,-5,1.5,"x",true,null,[{"data":2}],{"data":3,"x":4,"id":5},
            {"data":6,"data":7},{"\ud83d":1},{"data":8}]"#;
        let messages = batch(text).expect("messages");
        let right: Vec<bool> = messages.iter().map(Result::is_ok).collect();
        let mut expected = [false; 12];
        (expected[0], expected[11]) = (true, true);
        assert_eq!(right, expected);
        let told = |index: usize| messages[index].as_ref().expect_err("an error").as_str();
        assert_eq!(told(8), format!("{FORM}, and not with \"x\""));
        assert_eq!(told(9), "data stands twice in the message");
    }

    #[test]
    fn what_is_no_json_is_no_batch() {
        for text in ["", "5", "[{}", "[{}]]", "{]", "null", "[{},]"] {
            assert!(batch(text).is_err(), "{text}");
        }
        assert_eq!(batch("[]").map(|batch| batch.len()), Ok(0));
    }

    #[test]
    fn channels_are_names() {
        let limits = Limits::default();
        assert!(channel("/chat/1", &limits).is_ok());
        for name in ["", "chat", "/", "/a/*", "/**", "/é"] {
            let problem = channel(name, &limits).expect_err(name);
            assert_eq!(problem.kind(), Kind::Channel, "{name}");
        }
    }
}
