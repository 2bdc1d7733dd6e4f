//! What fuzzers do to frames, to deflated messages, and to offers of how to deflate them.

use std::io::{self, Cursor, Read, Write};

use bytes::{Bytes, BytesMut};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

use super::deflate::{accept, deflate, inflate};
use super::frame::{FrameKind, encode};
use super::reader::{Failure, Incoming, Reader, Side};
use crate::fuzzing::target::{Target, in_pieces};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "frames",
        check: frames,
        seeds: &[
            // A text, a ping, a text in two frames with a pong between them, and the end.
            b"\x81\x82\0\0\0\0[]\x89\x81\x01\x02\x03\x04a",
            b"\x01\x81\0\0\0\0a\x8a\x80\0\0\0\0\x80\x81\0\0\0\0b",
            b"\x82\xfe\0\x7e\0\0\0\0##############################################################################################################################",
            b"\x81\x82\0\0\0\0\xc3\xa9\x88\x85\0\0\0\0\x03\xe8bye",
        ],
    },
    Target {
        name: "deflated_frames",
        check: deflated_frames,
        seeds: &[
            b"\xc1\x87\0\0\0\0\xf2H\xcd\xc9\xc9\x07\0",
            b"A\x83\0\0\0\0\xf2H\xcd\x80\x84\0\0\0\0\xc9\xc9\x07\0",
        ],
    },
    Target {
        name: "inflate",
        check: inflated,
        seeds: &[b"\xf2H\xcd\xc9\xc9\x07\0", b"\xf3H\xcd\xc9\xc9\x07\0", b"\x02\0"],
    },
    Target {
        name: "deflate_offers",
        check: offers,
        seeds: &[
            b"permessage-deflate; client_max_window_bits",
            b"x, permessage-deflate; server_max_window_bits=\"15\"; client_no_context_takeover",
        ],
    },
];

const MAX: usize = 300;

/// Returns what is read of bytes, up to a close, and why not more.
fn read(
    may_be_deflated: bool,
    pieces: std::slice::Chunks<'_, u8>,
) -> (Vec<Incoming>, Option<Failure>) {
    let mut reader = Reader::new(Side::Server, may_be_deflated, MAX);
    let (mut arrived, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        arrived.extend_from_slice(piece);
        loop {
            match reader.next(&mut arrived) {
                Ok(Some(close @ Incoming::Close(_))) => {
                    found.push(close);
                    return (found, None);
                }
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => break,
                Err(failure) => return (found, Some(failure)),
            }
        }
    }
    (found, None)
}

/// Messages are the same in whatever pieces they come, those that another reader finds, and those that come of
/// writing them.
fn frames(bytes: &[u8]) -> bool {
    let (found, failure) = in_pieces(bytes, |pieces| read(false, pieces));
    let (theirs, is_failed) = read_by_tungstenite(bytes);
    match failure {
        None => assert_eq!((&theirs, is_failed), (&found, false)),
        // The other waits for a frame to be whole, or makes a close of what it refuses.
        Some(_) => assert!(theirs.starts_with(&found), "{theirs:?} {found:?}"),
    }
    are_written(&found);
    failure.is_none() && !found.is_empty()
}

fn deflated_frames(bytes: &[u8]) -> bool {
    let (found, failure) = in_pieces(bytes, |pieces| read(true, pieces));
    are_written(&found);
    failure.is_none() && !found.is_empty()
}

fn are_written(found: &[Incoming]) {
    let mut written = Vec::new();
    for incoming in found {
        let (kind, payload): (_, &[u8]) = match incoming {
            Incoming::Text(text) => {
                assert!(str::from_utf8(text).is_ok(), "a text is UTF-8");
                (FrameKind::Text, text)
            }
            Incoming::Binary(bytes) => (FrameKind::Binary, bytes),
            Incoming::Ping(bytes) => (FrameKind::Ping, bytes),
            Incoming::Pong => (FrameKind::Pong, b""),
            Incoming::Close(None) => (FrameKind::Close, b""),
            Incoming::Close(Some(code)) => {
                let code = u16::from(*code).to_be_bytes();
                encode(FrameKind::Close, &code, Some([1, 2, 3, 4]), &mut written);
                continue;
            }
        };
        assert!(payload.len() <= MAX);
        encode(kind, payload, Some([1, 2, 3, 4]), &mut written);
    }
    assert_eq!(read(false, written.chunks(5)), (found.to_vec(), None));
}

/// Bytes to read, and nowhere to write to.
struct Wire<'b>(Cursor<&'b [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            size => Ok(size),
        }
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns what tungstenite reads, and whether that fails.
fn read_by_tungstenite(bytes: &[u8]) -> (Vec<Incoming>, bool) {
    use tungstenite::{Error, Message};
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX))
        .max_frame_size(Some(MAX));
    let mut socket =
        WebSocket::from_raw_socket(Wire(Cursor::new(bytes)), Role::Server, Some(config));
    let mut found = Vec::new();
    loop {
        found.push(match socket.read() {
            Ok(Message::Text(text)) => Incoming::Text(Bytes::from(text)),
            Ok(Message::Binary(bytes)) => Incoming::Binary(bytes),
            Ok(Message::Ping(bytes)) => Incoming::Ping(bytes),
            Ok(Message::Pong(_)) => Incoming::Pong,
            Ok(Message::Close(frame)) => {
                found.push(Incoming::Close(frame.map(|frame| frame.code)));
                return (found, false);
            }
            Ok(Message::Frame(_)) => continue,
            Err(Error::Io(_)) => return (found, false),
            Err(_) => return (found, true),
        });
    }
}

/// What is inflated is within its bound; what is deflated comes back.
fn inflated(bytes: &[u8]) -> bool {
    let found = inflate(bytes, MAX);
    if let Ok(plain) = &found {
        assert!(plain.len() <= MAX);
        assert_eq!(inflate(&deflate(plain), MAX).as_ref(), Ok(plain));
    }
    let deflated = deflate(bytes);
    assert_eq!(inflate(&deflated, bytes.len()).as_deref(), Ok(bytes));
    if let Some(less) = bytes.len().checked_sub(1) {
        assert!(inflate(&deflated, less).is_err(), "it is larger");
    }
    found.is_ok()
}

/// An answer is an offer that would be accepted, and a worse one before it changes nothing.
fn offers(bytes: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(bytes) else {
        return false;
    };
    let answer = accept(text);
    assert_eq!(accept(&format!("permessage-deflate; x, {text}")), answer);
    assert!(answer.is_none_or(|answer| accept(answer) == Some(answer)));
    answer.is_some()
}
