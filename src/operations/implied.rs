//! The messages that clients which send none stand for, as extensions see them: of an event stream, and
//! of a resource.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};

use crate::bayeux::{ChannelName, ClientId, Message};

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

/// Returns the name of a channel as a message has it.
pub(super) fn name(channel: &ChannelName) -> Box<RawValue> {
    to_raw_value(channel.as_str()).expect("a string is JSON")
}

fn parsed(text: &'static str) -> Message<'static> {
    serde_json::from_str(text).expect("a message")
}
