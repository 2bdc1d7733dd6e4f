//! The body of a request as it arrives, by its length or in chunks (RFC 9112 sections 6 and 7); takes
//! bytes and gives bytes, and reads nothing itself.

use bytes::{Buf, BytesMut};
use httparse::{Header, Status, parse_chunk_size};

/// Bytes of a line with a chunk's size, and of all trailers; above them a body is malformed.
const MAX_SIZE_LINE: usize = 256;
const MAX_TRAILERS: usize = 4096;

/// A body is not what its head announces, or that is not clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(super) &'static str);

impl Malformed {
    /// The head itself is not understood.
    pub const HEAD: Self = Self("the request is not HTTP/1.1");

    /// Returns what is wrong.
    #[must_use]
    pub fn reason(self) -> &'static str {
        self.0
    }
}

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not what its head announces.
    Malformed(Malformed),
    /// There is, or will be, more of it than may be.
    TooLarge,
}

impl From<Malformed> for Fault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// How a body is transferred, and how much of it has been.
#[derive(Debug, PartialEq, Eq)]
pub struct Transfer(State);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes are to come.
    Counted(u64),
    /// A chunk's size is to come.
    Size,
    /// So many bytes of a chunk are.
    Chunk(u64),
    /// The line end behind a chunk is.
    ChunkEnd,
    /// Trailers are, of which so many bytes have been.
    Trailers(usize),
    /// Nothing is.
    Ended,
}

impl Transfer {
    /// Reads from a request's headers how its body is transferred.
    ///
    /// # Errors
    /// They say more than one thing, so that others may have read something else.
    pub fn of(headers: &[Header<'_>]) -> Result<Self, Malformed> {
        let mut codings = values(headers, "transfer-encoding");
        let mut lengths = values(headers, "content-length");
        match (codings.next(), lengths.next()) {
            (Some(_), Some(_)) => Err(Malformed(
                "send Transfer-Encoding or Content-Length, not both",
            )),
            (Some(coding), None) => {
                if codings.next().is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("the only Transfer-Encoding is chunked"));
                }
                Ok(Self(State::Size))
            }
            (None, Some(length)) => {
                let is_repeated = lengths.all(|other| other == length);
                let length = content_length(length).filter(|_| is_repeated);
                let length = length.ok_or(Malformed("the Content-Length is not a number"))?;
                Ok(Self(State::Counted(length)))
            }
            (None, None) => Ok(Self(State::Counted(0))),
        }
    }

    /// Makes that of a body which comes in chunks.
    #[must_use]
    pub fn chunked() -> Self {
        Self(State::Size)
    }

    /// Tells whether all of the body has come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.0, State::Ended | State::Counted(0))
    }

    /// Returns how long the body is, if its head says that.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        match self.0 {
            State::Counted(length) => Some(length),
            _ => None,
        }
    }

    /// Returns how many bytes are to come at least.
    #[must_use]
    pub fn announced(&self) -> u64 {
        match self.0 {
            State::Counted(left) | State::Chunk(left) => left,
            _ => 0,
        }
    }

    /// Moves what there is of the body out of what has arrived. The body may have `max` bytes.
    ///
    /// # Errors
    /// It is not chunks, or becomes larger.
    pub fn decode(
        &mut self,
        arrived: &mut BytesMut,
        body: &mut BytesMut,
        max: u64,
    ) -> Result<(), Fault> {
        // A size is judged when it is read, however little of its chunk has come: a body gets the
        // same answer in whatever pieces it arrives.
        while !arrived.is_empty() {
            let Some(next) = step(self.0, arrived, body)? else {
                break;
            };
            self.0 = next;
            if (body.len() as u64).saturating_add(self.announced()) > max {
                return Err(Fault::TooLarge);
            }
        }
        Ok(())
    }
}

/// Returns the values of all headers of this name.
pub(super) fn values<'h>(
    headers: &'h [Header<'_>],
    name: &'static str,
) -> impl Iterator<Item = &'h [u8]> {
    let named = headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name));
    named.map(|header| header.value.trim_ascii())
}

/// Reads a `Content-Length`: digits and nothing else.
fn content_length(value: &[u8]) -> Option<u64> {
    let is_digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(value).ok()?;
    text.parse().ok().filter(|_| is_digits)
}

/// Goes one state on; nothing if that needs more than has arrived.
fn step(
    state: State,
    arrived: &mut BytesMut,
    body: &mut BytesMut,
) -> Result<Option<State>, Malformed> {
    Ok(match state {
        State::Ended | State::Counted(0) => None,
        State::Counted(left) => Some(State::Counted(take(left, arrived, body))),
        State::Chunk(left) => match take(left, arrived, body) {
            0 => Some(State::ChunkEnd),
            left => Some(State::Chunk(left)),
        },
        State::Size => size(arrived)?.map(|size| match size {
            0 => State::Trailers(0),
            size => State::Chunk(size),
        }),
        State::ChunkEnd => {
            if !b"\r\n".starts_with(&arrived[..arrived.len().min(2)]) {
                return Err(Malformed("a chunk is longer than its size"));
            }
            (arrived.len() >= 2).then(|| {
                arrived.advance(2);
                State::Size
            })
        }
        State::Trailers(before) => trailer(before, arrived)?,
    })
}

/// Moves at most so many bytes, and returns how many are left.
fn take(left: u64, arrived: &mut BytesMut, body: &mut BytesMut) -> u64 {
    let size = usize::try_from(left).map_or(arrived.len(), |left| left.min(arrived.len()));
    body.extend_from_slice(&arrived[..size]);
    arrived.advance(size);
    left - size as u64
}

