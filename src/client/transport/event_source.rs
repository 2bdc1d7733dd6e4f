//! Event streams: a GET for the messages of a channel, whose response goes on for as long as the connection.

use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use memchr::{memchr, memchr_iter, memrchr};
use tokio::time::timeout_at;

use super::Arrival;
use super::chunked::Chunked;
use super::head::EVENT_STREAM;
use super::http;
use super::inbox::Inbox;
use crate::client::fault::{Fault, excerpt};

/// The longest event that is read.
const MAX_EVENT: usize = 64 * 1024 * 1024;

/// A stream whose beginning has been read.
///
/// Of the format only what the server has to say is read: lines end with a line feed alone.
#[derive(Debug)]
pub(crate) struct EventStream {
    inbox: Inbox,
    /// The text, if it comes in chunks, as a proxy may send it.
    chunked: Option<Chunked>,
    /// The length of the event that was read last, where the unused text begins.
    last: usize,
    position: Position,
}

impl EventStream {
    /// Asks for the events at a target, those after `last` if there were some; they must begin within
    /// `limit`. Cookies are the value of their header, or nothing.
    pub(super) async fn open(
        http: http::Connection,
        authority: &str,
        target: &str,
        cookies: &str,
        last: Option<Position>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let last_id = last
            .as_ref()
            .map(|last| format!("Last-Event-ID: {last}\r\n"))
            .unwrap_or_default();
        let cookie = match cookies {
            "" => String::new(),
            cookies => format!("Cookie: {cookies}\r\n"),
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {authority}\r\n\
             Accept: {EVENT_STREAM}\r\n{cookie}{last_id}\r\n"
        );
        let mut http = http.taking_chunks();
        let end = tokio::time::Instant::now() + limit;
        let Ok(agreed) = timeout_at(end, agree(&mut http, &request)).await else {
            let answer = excerpt(http.arrived());
            return Err(Fault::TimedOut { limit, answer });
        };
        agreed?;
        let mut opened = Self {
            chunked: http.is_chunked().then(Chunked::default),
            inbox: http.into_inbox(),
            last: 0,
            position: Position::default(),
        };
        let Ok(begun) = timeout_at(end, opened.begin()).await else {
            let answer = excerpt(opened.text());
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
    pub(crate) fn into_position(self) -> Position {
        self.position
    }

    /// Reads the first block, which says where the stream begins and is no event.
    async fn begin(&mut self) -> Result<(), Fault> {
        let block = poll_fn(|cx| self.poll_block(cx)).await?;
        let text = &self.text()[..block.length];
        self.position = Some(&text[block.id])
            .filter(|_| !block.is_event && !block.is_named)
            .and_then(Position::parse)
            .ok_or_else(|| Fault::Malformed(excerpt(text)))?;
        self.advance(block.length);
        Ok(())
    }

    /// Reads the next event, however long it takes; nothing is lost if it is not asked again.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let last = std::mem::take(&mut self.last);
        self.advance(last);
        loop {
            let block = ready!(self.poll_block(cx))?;
            let text = match &self.chunked {
                Some(chunked) => chunked.bytes(),
                None => self.inbox.bytes(),
            };
            if block.is_named {
                return Poll::Ready(Err(Fault::Malformed(excerpt(&text[..block.length]))));
            }
            if block.is_event {
                self.position.follow(&text[block.id])?;
                self.last = block.length;
                return Poll::Ready(Ok(()));
            }
            self.advance(block.length);
        }
    }

    /// The event that was read last, with its id and all.
    pub(crate) fn arrival(&self) -> Arrival<'_> {
        Arrival {
            batch: &self.text()[..self.last],
            at: self.inbox.read_at(),
        }
    }

    /// Reads the block that comes next until it is whole.
    fn poll_block(&mut self, cx: &mut Context<'_>) -> Poll<Result<Block, Fault>> {
        loop {
            if let Some(block) = Block::parse(self.text()) {
                return Poll::Ready(Ok(block));
            }
            if self.text().len() > MAX_EVENT {
                let text = format!("an event of more than {MAX_EVENT} bytes");
                return Poll::Ready(Err(Fault::Malformed(text)));
            }
            match &mut self.chunked {
                Some(chunked) => ready!(chunked.poll_more(&mut self.inbox, cx))?,
                None => ready!(self.inbox.poll_more(cx))?,
            }
        }
    }

    /// What has come of the stream and is not used.
    fn text(&self) -> &[u8] {
        match &self.chunked {
            Some(chunked) => chunked.bytes(),
            None => self.inbox.bytes(),
        }
    }

    fn advance(&mut self, count: usize) {
        match &mut self.chunked {
            Some(chunked) => chunked.advance(count),
            None => self.inbox.advance(count),
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
        let other = match http.is_chunked() {
            true => "chunks of something else".to_owned(),
            false => excerpt(response.body),
        };
        let text = format!("no {EVENT_STREAM}, but {other}");
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

/// How far a stream has come: an id is that of the stream, `-`, and a number that goes up by one. What may follow
/// behind `~`, a position in history, is passed over.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Position {
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
    let id = &id[..memchr(b'~', id).unwrap_or(id.len())];
    let dash = memrchr(b'-', id)?;
    let digits = id[dash + 1..].iter();
    let number = digits.clone().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then_some(u64::from(digit & 0xf))?;
        number.checked_mul(10)?.checked_add(digit)
    })?;
    (digits.len() > 0).then_some((&id[..dash], number))
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
        position.follow(b"a-b-2~17.e-1").unwrap();
        for wrong in ["a-b-1", "a-b-2", "a-b-4", "a-c-3", "a-b", "3", ""] {
            let fault = position.follow(wrong.as_bytes()).unwrap_err().to_string();
            assert!(fault.ends_with("where a-b-3 was due"), "{wrong}: {fault}");
        }
        position.follow(b"a-b-3").unwrap();
        assert_eq!(Position::parse(b"a"), None);
    }
}
