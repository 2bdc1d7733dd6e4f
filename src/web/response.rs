//! An HTTP/1 response as bytes, ready for one write (RFC 9112).

use std::cell::RefCell;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode, Version, header};

use super::{Head, gzip};

/// A response that is complete but for what the connection adds.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    /// Header lines, each with its line end: the first of them, which are not copied before they are
    /// written.
    lines: [&'static [u8]; 2],
    /// The others.
    head: Vec<u8>,
    body: Vec<u8>,
    extent: Extent,
    /// Whether its body may be compressed.
    may_shrink: bool,
}

/// What a response is made of whose body is whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Parts {
    /// Its status.
    pub status: StatusCode,
    /// Its header lines, each with its line end.
    pub head: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether that may be compressed.
    pub may_shrink: bool,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// After as many bytes as there are.
    Counted,
    /// With the connection.
    Open,
    /// With an empty chunk (RFC 9112 section 7.1).
    Chunked,
}

/// How the response to a request is written, and how its connection goes on after it.
#[derive(Debug, Clone, Copy)]
pub struct Persistence {
    /// The version the client speaks.
    pub version: Version,
    /// Whether another request may follow.
    pub keeps_alive: bool,
    /// Whether the body is left out, as the answer to a HEAD has none.
    pub omits_body: bool,
    /// Whether the client would rather read gzip.
    pub accepts_gzip: bool,
}

impl Persistence {
    /// The last response of a connection, to a request that could not be read.
    pub const LAST: Self = Self {
        version: Version::HTTP_11,
        keeps_alive: false,
        omits_body: false,
        accepts_gzip: false,
    };

    /// The same for a version.
    #[must_use]
    pub fn last(version: Version) -> Self {
        Self {
            version,
            ..Self::LAST
        }
    }

    /// Reads what the client wants from a request (RFC 9112 section 9.3).
    #[must_use]
    pub fn of(head: &Head) -> Self {
        let has_option = |option: &str| head.headers.lists(&header::CONNECTION, option);
        let keeps_alive = match head.version {
            Version::HTTP_11 => !has_option("close"),
            // A stream is for one request, and says nothing of the connection.
            Version::HTTP_2 => true,
            _ => has_option("keep-alive") && !has_option("close"),
        };
        Self {
            version: head.version,
            keeps_alive,
            omits_body: head.method == Method::HEAD,
            accepts_gzip: gzip::is_accepted(&head.headers),
        }
    }
}

