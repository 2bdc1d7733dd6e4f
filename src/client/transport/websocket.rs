//! WebSocket: after an upgrade, a text message for each batch, and pongs for pings.

use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use tokio::time::timeout;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::http;
use super::inbox::Inbox;
use crate::client::fault::{Fault, excerpt};
use crate::client::url::Url;
use crate::web::websocket::{
    CloseCode, Failure, FrameKind, Incoming, Reader, Side, encode as frame,
};

/// The longest message that is read.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// The first byte of a frame that is a whole text message.
const TEXT: u8 = 0x81;
/// The bit of a frame's second byte that says that it is masked.
const MASKED: u8 = 0x80;

/// A connection that carries frames.
#[derive(Debug)]
pub(super) struct WebSocket {
    inbox: Inbox,
    /// Of the bytes that have come, those of the frame that was read last.
    last: usize,
    batch: Batch,
    /// Reads all frames but whole text messages, which most are.
    reader: Reader,
    /// The part of a pong that is not sent yet.
    pong: Bytes,
}

/// The message that was read last.
#[derive(Debug)]
enum Batch {
    /// It lies in the inbox.
    Here(Range<usize>),
    /// It came in several frames.
    Joined(Bytes),
}

impl WebSocket {
    /// Asks the server to go over from HTTP, which it must within `limit`.
    pub(super) async fn upgrade(
        mut http: http::Connection,
        url: &Url,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let key = generate_key();
        let Ok(agreed) = timeout(limit, agree(&mut http, url, &key)).await else {
            let answer = excerpt(http.arrived());
            return Err(Fault::TimedOut { limit, answer });
        };
        agreed?;
        Ok(Self {
            inbox: http.into_inbox(),
            last: 0,
            batch: Batch::Here(0..0),
            reader: Reader::new(Side::Client, false, MAX_MESSAGE),
            pong: Bytes::new(),
        })
    }

    /// Sends frames.
    pub(super) async fn send(&mut self, frames: &[u8]) -> Result<(), Fault> {
        let pong = std::mem::take(&mut self.pong);
        if !pong.is_empty() {
            self.inbox.send(&pong).await?;
        }
        self.inbox.send(frames).await
    }

    /// Reads the next text message and answers pings before it; nothing is lost if it is not asked
    /// again.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.batch = Batch::Here(0..0);
        self.inbox.advance(std::mem::take(&mut self.last));
        loop {
            while self.pong.has_remaining() {
                let sent = ready!(self.inbox.poll_send(&self.pong, cx))?;
                self.pong.advance(sent);
            }
            let bytes = self.inbox.bytes();
            let Some(payload) = next_frame(bytes)? else {
                ready!(self.inbox.poll_more(cx))?;
                continue;
            };
            if bytes[0] == TEXT && !self.reader.is_within_message() {
                check_text(&bytes[payload.clone()])?;
                self.last = payload.end;
                self.batch = Batch::Here(payload);
                return Poll::Ready(Ok(()));
            }
            if let Some(message) = self.read_frame(payload)? {
                self.batch = Batch::Joined(message);
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads a frame that is not a whole text message; returns the message that it ends, if it does.
    fn read_frame(&mut self, payload: Range<usize>) -> Result<Option<Bytes>, Fault> {
        let bytes = self.inbox.bytes();
        let reason = bytes[payload.clone()].get(2..).unwrap_or_default();
        let reason = String::from_utf8_lossy(reason).into_owned();
        let mut frame = BytesMut::from(&bytes[..payload.end]);
        self.inbox.advance(payload.end);
        match self.reader.next(&mut frame).map_err(fault)? {
            Some(Incoming::Text(message)) => Ok(Some(message)),
            Some(Incoming::Binary(_)) => Err(Fault::Malformed("a binary message".to_owned())),
            Some(Incoming::Close(code)) => {
                let code = code.map(u16::from);
                Err(Fault::CloseFrame { code, reason })
            }
            Some(Incoming::Ping(payload)) => {
                self.pong = masked(FrameKind::Pong, &payload)?.into();
                Ok(None)
            }
            Some(Incoming::Pong) | None => Ok(None),
        }
    }

    /// The message that was read last.
    pub(super) fn batch(&self) -> &[u8] {
        match &self.batch {
            Batch::Here(range) => &self.inbox.bytes()[range.clone()],
            Batch::Joined(message) => message,
        }
    }

    /// The bytes that have come and are not read yet.
    pub(super) fn arrived(&self) -> &[u8] {
        &self.inbox.bytes()[self.last..]
    }

    /// When the last of them came.
    pub(super) fn read_at(&self) -> Instant {
        self.inbox.read_at()
    }
}

/// A frame that carries a batch.
///
/// It may be sent again as it is: a mask that is new each time is for the sake of proxies, which
/// must not be led on by what a script sends.
pub(super) fn encode(batch: &[u8]) -> Result<Vec<u8>, Fault> {
    masked(FrameKind::Text, batch)
}

fn masked(kind: FrameKind, payload: &[u8]) -> Result<Vec<u8>, Fault> {
    let mask = getrandom::u32().map_err(std::io::Error::other)?;
    let mut out = Vec::new();
    frame(kind, payload, Some(mask.to_ne_bytes()), &mut out);
    Ok(out)
}

async fn agree(http: &mut http::Connection, url: &Url, key: &str) -> Result<(), Fault> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n",
        url.path(),
        url.authority
    );
    http.send(request.as_bytes()).await?;
    http.next().await?;
    let response = http.response();
    if response.status != 101 {
        return Err(Fault::Status {
            status: response.status,
            answer: excerpt(response.body),
        });
    }
    let expected = derive_accept_key(key.as_bytes());
    let mut answers = response.headers("sec-websocket-accept");
    if answers.any(|answer| answer == expected.as_bytes()) {
        Ok(())
    } else {
        Err(Fault::Malformed("Sec-WebSocket-Accept is wrong".to_owned()))
    }
}

