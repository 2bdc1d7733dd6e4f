//! Messages as frames, deflated or not.

use std::sync::Arc;

use crate::bayeux::{Event, Framing};
use crate::transports::answer::{Carried, Outgoing};
use crate::web::websocket::deflate::deflate;
use crate::web::websocket::{self, CloseCode, FrameKind};

/// How a client's frames are made.
#[derive(Debug)]
pub(super) struct Frames {
    /// From how many bytes on a message is deflated; never at `u64::MAX`, if the client does not inflate.
    pub(super) deflates_from: u64,
}

impl Frames {
    /// Adds replies, and the events that come with them, in one frame: a client that has the reply to
    /// its connect has them all.
    pub(super) fn replies(&self, outgoing: &mut Outgoing, json: &[u8], carried: Option<Carried>) {
        if self.is_deflated(json.len()) {
            frame(outgoing, FrameKind::DeflatedText, &deflate(json));
        } else {
            frame(outgoing, FrameKind::Text, json);
        }
        outgoing.carry(carried);
    }

    /// Adds events, each in a frame that is made once for all that deflate, and once for all that
    /// do not.
    pub(super) fn events(&self, outgoing: &mut Outgoing, events: Vec<Arc<Event>>) {
        for event in events {
            let frame = if self.is_deflated(event.json().len()) {
                event.framed(Framing::DeflatedWebSocket, |json| {
                    let mut frame = Vec::new();
                    let payload = deflate(&alone(json));
                    websocket::encode(FrameKind::DeflatedText, &payload, None, &mut frame);
                    frame
                })
            } else {
                event.framed(Framing::WebSocket, |json| websocket::text(&alone(json)))
            };
            let frame = frame.clone();
            outgoing.share(event, &frame);
        }
    }

    fn is_deflated(&self, size: usize) -> bool {
        size as u64 >= self.deflates_from
    }
}

/// Makes a batch of one message.
fn alone(json: &[u8]) -> Vec<u8> {
    [b"[", json, b"]"].concat()
}

/// Adds a frame as it is.
pub(super) fn frame(outgoing: &mut Outgoing, kind: FrameKind, payload: &[u8]) {
    websocket::encode(kind, payload, None, outgoing.bytes());
}

/// Adds the last frame, unless there is one.
pub(super) fn close(outgoing: &mut Outgoing, code: CloseCode, reason: &str) {
    if !outgoing.closes() {
        websocket::close(code, reason, outgoing.bytes());
        outgoing.close();
    }
}
