//! What nodes ask each other about sessions, in JSON.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::bayeux::{ChannelPattern, ClientId};
use crate::cluster::NodeId;
use crate::session::{Asker, Record, Unreadable};

/// What the call [`Take`](crate::cluster::CallKind::Take) asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TakeCall {
    /// To have a session.
    Have {
        #[serde(with = "as_text")]
        id: ClientId,
        /// Tells this attempt from others of the same node.
        attempt: u64,
        /// What comes to the caller already.
        ready: Vec<ChannelPattern>,
    },
    /// Whether somebody may use a session.
    May {
        #[serde(with = "as_text")]
        id: ClientId,
        asker: AskerText,
    },
    /// Nothing: the session has arrived.
    Took {
        #[serde(with = "as_text")]
        id: ClientId,
    },
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TakeAnswer {
    /// The session.
    Given(Given),
    /// What has to come to the caller first.
    Needs(Vec<ChannelPattern>),
    /// It is there.
    At(NodeId),
    /// There is no such session.
    Gone,
    /// It cannot be had now.
    Later,
    /// It is well.
    Noted,
    /// Who asks may not use it.
    Denied,
}

/// Who asks for a session, as it is written.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct AskerText {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    /// In milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    opened: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    browser: Option<String>,
}

impl From<Asker> for AskerText {
    fn from(asker: Asker) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            cookies: asker.cookies.iter().map(ToString::to_string).collect(),
            opened: asker.opened.map(millis),
            browser: asker.browser.map(|browser| browser.to_string()),
        }
    }
}

impl From<AskerText> for Asker {
    /// What cannot be read speaks for nobody.
    fn from(text: AskerText) -> Self {
        let cookies = text.cookies.iter();
        Self {
            cookies: cookies.map_while(|cookie| cookie.parse().ok()).collect(),
            opened: text.opened.map(Duration::from_millis),
            browser: text.browser.and_then(|browser| browser.parse().ok()),
        }
    }
}

/// A session on its way.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Given {
    pub(super) record: Box<RawValue>,
    /// The generation in which it was the giver's.
    pub(super) generation: u64,
    /// It has got all messages up to this.
    pub(super) at: u64,
}

/// What the call [`Give`](crate::cluster::CallKind::Give) asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum GiveCall {
    /// To have these come to the node before sessions do; in one such row after another.
    Ready(Vec<ChannelPattern>),
    /// To go on with these.
    Sessions(Vec<Given>),
}

/// What it is answered: those that go on.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct GiveAnswer {
    #[serde(with = "as_texts")]
    pub(super) taken: Vec<ClientId>,
}

impl Given {
    /// Writes a session.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn of(record: &Record, generation: u64, at: u64) -> Result<Self, Unreadable> {
        let damaged = |error: String| Unreadable::Damaged(error);
        let json = String::from_utf8(record.encode()?.into());
        let json = json.map_err(|error| damaged(error.to_string()))?;
        let record = RawValue::from_string(json).map_err(|error| damaged(error.to_string()))?;
        Ok(Self {
            record,
            generation,
            at,
        })
    }

    /// Reads it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn record(&self) -> Result<Record, Unreadable> {
        Record::decode(self.record.get().as_bytes())
    }
}

/// Writes what is asked, or answered.
pub(super) fn encode(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("texts and numbers are JSON")
        .into()
}

/// Reads it.
///
/// # Errors
/// It is something else.
pub(super) fn decode<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("it cannot be read: {error}"))
}

pub(super) mod as_text {
    use super::{ClientId, Deserialize, Deserializer, Serializer, de};

    pub(in crate::server::cluster) fn serialize<S: Serializer>(
        id: &ClientId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(in crate::server::cluster) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ClientId, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

mod as_texts {
    use super::{ClientId, Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        ids: &[ClientId],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ClientId>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let ids = texts.iter().map(|text| text.parse());
        ids.collect::<Result<_, _>>().map_err(de::Error::custom)
    }
}
