//! A session as one process leaves it to the next: JSON with a version. It knows no clock and no store.
//!
//! What is added to a record later has a default (`#[serde(default)]`), so that those of before can be read. What
//! would be read wrongly raises [`VERSION`], and records of others are passed over.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::access::{Action, Grant, Identity};
use crate::bayeux::{ChannelPattern, ClientId, Event, Limits, RandomId, Transport};

/// The form that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;

/// Why a record is passed over.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Another version of this program has written it.
    #[error("it has version {0}, and this program reads {VERSION}")]
    Version(u32),
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl Unreadable {
    fn damaged(what: impl Display) -> Self {
        Self::Damaged(what.to_string())
    }
}

/// A session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    pub(super) version: u32,
    /// The key of the aliases of all sessions.
    #[serde(with = "as_text")]
    pub aliases: RandomId,
    /// The identifier that its client knows it by.
    #[serde(with = "as_text")]
    pub id: ClientId,
    /// The browser that it was made for.
    #[serde(with = "as_text")]
    pub browser: RandomId,
    /// When its handshake came.
    pub begun: SystemTime,
    /// The address that its handshake came from.
    pub address: Option<IpAddr>,
    /// The transport that its last connect or stream came by.
    pub transport: Option<Transport>,
    /// How long after its handshake it has sent its last message.
    pub heard: Duration,
    /// What a transport remembered.
    pub marks: u8,
    /// Who its client has shown to be.
    pub identity: Option<IdentityRecord>,
    /// What its own extensions have to know, by their names.
    pub extensions: BTreeMap<String, Box<RawValue>>,
    pub(super) state: StateRecord,
}

/// What its state machine has to know; times are what was left of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StateRecord {
    pub(super) is_connected: bool,
    pub(super) queue: QueueRecord,
    pub(super) stream: StreamRecord,
    pub(super) acks: Option<AcksRecord>,
    pub(super) cuts: u8,
    pub(super) timeout: Option<Duration>,
    pub(super) interval: Option<Duration>,
    pub(super) max_interval: Option<Duration>,
    pub(super) client_interval: Option<Duration>,
    pub(super) polling_interval: Duration,
    pub(super) delivers_on_connect_only: bool,
    pub(super) is_bound: bool,
    pub(super) has_had_stream: bool,
    pub(super) subscriptions: Vec<PatternRecord>,
    /// What it has yet to get of the past.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) replaying: Vec<RunRecord>,
    /// Of what messages may be missing, which its client was not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) gaps: Vec<PatternRecord>,
    /// It is without events, for another node to go on with if this one dies: what its client was to get up to this
    /// number in history, it has acknowledged, if it does that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<u64>,
}

/// What it has yet to get of the past, of one subscribe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RunRecord {
    /// What is wanted, each with the number after which.
    pub(super) wants: Vec<(PatternRecord, u64)>,
    pub(super) live: Vec<PatternRecord>,
    /// The newest of each channel up to this number first.
    pub(super) last_of_each: Option<u64>,
    pub(super) position: u64,
    /// From which number on what is live was offered so, and where the run was then.
    pub(super) live_from: Option<(u64, u64)>,
    pub(super) passed: u64,
    /// Up to this its client was told that messages are lost.
    pub(super) told: u64,
    pub(super) fails: bool,
    pub(super) is_done: bool,
}

/// What it has queued.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct QueueRecord {
    pub(super) events: Vec<EventRecord>,
    pub(super) is_urgent: bool,
    pub(super) lazy_left: Option<Duration>,
    pub(super) is_at_bound: bool,
    pub(super) was_at_channel_bound: bool,
}

/// What has left by streams.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StreamRecord {
    /// How many events that were numbered.
    pub(super) left: u64,
    /// The last of them, if some are kept.
    pub(super) kept: Option<Vec<EventRecord>>,
    /// The session lives as long as its stream: its client sends no messages.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) keeps_session: bool,
}

/// What its client has yet to acknowledge.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AcksRecord {
    pub(super) last: u64,
    pub(super) sent: Vec<(u64, EventRecord)>,
    /// Subscriptions that are younger than what is acknowledged, each with the number up to which nothing is its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) begun: Vec<(PatternRecord, u64)>,
}

/// An event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventRecord {
    json: Box<RawValue>,
    /// Its number in history.
    #[serde(default, skip_serializing_if = "is_none")]
    id: u64,
    /// Whether its channel had a bound of its own, which may be another one now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_bounded: bool,
}

impl EventRecord {
    /// Makes the record of an event, byte for byte.
    ///
    /// # Errors
    /// It is no JSON, which none is.
    pub(super) fn of(event: &Arc<Event>) -> Result<Self, Unreadable> {
        let text = String::from_utf8(event.json().to_vec()).map_err(Unreadable::damaged)?;
        Ok(Self {
            json: RawValue::from_string(text).map_err(Unreadable::damaged)?,
            id: event.id(),
            is_bounded: event.bound().is_some(),
        })
    }

