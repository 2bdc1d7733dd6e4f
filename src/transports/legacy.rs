//! What clients of Bayeux 0.1 and of 2007 need, in one place; the core does not know it.
//!
//! Protocol 0.1 (Dojo 0.4, dojox 0.9) is known by the *number* 0.1 as the handshake's version. Its
//! clients poll with `/meta/reconnect`, keep a `connectionId`, read events on polls only, and some
//! insist on `authSuccessful`. dojox 0.9 and 1.0 announce `json-comment-filtered` and take a reply
//! that holds both `/*` and `*/` anywhere for a commented one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bayeux::{BayeuxError, Field, Message, Reply, meta, number, text};
use crate::session::Session;

/// How long a client that ignores advice waits to hear that its session is gone.
const UNKNOWN_SESSION_DELAY: Duration = Duration::from_secs(2);
/// The session's client speaks protocol 0.1.
const PROTOCOL_0_1: u8 = 1;
/// The session's client takes `*/` for the end of a comment.
const COMMENT_FILTERED: u8 = 2;
/// The session's last connect named one of these; its reconnects do not.
const IFRAME: u8 = 4;
const MIME_MESSAGE_BLOCK: u8 = 8;

/// Makes UTF-8 of what Dojo 0.4 percent-encodes as Latin-1, a byte a character.
pub(super) fn in_utf8(texts: Vec<Bytes>) -> Vec<Bytes> {
    let convert = |text: Bytes| match std::str::from_utf8(&text) {
        Ok(_) => text,
        Err(_) => Bytes::from(encoding_rs::mem::decode_latin1(&text).into_owned()),
    };
    texts.into_iter().map(convert).collect()
}

/// Gives the messages of old protocols their meaning in this one.
pub(super) fn translate(batch: &mut [Message<'_>]) {
    for message in batch {
        if message.meta.is_none() && is_reconnect(message) {
            message.meta = Some(meta::CONNECT);
        }
    }
}

/// Notes on a session what its handshake or its connect says of its client.
pub(super) fn remember(batch: &[Message<'_>], session: Option<&Arc<Session>>) {
    let Some(session) = session else { return };
    if let Some(message) = handshake(batch) {
        remember_handshake(message, session);
    } else if is_of_protocol_0_1(session.marks()) {
        remember_connect(batch, session);
    }
}

fn remember_handshake(message: &Message<'_>, session: &Session) {
    let mut marks = 0;
    if is_0_1(message) {
        marks |= PROTOCOL_0_1;
        session.deliver_on_connect_only();
    }
    if announces_comment_filter(message) {
        marks |= COMMENT_FILTERED;
    }
    session.set_marks(marks);
}

fn remember_connect(batch: &[Message<'_>], session: &Session) {
    let [message] = batch else { return };
    let Some(name) = message.connection_type.and_then(text) else {
        return;
    };
    let by = match &*name {
        "iframe" => IFRAME,
        "mime-message-block" => MIME_MESSAGE_BLOCK,
        _ => 0,
    };
    session.set_marks(session.marks() & !(IFRAME | MIME_MESSAGE_BLOCK) | by);
}

/// Returns the connection type of a connect that names none, as the forever frames of Dojo 0.4.
pub(super) fn streams_by(marks: u8) -> Option<&'static str> {
    match marks & (IFRAME | MIME_MESSAGE_BLOCK) {
        IFRAME => Some("iframe"),
        MIME_MESSAGE_BLOCK => Some("mime-message-block"),
        _ => None,
    }
}

/// Adds what clients of protocol 0.1 look for in replies.
pub(super) fn dress(replies: &mut [Reply<'_>], batch: &[Message<'_>], marks: u8) {
    if marks & PROTOCOL_0_1 == 0 {
        return;
    }
    if handshake(batch).is_some() {
        for reply in replies {
            reply.add(Field::Other("authSuccessful", "true"));
        }
        return;
    }
    for (reply, message) in replies.iter_mut().zip(batch) {
        if message.is_on(meta::CONNECT) {
            reply.add(Field::Other("connectionId", "\"1\""));
        }
    }
}

/// Returns how long the response to a batch is kept back: clients of protocol 0.1 ignore advice, and
/// poll again at once when they are told that their session is gone.
pub(super) fn delay(batch: &[Message<'_>], replies: &[Reply<'_>]) -> Option<Duration> {
    let ([message], [reply]) = (batch, replies) else {
        return None;
    };
    let is_storm = reply.error() == Some(BayeuxError::SessionUnknown) && is_reconnect(message);
    is_storm.then_some(UNKNOWN_SESSION_DELAY)
}

/// Adds it to the reply of a held connect.
pub(super) fn dress_connect(mut reply: Reply<'_>, marks: u8) -> Reply<'_> {
    if marks & PROTOCOL_0_1 != 0 {
        reply.add(Field::Other("connectionId", "\"1\""));
    }
    reply
}

/// Tells whether a session's client speaks protocol 0.1.
pub(super) fn is_of_protocol_0_1(marks: u8) -> bool {
    marks & PROTOCOL_0_1 != 0
}

/// Tells whether `*/` is escaped in what a session's client receives.
pub(super) fn escapes_comment_end(marks: u8) -> bool {
    marks & COMMENT_FILTERED != 0
}

fn handshake<'m, 'a>(batch: &'m [Message<'a>]) -> Option<&'m Message<'a>> {
    batch.iter().find(|message| message.is_on(meta::HANDSHAKE))
}

fn is_reconnect(message: &Message<'_>) -> bool {
    message.channel.and_then(text).as_deref() == Some("/meta/reconnect")
}

fn is_0_1(message: &Message<'_>) -> bool {
    message.version.and_then(number) == Some(0.1)
}

fn announces_comment_filter(message: &Message<'_>) -> bool {
    let announced = message.extension("json-comment-filtered");
    announced.is_some_and(|announced| announced.get() == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf8_is_latin1() {
        let texts = [b"caf\xe9".as_slice(), "\u{2713} caf\u{e9}".as_bytes()];
        let texts = texts.into_iter().map(Bytes::from_static).collect();
        assert_eq!(in_utf8(texts), ["caf\u{e9}", "\u{2713} caf\u{e9}"]);
    }

    #[test]
    fn protocol_0_1_is_the_number() {
        let cases = [
            ("0.1", true),
            ("0.10", true),
            ("1E-1", true),
            ("\"0.1\"", false),
            ("1", false),
            ("null", false),
        ];
        for (version, expected) in cases {
            let text = format!(r#"{{"version":{version}}}"#);
            let message: Message<'_> = serde_json::from_str(&text).expect("a message");
            assert_eq!(is_0_1(&message), expected, "{version}");
        }
    }

    #[test]
    fn a_comment_filter_has_to_be_announced() {
        let cases = [
            (r#"{"json-comment-filtered":true}"#, true),
            (r#"{"json-comment-filtered":false}"#, false),
            (r#"{"ack":true}"#, false),
            ("5", false),
        ];
        for (ext, expected) in cases {
            let text = format!(r#"{{"ext":{ext}}}"#);
            let message: Message<'_> = serde_json::from_str(&text).expect("a message");
            assert_eq!(announces_comment_filter(&message), expected, "{ext}");
        }
    }
}
