//! Finds HTTP responses and frames in what has arrived; does no I/O.

use std::str;

use memchr::memmem;

const FINAL_TEXT: u8 = 0x81;
/// The length that says two bytes of length follow.
const TWO_BYTES: u8 = 126;

/// The headers that ask for a WebSocket.
pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A response with a counted body.
pub(crate) struct Response<'a> {
    head: &'a str,
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
    /// Bytes that head and body take.
    pub(crate) length: usize,
}

impl<'a> Response<'a> {
    /// The first response, if all of it is there.
    pub(crate) fn first(arrived: &'a [u8]) -> Option<Self> {
        let end = memmem::find(arrived, b"\r\n\r\n")? + 4;
        let head = str::from_utf8(&arrived[..end]).ok()?;
        let mut response = Self {
            head,
            status: head.get(9..12)?.parse().ok()?,
            body: &[],
            length: end,
        };
        if let Some(length) = response.header("content-length") {
            response.length += length.parse::<usize>().ok()?;
            response.body = arrived.get(end..response.length)?;
        }
        Some(response)
    }

    /// Whether it says that all is well.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// The payload of the first frame and the bytes the frame takes, if it is there and a short text.
pub(crate) fn first_frame(arrived: &[u8]) -> Option<(&[u8], usize)> {
    let (length, head) = match *arrived {
        [FINAL_TEXT, TWO_BYTES, a, b, ..] => (usize::from(u16::from_be_bytes([a, b])), 4),
        [FINAL_TEXT, length, ..] if length < TWO_BYTES => (usize::from(length), 2),
        _ => return None,
    };
    Some((arrived.get(head..head + length)?, head + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_for_a_whole_response() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 2\r\nEtag: 0\r\n\r\n{}HTTP";
        for cut in 0..whole.len() - 4 {
            assert!(Response::first(&whole[..cut]).is_none(), "{cut}");
        }
        let response = Response::first(whole).unwrap();
        assert_eq!((response.status, response.body), (200, &b"{}"[..]));
        assert_eq!(response.header("ETag"), Some("0"));
        assert_eq!(&whole[response.length..], b"HTTP");
    }

    #[test]
    fn waits_for_a_whole_frame() {
        assert_eq!(first_frame(b"\x81\x02{}\x81"), Some((&b"{}"[..], 4)));
        assert_eq!(first_frame(b"\x81\x7e\0\x01{"), Some((&b"{"[..], 5)));
        for part in [&b""[..], b"\x81", b"\x81\x02{", b"\x81\x7e\0"] {
            assert_eq!(first_frame(part), None, "{part:?}");
        }
    }
}