impl Response {
    /// Makes a response without a body.
    #[must_use]
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            lines: [b"", b""],
            head: Vec::new(),
            body: Vec::new(),
            extent: Extent::Counted,
            may_shrink: false,
        }
    }

    /// Makes a response whose body only begins with these bytes, and ends with the connection.
    #[must_use]
    pub fn open(lines: &'static [u8], beginning: Vec<u8>) -> Self {
        Self {
            extent: Extent::Open,
            ..Self::with_raw_head(StatusCode::OK, lines, beginning)
        }
    }

    /// Makes a response that goes on in chunks; the beginning is the first if it is not empty.
    #[must_use]
    pub fn chunked(lines: &'static [u8], beginning: &[u8]) -> Self {
        let mut body = Vec::new();
        if !beginning.is_empty() {
            Self::chunk(beginning, &mut body);
        }
        Self {
            extent: Extent::Chunked,
            ..Self::with_raw_head(StatusCode::OK, lines, body)
        }
    }

    /// Appends bytes, at least one, as a chunk; an empty one would be the last.
    pub fn chunk(bytes: &[u8], out: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        out.reserve(bytes.len() + 16);
        write!(out, "{:x}\r\n", bytes.len()).expect("a Vec takes every write");
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }

    /// Makes a response with a body of some type.
    #[must_use]
    pub fn with_body(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Self {
        let mut response = Self::new(status).header("Content-Type", content_type.as_bytes());
        response.body = body;
        response
    }

    /// Makes a response whose header lines are written out already, each with its line end.
    #[must_use]
    pub fn with_raw_head(status: StatusCode, lines: &'static [u8], body: Vec<u8>) -> Self {
        Self {
            lines: [lines, b""],
            body,
            ..Self::new(status)
        }
    }

    /// Makes a response that gives its reason as one line of JSON.
    #[must_use]
    pub fn error(status: StatusCode, reason: &str) -> Self {
        let mut body =
            serde_json::to_vec(&serde_json::json!({ "error": reason })).unwrap_or_default();
        body.push(b'\n');
        Self::with_body(status, "application/json; charset=utf-8", body)
            .header("Cache-Control", b"no-store")
    }

    /// Makes the response to whoever comes too late: the server has left all to the next one.
    #[must_use]
    pub fn stopped() -> Self {
        Self::error(StatusCode::SERVICE_UNAVAILABLE, "the server has stopped")
    }

    /// Gives it this body.
    #[must_use]
    pub fn body(mut self, body: Vec<u8>) -> Self {
        self.body = body;
        self
    }

    /// Adds a header; the value holds no line end, as that of a `HeaderValue`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.head.extend_from_slice(name.as_bytes());
        self.head.extend_from_slice(b": ");
        self.head.extend_from_slice(value);
        self.head.extend_from_slice(b"\r\n");
        self
    }

    /// Adds header lines that are written out already, each with its line end.
    #[must_use]
    pub fn header_lines(mut self, lines: &'static [u8]) -> Self {
        match &mut self.lines[1] {
            free if free.is_empty() && self.head.is_empty() => *free = lines,
            _ => self.head.extend_from_slice(lines),
        }
        self
    }

    /// Lets its body be compressed for clients that read that.
    #[must_use]
    pub fn compressible(mut self) -> Self {
        self.may_shrink = true;
        self
    }

    /// Compresses its body, if it may be, has so many bytes, and the client reads that; never with a
    /// threshold of 0.
    #[must_use]
    pub fn compressed(self, accepts_gzip: bool, threshold: u64) -> Self {
        if !self.may_shrink || threshold == 0 || (self.body.len() as u64) < threshold {
            return self;
        }
        let response = self.header_lines(b"Vary: Accept-Encoding\r\n");
        if !accepts_gzip {
            return response;
        }
        let small = gzip::whole(&response.body);
        if small.len() >= response.body.len() {
            return response;
        }
        let response = response.header_lines(b"Content-Encoding: gzip\r\n");
        response.body(small)
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Makes a response again of what [`into_parts`](Self::into_parts) has taken apart.
    #[must_use]
    pub fn from_parts(parts: Parts) -> Self {
        Self {
            head: parts.head,
            body: parts.body,
            may_shrink: parts.may_shrink,
            ..Self::new(parts.status)
        }
    }

    /// Takes a response apart that is whole, to be carried elsewhere.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        let mut head = Vec::with_capacity(self.head_length());
        self.write_lines(&mut head);
        Parts {
            status: self.status,
            head,
            body: self.body,
            may_shrink: self.may_shrink,
        }
    }

    /// Returns the header fields that its lines are.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let all = [self.lines[0], self.lines[1], &self.head];
        let lines = all
            .into_iter()
            .flat_map(|lines| lines.split(|byte| *byte == b'\n'));
        lines.filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
    }

    /// Returns how long its body is, if it is whole.
    pub(super) fn length(&self) -> Option<usize> {
        (self.extent == Extent::Counted).then_some(self.body.len())
    }

    /// Returns the reason of a refusal as it stands in its JSON, hence without control characters.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        if !self.status.is_client_error() && !self.status.is_server_error() {
            return None;
        }
        let body = str::from_utf8(&self.body).ok()?;
        body.strip_prefix(r#"{"error":""#)?.strip_suffix("\"}\n")
    }

    /// Returns the bytes to write.
    #[must_use]
    pub fn encode(&self, persistence: Persistence) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.head_length() + self.body.len() + 192);
        let is_1_0 = persistence.version == Version::HTTP_10;
        out.extend_from_slice(if is_1_0 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
        self.write_status(&mut out);
        self.write_lines(&mut out);
        // What a body is, its type says, also to browsers that would rather guess.
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\nDate: ");
        write_date(&mut out);
        match self.extent {
            Extent::Counted if self.has_length() => write_length(self.body.len(), &mut out),
            Extent::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Extent::Counted | Extent::Open => {}
        }
        match (is_1_0, persistence.keeps_alive) {
            (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
            (true, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (false, true) => {}
        }
        out.extend_from_slice(b"\r\n");
        if !persistence.omits_body {
            out.extend_from_slice(&self.body);
        }
        out
    }

    /// Appends it as a message of type `message/http` (RFC 9112 section 10.1), with the target of
    /// the request that it answers. It has no `Date`: what it is embedded in has one.
    pub fn embed(&self, location: &str, omits_body: bool, out: &mut Vec<u8>) {
        out.reserve(self.head_length() + self.body.len() + location.len() + 80);
        out.extend_from_slice(b"HTTP/1.1 ");
        self.write_status(out);
        write!(out, "Content-Location: {location}\r\n").expect("a Vec takes every write");
        self.write_lines(out);
        if self.has_length() {
            write_length(self.body.len(), out);
        }
        out.extend_from_slice(b"\r\n");
        if !omits_body {
            out.extend_from_slice(&self.body);
        }
    }

    fn head_length(&self) -> usize {
        self.lines[0].len() + self.lines[1].len() + self.head.len()
    }

    fn write_lines(&self, out: &mut Vec<u8>) {
        for lines in [self.lines[0], self.lines[1], &self.head] {
            out.extend_from_slice(lines);
        }
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b' ');
        let reason = self.status.canonical_reason().unwrap_or("Status");
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Tells whether its length is said: one of nothing would be taken for that of what has not
    /// been modified.
    pub(super) fn has_length(&self) -> bool {
        !matches!(
            self.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) && !self.status.is_informational()
    }

    /// Says that it was made now.
    #[must_use]
    pub fn modified_now(mut self) -> Self {
        self.head.extend_from_slice(b"Last-Modified: ");
        write_date(&mut self.head);
        self
    }
}

fn write_length(length: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends the time of now and a line end; the text is made anew once a second.
pub(super) fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(of, date)| {
        if *of != second || date.is_empty() {
            *of = second;
            *date = httpdate::fmt_http_date(now) + "\r\n";
        }
        out.extend_from_slice(date.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(response: &Response, version: Version, keeps_alive: bool) -> Vec<String> {
        let bytes = response.encode(Persistence {
            version,
            keeps_alive,
            omits_body: false,
            accepts_gzip: false,
        });
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.split("\r\n")
            .filter(|line| !line.starts_with("Date: "))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn only_refusals_have_a_reason() {
        let refused = Response::error(StatusCode::NOT_FOUND, "no\n\"x\"");
        assert_eq!(refused.reason(), Some(r#"no\n\"x\""#));
        let body = refused.bytes().to_vec();
        let resource = Response::with_body(StatusCode::OK, "application/json", body);
        assert_eq!(resource.reason(), None);
        assert_eq!(Response::new(StatusCode::CONFLICT).reason(), None);
    }

    #[test]
    fn the_connection_line_is_what_the_version_needs() {
        let response = Response::error(StatusCode::NOT_FOUND, "a \"reason\"");
        let common = [
            "Content-Type: application/json; charset=utf-8",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Content-Length: 25",
        ];
        let cases = [
            (Version::HTTP_11, true, "HTTP/1.1 404 Not Found", None),
            (
                Version::HTTP_11,
                false,
                "HTTP/1.1 404 Not Found",
                Some("Connection: close"),
            ),
            (
                Version::HTTP_10,
                true,
                "HTTP/1.0 404 Not Found",
                Some("Connection: keep-alive"),
            ),
            (
                Version::HTTP_10,
                false,
                "HTTP/1.0 404 Not Found",
                Some("Connection: close"),
            ),
        ];
        for (version, keeps_alive, status, connection) in cases {
            let mut expected = vec![status];
            expected.extend(common);
            expected.extend(connection);
            expected.extend(["", "{\"error\":\"a \\\"reason\\\"\"}\n"]);
            assert_eq!(lines(&response, version, keeps_alive), expected);
        }
    }

    #[test]
    fn persistence_follows_version_and_header() {
        let cases = [
            (Version::HTTP_11, None, true),
            (Version::HTTP_11, Some("x, Close"), false),
            (Version::HTTP_10, None, false),
            (Version::HTTP_10, Some("Keep-Alive"), true),
        ];
        for (version, connection, keeps_alive) in cases {
            let fields = connection.map(|value: &str| (b"Connection".as_slice(), value.as_bytes()));
            let head = Head {
                method: Method::POST,
                uri: http::Uri::default(),
                version,
                headers: fields.into_iter().collect(),
            };
            assert_eq!(Persistence::of(&head).keeps_alive, keeps_alive);
        }
    }
}