fn fault(failure: Failure) -> Fault {
    if failure.code == CloseCode::Size {
        return too_long();
    }
    Fault::Frames(failure.reason)
}

/// Where the payload of the first frame lies, if all of it is there.
fn next_frame(bytes: &[u8]) -> Result<Option<Range<usize>>, Fault> {
    let Some((&[_, length], rest)) = bytes.split_first_chunk::<2>() else {
        return Ok(None);
    };
    if length & MASKED != 0 {
        return Err(Fault::Frames("a server does not mask its frames"));
    }
    let (head, length) = match length {
        126 => match rest.first_chunk() {
            Some(length) => (4, u64::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(length) => (10, u64::from_be_bytes(*length)),
            None => return Ok(None),
        },
        length => (2, u64::from(length)),
    };
    match usize::try_from(length) {
        Ok(length) if length <= MAX_MESSAGE => {
            let end = head + length;
            Ok((bytes.len() >= end).then_some(head..end))
        }
        _ => Err(too_long()),
    }
}

fn check_text(text: &[u8]) -> Result<(), Fault> {
    if text.is_ascii() || std::str::from_utf8(text).is_ok() {
        Ok(())
    } else {
        Err(Fault::Frames("the text is not UTF-8"))
    }
}

fn too_long() -> Fault {
    Fault::Malformed(format!("a message of more than {MAX_MESSAGE} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_one_of_three_lengths() {
        // (the bytes before the payload, its length)
        let cases: [(&[u8], usize); 4] = [
            (b"\x81\x00", 0),
            (b"\x81\x7d", 125),
            (b"\x88\x7e\x01\x00", 256),
            (b"\x01\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 65536),
        ];
        for (head, length) in cases {
            let frame = [head, &vec![b'x'; length]].concat();
            for cut in 0..frame.len() {
                assert_eq!(next_frame(&frame[..cut]).unwrap(), None, "{head:?} {cut}");
            }
            let found = next_frame(&[&frame, &b"\x81"[..]].concat()).unwrap();
            assert_eq!(found, Some(head.len()..frame.len()), "{head:?}");
        }
    }

    #[test]
    fn a_frame_that_cannot_be_is_refused() {
        let masked = encode(b"[]").unwrap();
        assert!(matches!(next_frame(&masked), Err(Fault::Frames(_))));
        let long = b"\x81\x7f\x00\x00\x00\x00\x10\x00\x00\x00";
        assert!(matches!(next_frame(long), Err(Fault::Malformed(_))));
        assert!(check_text("ü".as_bytes()).is_ok());
        assert!(matches!(check_text(b"\xff"), Err(Fault::Frames(_))));
    }

    #[test]
    fn a_batch_is_masked() {
        let frame = encode(b"[]").unwrap();
        assert_eq!(frame[..2], [0x81, 0x82]);
        let mut reader = Reader::new(Side::Server, false, 2);
        let read = reader.next(&mut BytesMut::from(&*frame)).unwrap();
        assert_eq!(read, Some(Incoming::Text(Bytes::from_static(b"[]"))));
    }
}
