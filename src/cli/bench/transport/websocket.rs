//! WebSocket: after an upgrade, a text message for each batch, and pongs for pings.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::flow::{BUFFER, Flow};
use super::http;
use crate::cli::bench::fault::{Fault, excerpt};
use crate::cli::bench::url::Url;
use crate::web::websocket::{
    CloseCode, Failure, FrameKind, Incoming, Reader, Side, encode as frame,
};

/// The longest message that is read.
const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// The bit of a frame's first byte that says the message ends here, and the bits of its opcode.
const FINAL: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 0x8;

/// A connection that carries frames.
#[derive(Debug)]
pub(super) struct WebSocket {
    stream: TcpStream,
    reader: Reader,
    arrived: BytesMut,
    flow: Flow,
    /// The message that was read last.
    batch: Bytes,
    /// The part of a pong that is not sent yet.
    pong: Bytes,
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
        let (stream, rest) = http.into_parts();
        let mut arrived = BytesMut::with_capacity(BUFFER.max(rest.len()));
        arrived.extend_from_slice(&rest);
        Ok(Self {
            stream,
            reader: Reader::new(Side::Client, false, MAX_MESSAGE),
            arrived,
            flow: Flow::default(),
            batch: Bytes::new(),
            pong: Bytes::new(),
        })
    }

    /// Sends frames.
    pub(super) async fn send(&mut self, frames: &[u8]) -> Result<(), Fault> {
        self.send_pong().await?;
        Ok(self.stream.write_all(frames).await?)
    }

    /// Reads the next text message and answers pings before it; nothing is lost if this is dropped.
    pub(super) async fn next(&mut self) -> Result<(), Fault> {
        // The buffer can be used again only when no message lies in it.
        self.batch = Bytes::new();
        loop {
            self.send_pong().await?;
            let reason = reason_to_close(&self.arrived);
            match self.reader.next(&mut self.arrived).map_err(fault)? {
                Some(Incoming::Text(batch)) => {
                    self.batch = batch;
                    return Ok(());
                }
                Some(Incoming::Ping(payload)) => {
                    self.pong = masked(FrameKind::Pong, &payload)?.into();
                }
                Some(Incoming::Pong) => {}
                Some(Incoming::Binary(_)) => {
                    return Err(Fault::Malformed("a binary message".to_owned()));
                }
                Some(Incoming::Close(code)) => {
                    let code = code.map(u16::from);
                    return Err(Fault::CloseFrame { code, reason });
                }
                None => {
                    self.arrived.reserve(self.flow.room());
                    let room = self.arrived.capacity() - self.arrived.len();
                    let read = self.stream.read_buf(&mut self.arrived).await?;
                    if read == 0 {
                        return Err(Fault::Closed(excerpt(&self.arrived)));
                    }
                    self.flow.note(read, room);
                }
            }
        }
    }

    /// The message that was read last.
    pub(super) fn batch(&self) -> &[u8] {
        &self.batch
    }

    /// The bytes that have come and are not read yet.
    pub(super) fn arrived(&self) -> &[u8] {
        &self.arrived
    }

    async fn send_pong(&mut self) -> Result<(), Fault> {
        if self.pong.has_remaining() {
            self.stream.write_all_buf(&mut self.pong).await?;
        }
        Ok(())
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
        url.path, url.authority
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
        return Fault::Malformed(format!("a message of more than {MAX_MESSAGE} bytes"));
    }
    Fault::Frames(failure.reason)
}

/// The reason in a close frame, if that is what the reader comes to next; it keeps only the code.
fn reason_to_close(arrived: &[u8]) -> String {
    let mut rest = arrived;
    // What the reader passes over are the frames of a message that is not whole.
    while let [first, length, after @ ..] = rest {
        let is_close = first & OPCODE == CLOSE;
        if first & FINAL != 0 && !is_close {
            break;
        }
        let (length, after) = match (length, after) {
            (126, [a, b, after @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), after),
            (126.., _) => break,
            (length, after) => (usize::from(*length), after),
        };
        let Some((payload, after)) = after.split_at_checked(length) else {
            break;
        };
        if is_close {
            let reason = payload.get(2..).unwrap_or_default();
            return String::from_utf8_lossy(reason).into_owned();
        }
        rest = after;
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_that_of_the_next_close_frame() {
        // (frames, reason)
        let cases: [(&[u8], &str); 7] = [
            (b"\x88\x05\x03\xe9bye", "bye"),
            (b"\x01\x01[\x00\x01]\x88\x05\x03\xe9bye", "bye"),
            (b"\x01\x7e\x00\x02[]\x88\x05\x03\xe9bye", "bye"),
            (b"\x81\x02[]\x88\x05\x03\xe9bye", ""),
            (b"\x88\x02\x03\xe9", ""),
            (b"\x88\x00", ""),
            (b"\x88\x05\x03\xe9by", ""),
        ];
        for (frames, reason) in cases {
            assert_eq!(reason_to_close(frames), reason, "{frames:?}");
        }
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
