//! What fuzzers do to heads of requests, and to headers of the PROXY protocol.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use http::HeaderName;

use super::http1::{self, Parsed};
use super::{fast_path, proxy_protocol};
use crate::fuzzing::target::{Target, in_pieces};
use crate::transports::message_http::Bounds;
use crate::web::{Head, Headers};

pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "head",
        check: head,
        seeds: &[
            b"POST /cometd?a=b HTTP/1.1\r\nHost: h.example:80\r\nContent-Length: 2\r\nX-A:\r\nx-a: b \r\n\r\n[]GET /",
            b"GET / HTTP/1.0\n\n",
            b"\r\nGET http://h/x HTTP/1.1\r\nhost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n0\r\n\r\n",
        ],
    },
    Target {
        name: "proxy_protocol",
        check: proxy,
        seeds: &[
            b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\nGET /",
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\xc0\0\x02\x01\x12\x67\0\x50GET",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\x07\x04\0\x04abcd",
        ],
    },
];

const BOUNDS: Bounds = Bounds {
    max_head: 240,
    max_headers: 6,
    max_body: 20,
};

/// What comes of a head, however it arrives.
#[derive(Debug, PartialEq)]
enum Outcome {
    Head(String, usize, Option<String>),
    Partial,
    Refused(u16),
}

/// The general way in understands a head the same in whatever pieces it comes; and what the fast path takes, it
/// understands as the general way does.
fn head(bytes: &[u8]) -> bool {
    let outcome = in_pieces(bytes, |pieces| {
        let mut text = Vec::new();
        for piece in pieces {
            text.extend_from_slice(piece);
            let mut arrived = Bytes::copy_from_slice(&text);
            let before = arrived.len();
            match http1::parse(&mut arrived, BOUNDS) {
                Parsed::Head(head, transfer) => {
                    let shown = format!("{} {} {:?}", head.method, head.uri, head.version);
                    let transfer = transfer.ok().map(|transfer| format!("{transfer:?}"));
                    return Outcome::Head(shown, before - arrived.len(), transfer);
                }
                Parsed::Partial => {}
                Parsed::Refused(status) => return Outcome::Refused(status.as_u16()),
            }
        }
        Outcome::Partial
    });
    let mut arrived = Bytes::copy_from_slice(bytes);
    let Some((request, head_bytes)) = fast_path::take(&mut arrived, BOUNDS) else {
        assert_eq!(arrived, bytes, "what is not taken is left whole");
        return matches!(outcome, Outcome::Head(_, _, Some(_)));
    };
    assert!(request.body.len() as u64 <= BOUNDS.max_body);
    let taken = [&*head_bytes, &*request.body, &*arrived].concat();
    assert_eq!(taken, bytes, "nothing is lost");
    let mut rest = Bytes::copy_from_slice(bytes);
    let Parsed::Head(general, Ok(transfer)) = http1::parse(&mut rest, BOUNDS) else {
        panic!("the general way refuses what the fast path takes: {outcome:?}");
    };
    assert_eq!(transfer.length(), Some(request.body.len() as u64));
    assert_eq!(rest.len(), request.body.len() + arrived.len());
    are_alike(&request.head, &general, &head_bytes);
    true
}

fn are_alike(one: &Head, other: &Head, text: &[u8]) {
    assert_eq!((&one.method, &one.uri), (&other.method, &other.uri));
    assert_eq!(one.version, other.version);
    let mut fields = [httparse::EMPTY_HEADER; BOUNDS.max_headers];
    let mut request = httparse::Request::new(&mut fields);
    request.parse(text).expect("a head");
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).expect("a name");
        let all = |headers: &Headers| -> Vec<Vec<u8>> {
            headers.get_all(&name).map(<[u8]>::to_vec).collect()
        };
        assert_eq!(all(&one.headers), all(&other.headers), "{name}");
        assert!(all(&one.headers).iter().any(|value| value == field.value));
    }
}

/// Who the client is does not depend on the pieces in which that arrives; what is behind is left.
fn proxy(bytes: &[u8]) -> bool {
    let outcome = in_pieces(bytes, |mut pieces| {
        let mut arrived = BytesMut::new();
        let mut client: Option<Option<SocketAddr>> = None;
        for piece in pieces.by_ref() {
            arrived.extend_from_slice(piece);
            client = proxy_protocol::take(&mut arrived, BOUNDS.max_head)?;
            if client.is_some() {
                break;
            }
        }
        pieces.for_each(|piece| arrived.extend_from_slice(piece));
        Ok::<_, proxy_protocol::Fault>((client, arrived.len()))
    });
    if let Ok((Some(_), left)) = &outcome {
        let header = bytes.len() - left;
        assert!(proxy_protocol::is_begun(bytes) && header <= BOUNDS.max_head);
    }
    matches!(outcome, Ok((Some(_), _)))
}
