//! Event streams: a GET for the messages of a channel, whose response goes on for as long as the connection.

use std::ops::Range;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use memchr::{memchr, memchr_iter, memrchr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::flow::{BUFFER, Flow};
use super::http::{self, EVENT_STREAM};
use crate::cli::bench::fault::{Fault, excerpt};

/// The longest event that is read.
const MAX_EVENT: usize = 64 * 1024 * 1024;

/// A stream whose beginning has been read.
///
/// Of the format only what the server has to say is read: lines end with a line feed alone.
#[derive(Debug)]
pub(in crate::cli::bench) struct EventStream {
    stream: TcpStream,
    arrived: BytesMut,
    flow: Flow,
    /// The length of the event that was read last, at the buffer's start.
    last: usize,
    position: Position,
}

impl EventStream {
    /// Asks for a channel's events, those after `last` if there were some; they must begin within
    /// `limit`.
    pub(super) async fn open(
        mut http: http::Connection,
        authority: &str,
        path: &str,
        channel: &str,
        last: Option<Position>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let last_id = last
            .as_ref()
            .map(|last| format!("Last-Event-ID: {last}\r\n"))
            .unwrap_or_default();
        let request = format!(
            "GET {path}?channel={channel} HTTP/1.1\r\nHost: {authority}\r\n\
             Accept: {EVENT_STREAM}\r\n{last_id}\r\n"
        );
        let end = Instant::now() + limit;
        let Ok(agreed) = timeout_at(end, agree(&mut http, &request)).await else {
            let answer = excerpt(http.arrived());
            return Err(Fault::TimedOut { limit, answer });
        };
        agreed?;
        let (stream, rest) = http.into_parts();
        let mut arrived = BytesMut::with_capacity(BUFFER.max(rest.len()));
        arrived.extend_from_slice(&rest);
        let mut opened = Self {
            stream,
            arrived,
            flow: Flow::default(),
            last: 0,
            position: Position::default(),
        };
        let Ok(begun) = timeout_at(end, opened.begin()).await else {
            let answer = excerpt(&opened.arrived);
            return Err(Fault::TimedOut { limit, answer });
        };
        begun?;
        if let Some(last) = last.filter(|last| *last != opened.position) {
            return Err(Fault::Id {
                found: opened.position.to_string(),
                expected: last.to_string(),
            });
        }
        Ok(opened)
    }

    /// Closes the connection, and tells how far the stream had come.
    pub(in crate::cli::bench) fn into_position(self) -> Position {
        self.position
    }

    /// Reads the first block, which says where the stream begins and is no event.
    async fn begin(&mut self) -> Result<(), Fault> {
        let block = self.block().await?;
        let text = &self.arrived[..block.length];
        self.position = Some(&text[block.id])
            .filter(|_| !block.is_event && !block.is_named)
            .and_then(Position::parse)
            .ok_or_else(|| Fault::Malformed(excerpt(text)))?;
        self.arrived.advance(block.length);
        Ok(())
    }

    /// Reads the next event, however long it takes; nothing is lost if this is dropped before.
    pub(in crate::cli::bench) async fn next(&mut self) -> Result<(), Fault> {
        self.arrived.advance(std::mem::take(&mut self.last));
        loop {
            let block = self.block().await?;
            let text = &self.arrived[..block.length];
            if block.is_named {
                return Err(Fault::Malformed(excerpt(text)));
            }
            if block.is_event {
                self.position.follow(&text[block.id])?;
                self.last = block.length;
                return Ok(());
            }
            self.arrived.advance(block.length);
        }
    }

    /// The event that was read last, with its id and all.
    pub(in crate::cli::bench) fn event(&self) -> &[u8] {
        &self.arrived[..self.last]
    }

    /// Reads the block at the buffer's start until it is whole.
    async fn block(&mut self) -> Result<Block, Fault> {
        loop {
            if let Some(block) = Block::parse(&self.arrived) {
                return Ok(block);
            }
            if self.arrived.len() > MAX_EVENT {
                let text = format!("an event of more than {MAX_EVENT} bytes");
                return Err(Fault::Malformed(text));
            }
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

async fn agree(http: &mut http::Connection, request: &str) -> Result<(), Fault> {
    http.send(request.as_bytes()).await?;
    http.next().await?;
    let response = http.response();
    if response.status != 200 {
        return Err(Fault::Status {
            status: response.status,
            answer: excerpt(response.body),
        });
    }
    if response.is_event_stream() {
        Ok(())
    } else {
        let text = format!("no {EVENT_STREAM}, but {}", excerpt(response.body));
        Err(Fault::Malformed(text))
    }
}

/// Lines up to an empty one: an event if there is data in them.
#[derive(Debug, Default, PartialEq)]
struct Block {
    /// The length, with the empty line.
    length: usize,
    /// Where the id is; empty if there is none.
    id: Range<usize>,
    is_event: bool,
    /// It has a name, as a gap does and a message does not.
    is_named: bool,
}

impl Block {
    /// Reads the first block, if all of it is there.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut block = Self::default();
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let line = &bytes[start..end];
            if line.is_empty() {
                block.length = end + 1;
                return Some(block);
            }
            let colon = memchr(b':', line).unwrap_or(line.len());
            match &line[..colon] {
                b"data" => block.is_event = true,
                b"id" => {
                    let space = usize::from(line.get(colon + 1) == Some(&b' '));
                    block.id = (start + colon + 1 + space).min(end)..end;
                }
                b"event" => block.is_named = true,
                _ => {}
            }
            start = end + 1;
        }
        None
    }
}

/// How far a stream has come: an id is that of the stream, `-`, and a number that goes up by one.
#[derive(Debug, Default, PartialEq)]
pub(in crate::cli::bench) struct Position {
    stream: Box<[u8]>,
    number: u64,
}

impl Position {
    fn parse(id: &[u8]) -> Option<Self> {
        let (stream, number) = split_id(id)?;
        Some(Self {
            stream: stream.into(),
            number,
        })
    }

    /// Goes on to the next event, whose id this must be.
    fn follow(&mut self, id: &[u8]) -> Result<(), Fault> {
        let expected = self.number + 1;
        if split_id(id) != Some((&*self.stream, expected)) {
            let stream = String::from_utf8_lossy(&self.stream);
            return Err(Fault::Id {
                found: excerpt(id),
                expected: format!("{stream}-{expected}"),
            });
        }
        self.number = expected;
        Ok(())
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stream = String::from_utf8_lossy(&self.stream);
        write!(f, "{stream}-{}", self.number)
    }
}

fn split_id(id: &[u8]) -> Option<(&[u8], u64)> {
    let dash = memrchr(b'-', id)?;
    let number = std::str::from_utf8(&id[dash + 1..]).ok()?.parse().ok()?;
    Some((&id[..dash], number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_ends_at_an_empty_line() {
        // (block, its id, whether it is an event, whether it has a name)
        let cases = [
            ("retry: 1000\nid: a-0\n\n", "a-0", false, false),
            ("id: a-1\ndata: {\ndata: }\n\n", "a-1", true, false),
            ("data:{}\nid:a-1\n\n", "a-1", true, false),
            ("event: gap\ndata: {}\n\n", "", true, true),
            (":\n\n", "", false, false),
            (": id: a-1\n\n", "", false, false),
            ("id\ndata\n\n", "", true, false),
            ("\n", "", false, false),
        ];
        for (text, id, is_event, is_named) in cases {
            for cut in 0..text.len() {
                assert_eq!(Block::parse(&text.as_bytes()[..cut]), None, "{text} {cut}");
            }
            let block = Block::parse(format!("{text}id: b-9\n\n").as_bytes()).unwrap();
            assert_eq!(block.length, text.len(), "{text}");
            assert_eq!(&text[block.id], id, "{text}");
            assert_eq!(
                (block.is_event, block.is_named),
                (is_event, is_named),
                "{text}"
            );
        }
    }

    #[test]
    fn ids_go_up_by_one() {
        let mut position = Position::parse(b"a-b-0").unwrap();
        position.follow(b"a-b-1").unwrap();
        position.follow(b"a-b-2").unwrap();
        for wrong in ["a-b-1", "a-b-2", "a-b-4", "a-c-3", "a-b", "3", ""] {
            let fault = position.follow(wrong.as_bytes()).unwrap_err().to_string();
            assert!(fault.ends_with("where a-b-3 was due"), "{wrong}: {fault}");
        }
        position.follow(b"a-b-3").unwrap();
        assert_eq!(Position::parse(b"a"), None);
    }
}
