//! One HTTP/1.1 connection of a simulated client: sends ready bytes, reads counted responses, or chunks; knows no Bayeux.

use std::net::SocketAddr;
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::cli::bench::fault::{Fault, excerpt};

/// Room for a reply's head and one small message; a buffer grows only for those who get more.
const BUFFER: usize = 1024;
/// The content type of a response that goes on for as long as the connection.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// The longest response head that is read.
const MAX_HEAD: usize = 16 * 1024;
/// The longest response body that is read.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// A response, still in the connection's buffer.
#[derive(Debug)]
pub(super) struct Response<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    head: &'a [u8],
    /// The body.
    pub(super) body: &'a [u8],
}

impl<'a> Response<'a> {
    /// The values of a header, in the response's order.
    pub(super) fn headers(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.head
            .split(|&byte| byte == b'\n')
            .filter_map(split_header)
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Whether what follows on the connection is an event stream.
    pub(super) fn is_event_stream(&self) -> bool {
        self.headers("content-type").any(is_event_stream)
    }

    /// The `Cookie` value that returns what this response's `Set-Cookie` headers gave.
    pub(super) fn cookies(&self) -> String {
        let pairs: Vec<_> = self
            .headers("set-cookie")
            .map(|value| {
                let end = memchr(b';', value).unwrap_or(value.len());
                String::from_utf8_lossy(&value[..end]).into_owned()
            })
            .collect();
        pairs.join("; ")
    }
}

/// Where a response lies in the buffer, or a chunk of one.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Head {
    status: u16,
    length: usize,
    body: usize,
    /// What follows the body.
    tail: usize,
    /// The body is in chunks, and not counted here.
    is_chunked: bool,
}

impl Head {
    fn whole(&self) -> usize {
        self.length + self.body + self.tail
    }
}

/// A TCP connection and the bytes read from it that are not used yet.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The response that was read last, at the buffer's start.
    last: Head,
    /// Whether a response may come in chunks, which are then read one by one.
    takes_chunks: bool,
    is_in_chunks: bool,
}

impl Connection {
    /// Connects to the first address that accepts.
    pub(super) async fn open(addresses: &[SocketAddr], limit: Duration) -> Result<Self, Fault> {
        let Ok(stream) = timeout(limit, TcpStream::connect(addresses)).await else {
            let answer = "the connection was not accepted".to_owned();
            return Err(Fault::TimedOut { limit, answer });
        };
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(BUFFER),
            last: Head::default(),
            takes_chunks: false,
            is_in_chunks: false,
        })
    }

    /// Reads a response in chunks as one response for each chunk, an empty one at its end.
    pub(super) fn taking_chunks(mut self) -> Self {
        self.takes_chunks = true;
        self
    }

    /// Tells whether what was read last was a chunk.
    pub(super) fn is_in_chunks(&self) -> bool {
        self.is_in_chunks
    }

    /// Connects anew to the same address, and forgets what had come.
    pub(super) async fn redial(&mut self) -> Result<(), Fault> {
        self.stream = TcpStream::connect(self.stream.peer_addr()?).await?;
        self.stream.set_nodelay(true)?;
        self.buffer.clear();
        self.last = Head::default();
        self.is_in_chunks = false;
        Ok(())
    }

    /// Sends a whole request, head and body, that is ready as bytes.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Reads the next response; nothing is lost if this is dropped before.
    pub(super) async fn next(&mut self) -> Result<(), Fault> {
        let last = std::mem::take(&mut self.last);
        self.buffer.drain(..last.whole());
        loop {
            let mut missing = BUFFER / 2;
            if let Some(head) = self.parse()? {
                let whole = head.whole();
                if self.buffer.len() >= whole {
                    self.last = head;
                    return Ok(());
                }
                missing = whole - self.buffer.len();
            }
            if self.buffer.capacity() - self.buffer.len() < missing.min(BUFFER / 2) {
                self.buffer.reserve(missing);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Fault::Closed(excerpt(&self.buffer)));
            }
        }
    }

    fn parse(&mut self) -> Result<Option<Head>, Fault> {
        if !self.is_in_chunks {
            let head = parse_head(&self.buffer, self.takes_chunks)?;
            let Some(head) = head.filter(|head| head.is_chunked) else {
                return Ok(head);
            };
            self.buffer.drain(..head.length);
            self.is_in_chunks = true;
        }
        parse_chunk(&self.buffer)
    }

    /// The response that was read last.
    pub(super) fn response(&self) -> Response<'_> {
        let (head, rest) = self.buffer.split_at(self.last.length);
        Response {
            status: self.last.status,
            head,
            body: &rest[..self.last.body],
        }
    }

    /// The bytes that have come, the last response's among them.
    pub(super) fn arrived(&self) -> &[u8] {
        &self.buffer
    }

    /// The socket, and what came after the last response.
    pub(super) fn into_parts(mut self) -> (TcpStream, Vec<u8>) {
        self.buffer.drain(..self.last.whole());
        (self.stream, self.buffer)
    }
}