/// Reads a line with a chunk's size.
fn size(arrived: &mut BytesMut) -> Result<Option<u64>, Malformed> {
    const NOT_CHUNKED: Malformed = Malformed("a chunk's size is malformed");
    match parse_chunk_size(arrived).map_err(|_| NOT_CHUNKED)? {
        Status::Complete((length, size)) => {
            // In an extension others may take a lone line feed for the line's end.
            if length > MAX_SIZE_LINE || arrived[..length - 2].contains(&b'\n') {
                return Err(NOT_CHUNKED);
            }
            arrived.advance(length);
            Ok(Some(size))
        }
        Status::Partial if arrived.len() > MAX_SIZE_LINE => Err(NOT_CHUNKED),
        Status::Partial => Ok(None),
    }
}

/// Passes over a line of the trailers; an empty one is the last.
fn trailer(before: usize, arrived: &mut BytesMut) -> Result<Option<State>, Malformed> {
    let line = memchr::memchr(b'\n', arrived).map(|at| at + 1);
    let size = before + line.unwrap_or(arrived.len());
    if size > MAX_TRAILERS {
        return Err(Malformed("the trailers are too long"));
    }
    let Some(line) = line else { return Ok(None) };
    // A lone carriage return is a line's end for some too.
    let text = arrived[..line].strip_suffix(b"\r\n");
    let is_line = text.is_some_and(|text| !text.contains(&b'\r'));
    arrived.advance(line);
    match (is_line, line) {
        (true, 2) => Ok(Some(State::Ended)),
        (true, _) => Ok(Some(State::Trailers(size))),
        (false, _) => Err(Malformed("a trailer's line end is malformed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Result<Transfer, Malformed> {
        let headers: Vec<Header<'_>> = headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        Transfer::of(&headers)
    }

    #[test]
    fn headers_say_one_thing() {
        let chunked = Some(State::Size);
        type Case = (&'static [(&'static str, &'static str)], Option<State>);
        let cases: [Case; 12] = [
            (&[("Transfer-Encoding", "Chunked")], chunked),
            (&[("content-length", "12")], Some(State::Counted(12))),
            (
                &[("Content-Length", "12"), ("Content-Length", "12")],
                Some(State::Counted(12)),
            ),
            (&[("Accept", "*")], Some(State::Counted(0))),
            (&[("Transfer-Encoding", "gzip, chunked")], None),
            (&[("Transfer-Encoding", "identity")], None),
            (
                &[("Transfer-Encoding", "chunked"), ("Content-Length", "1")],
                None,
            ),
            (
                &[("Content-Length", "1"), ("Transfer-Encoding", "chunked")],
                None,
            ),
            (
                &[("Transfer-Encoding", "x"), ("Transfer-Encoding", "chunked")],
                None,
            ),
            (&[("Content-Length", "1"), ("Content-Length", "2")], None),
            (&[("Content-Length", "+1")], None),
            (&[("Content-Length", "99999999999999999999")], None),
        ];
        for (headers, expected) in cases {
            assert_eq!(of(headers).ok(), expected.map(Transfer), "{headers:?}");
        }
    }

    const MAX: u64 = 16;

    fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>, bool), Fault> {
        let mut transfer = Transfer(State::Size);
        let (mut arrived, mut body) = (BytesMut::new(), BytesMut::new());
        for piece in pieces {
            arrived.extend_from_slice(piece);
            transfer.decode(&mut arrived, &mut body, MAX)?;
        }
        Ok((body.to_vec(), arrived.to_vec(), transfer.has_ended()))
    }

    #[test]
    fn chunks_may_be_cut_anywhere() {
        let whole = b"5;a=\"b\"\r\nhello\r\n0001\r\n,\r\nA\r\n a world!\r\r\n0\r\nA: b\r\n\r\nGET";
        let expected = (b"hello, a world!\r".to_vec(), b"GET".to_vec(), true);
        for at in 0..=whole.len() {
            let (left, right) = whole.split_at(at);
            assert_eq!(decode(&[left, right]).as_ref(), Ok(&expected), "{at}");
        }
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(decode(&bytes), Ok(expected));
    }

    #[test]
    fn what_is_not_chunks_is_refused() {
        let long = [b"1;".as_slice(), &[b'a'; 300]].concat();
        let trailers = [b"0\r\n".as_slice(), &[b'a'; 5000]].concat();
        let lines = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(1000)].concat();
        let cases: [&[u8]; 14] = [
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1\r\nab",
            b"1\r\na\n",
            b"ffffffffffffffffff\r\n",
            b"1;a\nb\r\n",
            b"0\r\na\n\r\n",
            b"0\r\na\rb\r\n",
            b"0\r\n\r\r\n",
            &long,
            &trailers,
            &lines,
        ];
        for body in cases {
            let decoded = decode(&[body]);
            let is_refused = matches!(decoded, Err(Fault::Malformed(_)));
            assert!(is_refused, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn a_body_that_will_be_too_large_is_not_waited_for() {
        let most = b"10\r\n0123456789abcdef\r\n0\r\n\r\n";
        assert!(decode(&[most]).is_ok());
        let cases: [&[u8]; 4] = [
            b"11\r\n",
            b"ffffffffffffffff\r\n",
            b"f\r\n0123456789abcde\r\n2\r\n",
            b"f\r\n0123456789abcde\r\n2\r\nab\r\nnonsense",
        ];
        for body in cases {
            assert_eq!(decode(&[body]), Err(Fault::TooLarge));
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(decode(&bytes), Err(Fault::TooLarge));
        }
    }
}
