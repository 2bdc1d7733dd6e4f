//! One HTTP/1.1 connection of a simulated client: sends ready bytes, reads counted responses; knows no Bayeux.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Room for a reply's head and one small message; a buffer grows only for those who get more.
const BUFFER: usize = 1024;
/// The longest response head that is read.
const MAX_HEAD: usize = 16 * 1024;
/// The longest response body that is read.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// How much of an answer an error shows.
const EXCERPT: usize = 300;

/// An address of the form `http://host:port/path`.
#[derive(Debug, Clone)]
pub(super) struct Url {
    /// Host and port, as the `Host` header wants them.
    pub(super) authority: String,
    /// The path, which begins with a slash.
    pub(super) path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "only http://host:port/path is accepted";
        let rest = text.strip_prefix("http://").ok_or(FORM)?;
        let slash = rest.find('/').ok_or(FORM)?;
        let (authority, path) = rest.split_at(slash);
        let (host, port) = authority.rsplit_once(':').ok_or(FORM)?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"@?#".contains(&byte);
        if host.is_empty() || port.parse::<u16>().is_err() || !rest.bytes().all(is_plain) {
            return Err(FORM.to_owned());
        }
        Ok(Self {
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// What kept one exchange with the server from going well.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The socket failed.
    #[error("the connection failed")]
    Io(#[from] std::io::Error),
    /// The server closed the connection when a response was due.
    #[error("the server closed the connection; it had answered: {0}")]
    Closed(String),
    /// No whole response came in time.
    #[error("no answer within {limit:?}; so far: {answer}")]
    TimedOut {
        /// How long was waited.
        limit: Duration,
        /// The part of a response that did come.
        answer: String,
    },
    /// The response has no `Content-Length`, as only counted bodies are read.
    #[error("the response is not counted ({0}); chunked bodies are not read")]
    Uncounted(String),
    /// The bytes are not an HTTP/1.1 response, or not one of acceptable size.
    #[error("not a response: {0}")]
    Malformed(String),
    /// The server refused on the HTTP level.
    #[error("the server answered status {status}: {answer}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of the body.
        answer: String,
    },
    /// The server's Bayeux reply is not the successful one that was due.
    #[error("the server answered: {0}")]
    Refused(String),
}

/// A response, still in the connection's buffer.
#[derive(Debug)]
pub(super) struct Response<'a> {
    /// The HTTP status.
    pub(super) status: u16,
    head: &'a [u8],
    /// The body.
    pub(super) body: &'a [u8],
}

impl Response<'_> {
    /// The `Cookie` value that returns what this response's `Set-Cookie` headers gave.
    pub(super) fn cookies(&self) -> String {
        let pairs: Vec<_> = self
            .head
            .split(|&byte| byte == b'\n')
            .filter_map(split_header)
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"set-cookie"))
            .map(|(_, value)| {
                let end = memchr(b';', value).unwrap_or(value.len());
                String::from_utf8_lossy(&value[..end]).into_owned()
            })
            .collect();
        pairs.join("; ")
    }
}

/// Where a response lies in the buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Head {
    status: u16,
    length: usize,
    body: usize,
}

