//! The head of an HTTP/1.1 response: its status, and how long what follows is.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter};

use crate::client::fault::{Fault, excerpt};

/// The content type of a response that goes on for as long as the connection.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// The longest response head that is read.
const MAX_HEAD: usize = 16 * 1024;
/// The longest response body, or chunk of one, that is read.
pub(super) const MAX_BODY: usize = 64 * 1024 * 1024;

/// A response, still in the connection's buffer.
#[derive(Debug)]
pub(super) struct Response<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    pub(super) head: &'a [u8],
    /// The body; empty if it is not counted.
    pub(super) body: &'a [u8],
}

impl<'a> Response<'a> {
    /// The values of a header, in the response's order.
    pub(super) fn headers(&self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        headers(self.head, name)
    }

    /// Whether what follows on the connection is an event stream.
    pub(super) fn is_event_stream(&self) -> bool {
        is_event_stream(self.head)
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

/// Where a response lies in the buffer.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Head {
    /// The HTTP status.
    pub(super) status: u16,
    /// How long the head is.
    pub(super) length: usize,
    /// How long the body is, if that is counted.
    pub(super) body: usize,
    /// The body comes in chunks.
    pub(super) is_chunked: bool,
}

impl Head {
    /// Reads a response's head, if all of it is there; one whose body may be in chunks only if its
    /// status is 200.
    pub(super) fn parse(bytes: &[u8], takes_chunks: bool) -> Result<Option<Self>, Fault> {
        match Self::parse_usual(bytes) {
            Some(head) => Ok(Some(head)),
            None => Self::parse_any(bytes, takes_chunks),
        }
    }

    /// Reads a head that is spelled as usual, as most are; none of its other lines matter.
    fn parse_usual(bytes: &[u8]) -> Option<Self> {
        static LENGTH: LazyLock<Finder<'_>> =
            LazyLock::new(|| Finder::new(b"\r\nContent-Length: "));
        static END: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));
        if !bytes.starts_with(b"HTTP/1.1 200 ") {
            return None;
        }
        // No JSON has line ends within, so it is not found in a body.
        let start = LENGTH.find(bytes)? + LENGTH.needle().len();
        let value = &bytes[start..];
        let end = start + END.find(value)? + END.needle().len();
        let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
        let (count, body) = digits.fold((0, 0), |(count, body): (usize, usize), digit| {
            let body = body.saturating_mul(10);
            (count + 1, body.saturating_add(usize::from(digit - b'0')))
        });
        let is_usual = count > 0 && body <= MAX_BODY && value[count] == b'\r';
        is_usual.then_some(Self {
            status: 200,
            length: end,
            body,
            is_chunked: false,
        })
    }

    fn parse_any(bytes: &[u8], takes_chunks: bool) -> Result<Option<Self>, Fault> {
        let mut ends = memchr_iter(b'\n', bytes);
        let Some(end) = ends.next() else {
            return incomplete(bytes);
        };
        let mut head = Self {
            status: parse_status(&bytes[..end])?,
            length: end + 1,
            ..Self::default()
        };
        let mut body = None;
        for end in ends {
            let line = &bytes[head.length..end];
            head.length = end + 1;
            match line {
                [] | b"\r" => {
                    head.body = match body {
                        _ if head.is_chunked => 0,
                        Some(length) => length,
                        None => head.uncounted(bytes)?,
                    };
                    return Ok(Some(head));
                }
                [b'c' | b'C', b'o' | b'O', ..] => {
                    if let Some(value) = value(line, "content-length") {
                        body = Some(parse_length(value)?);
                    }
                }
                [b't' | b'T', ..] => {
                    if let Some(value) = value(line, "transfer-encoding") {
                        head.is_chunked = takes_chunks && head.status == 200 && value == b"chunked";
                        if !head.is_chunked {
                            return Err(Fault::Uncounted(excerpt(value)));
                        }
                    }
                }
                _ => {}
            }
        }
        incomplete(bytes)
    }

    /// What is left to be read of a response that does not say.
    fn uncounted(&self, bytes: &[u8]) -> Result<usize, Fault> {
        let status = self.status;
        // What follows an upgrade or begins a stream is not the response's to count.
        if matches!(status, 101 | 204) || is_event_stream(&bytes[..self.length]) {
            return Ok(0);
        }
        let text = format!("status {status} without Content-Length");
        Err(Fault::Uncounted(text))
    }

    /// How long head and body are.
    pub(super) fn whole(&self) -> usize {
        self.length + self.body
    }
}

