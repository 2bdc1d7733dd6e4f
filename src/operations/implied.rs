//! The messages that clients which send none stand for, as extensions see them: of an event stream, and
//! of a resource.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use super::{Actor, Scope};
use crate::bayeux::{ChannelName, ChannelPattern, ClientId, Message, parse_data};
use crate::session::Session;

/// A request that stands for messages of a client which sends none.
#[derive(Debug, Clone, Copy)]
pub enum Implied<'a> {
    /// An event stream of these channels and patterns begins: a handshake and a subscribe.
    Begun(&'a [Cow<'a, str>]),
    /// The event stream of a session goes on: a subscribe.
    Continued(&'a [Cow<'a, str>], ClientId),
    /// An event stream joins a session: a connect.
    Joined(ClientId),
    /// A resource is read: a subscribe.
    Read(&'a ChannelName),
    /// The history of a channel or pattern is read: a subscribe.
    Past(&'a ChannelPattern),
    /// A resource is changed, or history is forgotten: a publish. There is no data if what comes of it is not known yet.
    Changed(&'a ChannelName, Option<&'a [u8]>),
}

impl Implied<'_> {
    /// Returns the handshake that the beginning of an event stream stands for.
    #[must_use]
    pub fn handshake() -> Message<'static> {
        handshake()
    }

    /// Returns the session that it names, if the actor may use that.
    pub fn session(&self, actor: &Actor<'_>, scope: &Scope<'_>) -> Option<Arc<Session>> {
        let (Self::Continued(_, id) | Self::Joined(id)) = self else {
            return None;
        };
        let session = scope.sessions.find(*id)?;
        session.admits(actor.cookies).then_some(session)
    }

    /// Makes its messages, as far as they are known before something is done for it; none if it fails.
    pub fn each(&self, scope: &Scope<'_>, mut take: impl FnMut(&Message<'_>)) {
        match *self {
            Self::Begun(channels) => {
                take(&handshake());
                take(&subscribe(&names(channels), None));
            }
            Self::Continued(channels, id) => take(&subscribe(&names(channels), Some(id))),
            Self::Joined(id) => take(&connect(id)),
            Self::Read(channel) => take(&subscribe(&name(channel), None)),
            Self::Past(pattern) => take(&subscribe(&pattern_name(pattern), None)),
            Self::Changed(channel, None) => take(&publish(&name(channel), None)),
            Self::Changed(channel, Some(data)) => {
                if let Ok(data) = parse_data(data, &scope.terms.limits) {
                    take(&publish(&name(channel), Some(data)));
                }
            }
        }
    }
}

/// Makes the handshake of an event stream.
pub(super) fn handshake() -> Message<'static> {
    parsed(
        r#"{"channel":"/meta/handshake","version":"1.0","supportedConnectionTypes":["eventsource"]}"#,
    )
}

/// Makes the connect of a stream that joins a session.
pub(super) fn connect(id: ClientId) -> Message<'static> {
    Message {
        client_id: Some(id),
        ..parsed(r#"{"channel":"/meta/connect","connectionType":"eventsource"}"#)
    }
}

/// Makes the subscribe of an event stream, or of who reads a resource, who has no session.
pub(super) fn subscribe(subscription: &RawValue, id: Option<ClientId>) -> Message<'_> {
    Message {
        subscription: Some(subscription),
        client_id: id,
        ..parsed(r#"{"channel":"/meta/subscribe"}"#)
    }
}

/// Makes the publish of who changes a resource; without data it is deleted.
pub(super) fn publish<'a>(channel: &'a RawValue, data: Option<&'a RawValue>) -> Message<'a> {
    Message {
        channel: Some(channel),
        data: data.map(Cow::Borrowed),
        ..Message::default()
    }
}

/// Returns the names of channels and patterns as a message has them.
pub(super) fn names(channels: &[Cow<'_, str>]) -> Box<RawValue> {
    to_raw_value(channels).expect("strings are JSON")
}

/// Returns the name of a channel as a message has it.
pub(super) fn name(channel: &ChannelName) -> Box<RawValue> {
    to_raw_value(channel.as_str()).expect("a string is JSON")
}

/// Returns the name of a channel or pattern as a message has it.
pub(super) fn pattern_name(pattern: &ChannelPattern) -> Box<RawValue> {
    to_raw_value(pattern.as_str()).expect("a string is JSON")
}

fn parsed(text: &'static str) -> Message<'static> {
    serde_json::from_str(text).expect("a message")
}
