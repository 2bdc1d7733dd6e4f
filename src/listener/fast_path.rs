//! The fast path: requests that have arrived whole, as almost all have that clients of Bayeux send, are taken
//! out of what has arrived without hyper, by the parser that hyper has too. Whatever is out of the
//! ordinary is left to hyper, all that is refused among it.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes};
use httparse::{Header, Status};

use crate::transports::gate::holds_requests;
use crate::transports::message_http::Bounds;
use crate::web::{Head, Request, strict};

/// More headers than browsers and proxies send; a request with more is out of the ordinary.
const MAX_HEADERS: usize = 48;

/// Headers that a request has which is out of the ordinary.
const ODD: [&str; 3] = ["transfer-encoding", "expect", "upgrade"];

/// Takes the next request from what has arrived, if it is ordinary and whole; with the bytes of its
/// head.
pub(super) fn take(arrived: &mut Bytes, bounds: Bounds) -> Option<(Request, Bytes)> {
    let bytes = arrived.clone();
    let max_headers = bounds.max_headers.min(MAX_HEADERS);
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(&bytes, &mut headers[..max_headers]);
    let Ok(Status::Complete(begin)) = status else {
        return None;
    };
    if parsed.headers.iter().any(is_odd) {
        return None;
    }
    let length = strict::check(&parsed).ok()?.length()?;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    let is_small = begin <= bounds.max_head && length <= bounds.max_body;
    if !is_small || end > bytes.len() {
        return None;
    }
    let head = Head::parsed(&parsed, &bytes)?;
    if holds_requests(&head) {
        return None;
    }
    arrived.advance(end);
    let body = bytes.slice(begin..end);
    Some((Request { head, body }, bytes.slice(..begin)))
}

fn is_odd(header: &Header<'_>) -> bool {
    ODD.iter()
        .any(|name| header.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        max_head: 200,
        max_headers: 4,
        max_body: 10,
    };

    /// What of a text is left when a request was taken from it.
    fn left(text: &str) -> Option<String> {
        let mut arrived = Bytes::copy_from_slice(text.as_bytes());
        let taken = take(&mut arrived, BOUNDS);
        let left = String::from_utf8(arrived.to_vec()).expect("UTF-8");
        if taken.is_none() {
            assert_eq!(left, text, "what is not taken is left whole");
        }
        taken.map(|_| left)
    }

    #[test]
    fn ordinary_requests_are_taken_one_at_a_time() {
        let post = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n[]";
        let cases = [
            (post.to_owned(), ""),
            (format!("{post}GET"), "GET"),
            ("GET /a?b HTTP/1.0\r\n\r\nx".to_owned(), "x"),
            ("\r\nDELETE /a HTTP/1.1\nHost: h\n\n".to_owned(), ""),
        ];
        for (text, rest) in cases {
            assert_eq!(left(&text).as_deref(), Some(rest), "{text}");
        }
        let mut arrived = Bytes::from(format!("{post}{post}"));
        for _ in 0..2 {
            let (request, head) = take(&mut arrived, BOUNDS).expect("a request");
            assert_eq!(head, post.as_bytes()[..post.len() - 2]);
            assert_eq!(request.body.as_ref(), b"[]");
            assert_eq!(request.uri().path(), "/a");
        }
        assert!(arrived.is_empty());
    }

    #[test]
    fn all_else_is_left_to_hyper() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(200));
        let cases = [
            "",
            "GET /",
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n[]",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n[1,2,3,4,5]",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n[]",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n[]",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nTransfer-Encoding: x\r\n\r\n[]",
            "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n[]",
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: message/http\r\nContent-Length: 2\r\n\r\n[]",
            "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nA b\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            &long,
        ];
        for text in cases {
            assert_eq!(left(text), None, "{text}");
        }
    }
}