/// Reads a response head, if all of it is there.
fn parse_head(bytes: &[u8], takes_chunks: bool) -> Result<Option<Head>, Fault> {
    let mut at = 0;
    let mut status = None;
    let mut body = None;
    let mut is_stream = false;
    let mut is_chunked = false;
    loop {
        let Some(end) = memchr(b'\n', &bytes[at..]) else {
            return if bytes.len() > MAX_HEAD {
                Err(Fault::Malformed(excerpt(bytes)))
            } else {
                Ok(None)
            };
        };
        let line = bytes[at..at + end].trim_ascii_end();
        at += end + 1;
        let Some(status) = status else {
            status = Some(parse_status(line)?);
            continue;
        };
        if line.is_empty() {
            let body = match body {
                Some(length) => length,
                // What follows an upgrade or begins a stream is not the response's to count.
                None if is_stream || is_chunked || matches!(status, 101 | 204) => 0,
                None => {
                    let text = format!("status {status} without Content-Length");
                    return Err(Fault::Uncounted(text));
                }
            };
            return Ok(Some(Head {
                status,
                length: at,
                body,
                tail: 0,
                is_chunked,
            }));
        }
        match split_header(line) {
            Some((name, value)) if name.eq_ignore_ascii_case(b"content-length") => {
                body = Some(parse_length(value)?);
            }
            Some((name, value)) if name.eq_ignore_ascii_case(b"content-type") => {
                is_stream = is_event_stream(value);
            }
            Some((name, value)) if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                is_chunked = takes_chunks && status == 200 && value == b"chunked";
                if !is_chunked {
                    return Err(Fault::Uncounted(excerpt(value)));
                }
            }
            _ => {}
        }
    }
}

/// Reads where a chunk lies, if its length is there.
fn parse_chunk(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let Some(end) = memchr(b'\n', bytes) else {
        return Ok(None);
    };
    let size = std::str::from_utf8(bytes[..end].trim_ascii_end()).ok();
    let body = size
        .and_then(|size| usize::from_str_radix(size, 16).ok())
        .filter(|&size| size <= MAX_BODY)
        .ok_or_else(|| Fault::Malformed(format!("a chunk of {}", excerpt(&bytes[..end]))))?;
    Ok(Some(Head {
        status: 200,
        length: end + 1,
        body,
        tail: 2,
        is_chunked: true,
    }))
}

fn parse_status(line: &[u8]) -> Result<u16, Fault> {
    line.strip_prefix(b"HTTP/1.")
        .and_then(|rest| std::str::from_utf8(rest.get(2..5)?).ok()?.parse().ok())
        .ok_or_else(|| Fault::Malformed(excerpt(line)))
}

fn parse_length(value: &[u8]) -> Result<usize, Fault> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|&length| length <= MAX_BODY)
        .ok_or_else(|| Fault::Malformed(format!("Content-Length: {}", excerpt(value))))
}

fn is_event_stream(content_type: &[u8]) -> bool {
    let end = memchr(b';', content_type).unwrap_or(content_type.len());
    content_type[..end]
        .trim_ascii()
        .eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
}

fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_whole_head() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  2\r\n\r\n[]";
        for cut in 0..whole.len() - 2 {
            assert_eq!(parse_head(&whole[..cut], false).unwrap(), None, "{cut}");
        }
        let head = parse_head(whole, false).unwrap().unwrap();
        assert_eq!((head.status, head.body), (200, 2));
        assert_eq!(&whole[head.length..], b"[]");
    }

    #[test]
    fn refuses_what_it_cannot_count() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(
            matches!(parse_head(chunked, false), Err(Fault::Uncounted(why)) if why == "chunked")
        );
        let unknown = b"HTTP/1.1 200 OK\r\n\r\n";
        assert!(matches!(
            parse_head(unknown, false),
            Err(Fault::Uncounted(_))
        ));
        let other = b"SSH-2.0-x\r\n";
        assert!(matches!(parse_head(other, false), Err(Fault::Malformed(_))));
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n";
        assert!(matches!(parse_head(long, false), Err(Fault::Malformed(_))));
    }

    #[test]
    fn an_event_stream_is_not_counted() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream ;charset=utf-8\r\n\r\n:";
        let head = parse_head(whole, false).unwrap().unwrap();
        assert_eq!((head.length, head.body), (whole.len() - 1, 0));
        let other = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\n";
        assert!(matches!(parse_head(other, false), Err(Fault::Uncounted(_))));
    }

    #[test]
    fn a_chunk_says_where_it_ends() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = parse_head(whole, true).unwrap().unwrap();
        assert_eq!((head.whole(), head.is_chunked), (whole.len(), true));
        let chunk = parse_chunk(b"1a\r\nabc").unwrap().unwrap();
        assert_eq!((chunk.length, chunk.body, chunk.whole()), (4, 26, 32));
        assert_eq!(parse_chunk(b"0\r\n\r\n").unwrap().unwrap().body, 0);
        assert_eq!(parse_chunk(b"1a\r").unwrap(), None);
        for wrong in ["\r\n", "x\r\n", "-1\r\n", "ffffffffff\r\n"] {
            let parsed = parse_chunk(wrong.as_bytes());
            assert!(matches!(parsed, Err(Fault::Malformed(_))), "{wrong}");
        }
        let failed = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(parse_head(failed, true), Err(Fault::Uncounted(_))));
    }

    #[test]
    fn joins_the_cookies() {
        let response = Response {
            status: 200,
            head: b"HTTP/1.1 200 OK\r\nSet-Cookie: A=1; Path=/\r\nset-cookie:B=2\r\n\r\n",
            body: b"",
        };
        assert_eq!(response.cookies(), "A=1; B=2");
    }
}
