//! What nodes ask each other about sessions, channels and users, in JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::calls::as_text;
use crate::bayeux::{ChannelPattern, ClientId, Event};
use crate::session::Selection;

/// What the call [`Ask`](crate::cluster::CallKind::Ask) asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::server) enum Question {
    /// Which sessions there are: a page of them.
    Sessions(Selection),
    /// What there is to say of a session: if it is there.
    Session {
        #[serde(with = "as_text")]
        id: ClientId,
    },
    /// To end a session: `true` if it was there.
    EndSession {
        #[serde(with = "as_text")]
        id: ClientId,
    },
    /// Which channels and patterns have subscribers: a page of them.
    Channels {
        within: Vec<ChannelPattern>,
        asked: Option<ChannelPattern>,
        after: Option<String>,
        limit: usize,
    },
    /// Who is subscribed to a channel or pattern: if anybody is.
    Channel {
        pattern: ChannelPattern,
        max_users: usize,
    },
    /// To end a user's sessions, after it is refused for so long, if that is given: how many there were.
    EndUser {
        user: String,
        refuse: Option<Duration>,
    },
    /// To send an event to a session: how far it came, if that was there.
    SendToSession {
        #[serde(with = "as_text")]
        id: ClientId,
        event: Box<RawValue>,
    },
    /// To send an event to the sessions of a user: how far it came.
    SendToUser { user: String, event: Box<RawValue> },
}

/// Returns what an event is in a question.
pub(in crate::server) fn json_of(event: &Event) -> Box<RawValue> {
    let text = String::from_utf8_lossy(event.json()).into_owned();
    RawValue::from_string(text).expect("an event is JSON")
}
