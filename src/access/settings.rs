//! Rules as an operator writes them: the `[[access]]` entries.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize, de};

/// What a client may be allowed to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To have a session.
    Handshake,
    /// To receive what is published on a channel, or to read its history or the resource that it is.
    Subscribe,
    /// To publish on a channel, to call a service, or to change the resource that a channel is.
    Publish,
    /// To have what is kept of a channel forgotten: without a rule that allows it, nobody may.
    Forget,
}

impl Action {
    /// Returns its name, as it stands in rules, log lines and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
            Self::Forget => "forget",
        }
    }
}

/// One `[[access]]` entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The actions that it allows.
    pub allow: Vec<Action>,
    /// The actions that it refuses.
    pub deny: Vec<Action>,
    /// The channels it is about, in which `{user}`, `{claim.NAME}` and `{any}` stand for one segment.
    pub channels: Vec<String>,
    /// Whom it is about; every entry says so.
    pub who: Option<Who>,
    /// What those are told whom it refuses something.
    pub reason: Option<String>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(
    untagged,
    expecting = "expected \"anyone\", \"anonymous\", \"authenticated\", a table with user, role or \
                 address such as { role = \"editor\" }, or a list of these"
)]
pub enum Who {
    /// All who are so.
    Word(Word),
    /// Those who are all of this.
    All(#[serde(deserialize_with = "from_table")] All),
    /// Those who are one of these.
    Any(#[serde(deserialize_with = "not_empty")] Vec<Self>),
}

/// Those of whom nothing else has to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Everybody.
    Anyone,
    /// Who has no identity.
    Anonymous,
    /// Who has one, whichever.
    Authenticated,
}

/// What somebody has to be; what is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct All {
    /// Their name is one of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<OneOf>,
    /// They have one of these roles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<OneOf>,
    /// Their address is one of these, or in one of these networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<OneOf>,
}

#[derive(PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Key {
    User,
    Role,
    Address,
}

/// Reads what somebody has to be from a table only; as a struct it could come from a list too, in which
/// `["anonymous"]` would be a user's name.
fn from_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<All, D::Error> {
    let mut table = HashMap::<Key, OneOf>::deserialize(deserializer)?;
    Ok(All {
        user: table.remove(&Key::User),
        role: table.remove(&Key::Role),
        address: table.remove(&Key::Address),
    })
}

/// A text, or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum OneOf {
    /// This one.
    One(String),
    /// One of these.
    Many(#[serde(deserialize_with = "not_empty")] Vec<String>),
}

impl OneOf {
    /// Returns all of them.
    #[must_use]
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts,
        }
    }
}

/// Reads a list of something; nobody is one of nothing.
fn not_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(de::Error::invalid_length(0, &"at least one"));
    }
    Ok(list)
}