fn incomplete(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    if bytes.len() > MAX_HEAD {
        Err(Fault::Malformed(excerpt(bytes)))
    } else {
        Ok(None)
    }
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
        .ok_or_else(|| {
            let value = excerpt(value);
            Fault::Malformed(format!(
                "Content-Length: {value}, where at most {MAX_BODY} is read"
            ))
        })
}

/// Reads how long a chunk is, from the line before it.
pub(super) fn parse_chunk_size(line: &[u8]) -> Result<usize, Fault> {
    let mut size = Some(0);
    let mut count = 0;
    while let Some(digit) = line
        .get(count)
        .and_then(|&byte| char::from(byte).to_digit(16))
    {
        let more = |size: usize| size.checked_mul(16)?.checked_add(digit as usize);
        size = size.and_then(more).filter(|&size| size <= MAX_BODY);
        count += 1;
    }
    let is_whole = matches!(line.get(count), None | Some(b'\r' | b';' | b' '));
    size.filter(|_| count > 0 && is_whole)
        .ok_or_else(|| Fault::Malformed(format!("a chunk of {}", excerpt(line))))
}

fn headers<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    head.split(|&byte| byte == b'\n')
        .filter_map(move |line| value(line, name))
}

fn is_event_stream(head: &[u8]) -> bool {
    headers(head, "content-type").any(|content_type| {
        let end = memchr(b';', content_type).unwrap_or(content_type.len());
        content_type[..end]
            .trim_ascii()
            .eq_ignore_ascii_case(EVENT_STREAM.as_bytes())
    })
}

/// The value of a line, if it is a header of that name.
fn value<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let rest = rest.strip_prefix(b":")?;
    found
        .eq_ignore_ascii_case(name.as_bytes())
        .then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_the_whole_head() {
        let whole = b"HTTP/1.1 200 OK\r\nCONNECTION: x\r\ncontent-LENGTH:  2\r\n\r\n[]";
        for cut in 0..whole.len() - 2 {
            assert_eq!(Head::parse(&whole[..cut], false).unwrap(), None, "{cut}");
        }
        let head = Head::parse(whole, false).unwrap().unwrap();
        assert_eq!((head.status, head.body), (200, 2));
        assert_eq!(&whole[head.length..], b"[]");
    }

    #[test]
    fn the_usual_spelling_is_read_as_any_other() {
        // (head, whether it is the usual one)
        let cases = [
            (
                "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 20\r\nC: d\r\n\r\n",
                true,
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nContent-Length:20 \r\n\r\n", false),
            ("HTTP/1.1 503 Busy\r\nContent-Length: 20\r\n\r\n", false),
        ];
        for (text, is_usual) in cases {
            let body = format!("{text}[{{}}]");
            let usual = Head::parse_usual(body.as_bytes());
            assert_eq!(usual.is_some(), is_usual, "{text}");
            let any = Head::parse_any(body.as_bytes(), false).unwrap();
            assert_eq!(usual, any.filter(|_| is_usual), "{text}");
            assert_eq!(any.unwrap().length, text.len(), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_count() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let refused = Head::parse(chunked, false);
        assert!(matches!(refused, Err(Fault::Uncounted(why)) if why == "chunked"));
        let unknown = b"HTTP/1.1 200 OK\r\n\r\n";
        let refused = Head::parse(unknown, false);
        assert!(matches!(refused, Err(Fault::Uncounted(_))));
        for malformed in [
            &b"SSH-2.0-x\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
            &[b'x'; MAX_HEAD + 1],
        ] {
            let refused = Head::parse(malformed, false);
            assert!(matches!(refused, Err(Fault::Malformed(_))), "{malformed:?}");
        }
    }

    #[test]
    fn an_event_stream_is_not_counted() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream ;charset=utf-8\r\n\r\n:";
        let head = Head::parse(whole, false).unwrap().unwrap();
        assert_eq!((head.length, head.body), (whole.len() - 1, 0));
        let other = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-streams\r\n\r\n";
        assert!(matches!(
            Head::parse(other, false),
            Err(Fault::Uncounted(_))
        ));
    }

    #[test]
    fn chunks_are_for_who_takes_them() {
        let whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = Head::parse(whole, true).unwrap().unwrap();
        assert_eq!((head.whole(), head.is_chunked), (whole.len(), true));
        let failed = b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(
            Head::parse(failed, true),
            Err(Fault::Uncounted(_))
        ));
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