/// A TCP connection and the bytes read from it that are not used yet.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes at the buffer's start that belong to the response handed out last.
    used: usize,
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
            used: 0,
        })
    }

    /// Sends a whole request, head and body, that is ready as bytes.
    pub(super) async fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        Ok(self.stream.write_all(request).await?)
    }

    /// Reads one response, however long it takes.
    pub(super) async fn receive(&mut self) -> Result<Response<'_>, Fault> {
        let head = self.read_response().await?;
        Ok(self.response(head))
    }

    /// Reads one response that must be whole within `limit`.
    pub(super) async fn receive_within(&mut self, limit: Duration) -> Result<Response<'_>, Fault> {
        let Ok(head) = timeout(limit, self.read_response()).await else {
            let answer = excerpt(&self.buffer);
            return Err(Fault::TimedOut { limit, answer });
        };
        Ok(self.response(head?))
    }

    /// Sends a request and reads its response within `limit`.
    pub(super) async fn exchange(
        &mut self,
        request: &[u8],
        limit: Duration,
    ) -> Result<Response<'_>, Fault> {
        self.send_within(request, limit).await?;
        self.receive_within(limit).await
    }

    /// Sends a whole request, which the server must take within `limit`.
    pub(super) async fn send_within(
        &mut self,
        request: &[u8],
        limit: Duration,
    ) -> Result<(), Fault> {
        let Ok(sent) = timeout(limit, self.send(request)).await else {
            let answer = "the server does not read the request".to_owned();
            return Err(Fault::TimedOut { limit, answer });
        };
        sent
    }

    async fn read_response(&mut self) -> Result<Head, Fault> {
        self.buffer.drain(..std::mem::take(&mut self.used));
        loop {
            let mut missing = BUFFER / 2;
            if let Some(head) = parse_head(&self.buffer)? {
                let whole = head.length + head.body;
                if self.buffer.len() >= whole {
                    self.used = whole;
                    return Ok(head);
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

    fn response(&self, head: Head) -> Response<'_> {
        let (start, rest) = self.buffer.split_at(head.length);
        Response {
            status: head.status,
            head: start,
            body: &rest[..head.body],
        }
    }
}

/// Reads a response head, if all of it is there.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let mut at = 0;
    let mut status = None;
    let mut body = None;
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
                None if status == 204 => 0,
                None => return Err(Fault::Uncounted("no Content-Length".to_owned())),
            };
            return Ok(Some(Head {
                status,
                length: at,
                body,
            }));
        }
        match split_header(line) {
            Some((name, value)) if name.eq_ignore_ascii_case(b"content-length") => {
                body = Some(parse_length(value)?);
            }
            Some((name, value)) if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                return Err(Fault::Uncounted(excerpt(value)));
            }
            _ => {}
        }
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
        .ok_or_else(|| Fault::Malformed(format!("Content-Length: {}", excerpt(value))))
}

fn split_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr(b':', line)?;
    Some((&line[..colon], line[colon + 1..].trim_ascii()))
}

/// The beginning of an answer, fit for an error message.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "nothing".to_owned();
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT)]);
    let more = if bytes.len() > EXCERPT { " ..." } else { "" };
    format!(
        "{}{more}",
        text.escape_debug().to_string().replace("\\\"", "\"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_plain_http_urls_with_port_and_path() {
        let url: Url = "http://[::1]:8080/cometd".parse().unwrap();
        assert_eq!((&*url.authority, &*url.path), ("[::1]:8080", "/cometd"));
        assert_eq!(url.to_string(), "http://[::1]:8080/cometd");
        for bad in [
            "https://a:1/b",
            "http://a/b",
            "http://a:1",
            "http://:1/b",
            "http://a:70000/b",
            "http://u@a:1/b",
            "http://a:1/b?c",
            "http://a:1/b\r\nX: y",
            "http://a:1/b c",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn waits_for_the_whole_head() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH:  2\r\n\r\n[]";
        for cut in 0..whole.len() - 2 {
            assert_eq!(parse_head(&whole[..cut]).unwrap(), None, "{cut}");
        }
        let head = parse_head(whole).unwrap().unwrap();
        assert_eq!((head.status, head.body), (200, 2));
        assert_eq!(&whole[head.length..], b"[]");
    }

    #[test]
    fn refuses_what_it_cannot_count() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(matches!(parse_head(chunked), Err(Fault::Uncounted(why)) if why == "chunked"));
        let unknown = b"HTTP/1.1 200 OK\r\n\r\n";
        assert!(matches!(parse_head(unknown), Err(Fault::Uncounted(_))));
        let other = b"SSH-2.0-x\r\n";
        assert!(matches!(parse_head(other), Err(Fault::Malformed(_))));
        let long = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n";
        assert!(matches!(parse_head(long), Err(Fault::Malformed(_))));
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