    /// Makes the records of some events.
    ///
    /// # Errors
    /// One is no JSON.
    pub(super) fn of_all<'e>(
        events: impl IntoIterator<Item = &'e Arc<Event>>,
    ) -> Result<Vec<Self>, Unreadable> {
        events.into_iter().map(Self::of).collect()
    }

    /// Returns the event, and whether its channel had a bound.
    ///
    /// # Errors
    /// It is no event.
    pub fn event(self) -> Result<(Event, bool), Unreadable> {
        let text: Box<str> = self.json.into();
        let event = Event::of_json(Bytes::from(text.into_string()), self.id);
        let event = event.ok_or_else(|| Unreadable::damaged("an event without a channel"))?;
        Ok((event, self.is_bounded))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(id: &u64) -> bool {
    *id == 0
}

/// What makes events of their records: one for all sessions that have it.
pub type Revive<'r> = dyn FnMut(EventRecord) -> Result<Arc<Event>, Unreadable> + 'r;

/// A channel or pattern. It was within the bounds of its time, which may be others now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PatternRecord(pub(super) ChannelPattern);

impl Serialize for PatternRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for PatternRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pattern = ChannelPattern::parse(&text, &Limits::of_known_channels());
        pattern.map(Self).map_err(de::Error::custom)
    }
}

/// Who a client has shown to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityRecord {
    user: String,
    roles: Vec<String>,
    claims: Vec<(String, String)>,
    grants: Vec<(Vec<Action>, Vec<PatternRecord>)>,
    expires: Option<SystemTime>,
}

impl From<&Identity> for IdentityRecord {
    fn from(identity: &Identity) -> Self {
        let Identity {
            user,
            roles,
            claims,
            grants,
            expires,
        } = identity;
        let grant = |Grant { actions, channels }: &Grant| {
            let channels = channels.iter().cloned().map(PatternRecord);
            (actions.clone(), channels.collect())
        };
        Self {
            user: user.clone(),
            roles: roles.clone(),
            claims: claims.clone(),
            grants: grants.iter().map(grant).collect(),
            expires: *expires,
        }
    }
}

impl From<IdentityRecord> for Identity {
    fn from(record: IdentityRecord) -> Self {
        let grant = |(actions, channels): (Vec<Action>, Vec<PatternRecord>)| Grant {
            actions,
            channels: channels.into_iter().map(|channel| channel.0).collect(),
        };
        Self {
            user: record.user,
            roles: record.roles,
            claims: record.claims,
            grants: record.grants.into_iter().map(grant).collect(),
            expires: record.expires,
        }
    }
}

/// What is read of a record before all else.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The numbers of replies that another node goes on with are larger than all that were given by the one before,
/// whatever was written of them: the high bits count the nodes. They stay below what JavaScript can count.
const NODE_BITS: u32 = 32;

impl Record {
    /// Returns what it is subscribed to.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<ChannelPattern> {
        let patterns = self.state.subscriptions.iter();
        patterns.map(|pattern| pattern.0.clone()).collect()
    }

    /// Returns the number after which messages are its own by a subscription that is younger than what its client has
    /// acknowledged; 0 if it is not.
    #[must_use]
    pub fn begun(&self, pattern: &ChannelPattern) -> u64 {
        let mut begun = self.state.acks.iter().flat_map(|acks| &acks.begun);
        let found = begun.find(|(name, _)| name.0 == *pattern);
        found.map_or(0, |(_, since)| *since)
    }

    /// Tells whether its client acknowledges.
    #[must_use]
    pub fn acknowledges(&self) -> bool {
        self.state.acks.is_some()
    }

    /// Tells whether its client sends no messages, and has an event stream.
    #[must_use]
    pub fn is_of_event_stream(&self) -> bool {
        self.state.stream.keeps_session
    }

    /// Returns the number in history up to which its client has acknowledged all, of a session whose node has died;
    /// it goes on with numbers of replies that were never given.
    pub fn adopt(&mut self) -> u64 {
        if let Some(acks) = &mut self.state.acks {
            acks.last = ((acks.last >> NODE_BITS) + 1) << NODE_BITS;
        }
        self.state.position.unwrap_or_default()
    }

    /// Writes it.
    ///
    /// # Errors
    /// It has a time that cannot be written.
    pub fn encode(&self) -> Result<Bytes, Unreadable> {
        let json = serde_json::to_vec(self).map_err(Unreadable::damaged)?;
        Ok(json.into())
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is of another version, or damaged.
    pub fn decode(json: &[u8]) -> Result<Self, Unreadable> {
        let Version { version } = serde_json::from_slice(json).map_err(Unreadable::damaged)?;
        if version != VERSION {
            return Err(Unreadable::Version(version));
        }
        serde_json::from_slice(json).map_err(Unreadable::damaged)
    }
}

/// What has a text of its own.
mod as_text {
    use super::{Deserialize, Deserializer, Display, FromStr, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
