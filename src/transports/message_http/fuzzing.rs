//! What fuzzers do to bodies that hold requests.

use std::slice::Chunks;

use bytes::BytesMut;

use super::requests::{Bounds, Next, Requests};
use crate::fuzzing::target::{Target, in_pieces};
use crate::web::{Response, Transfer};

pub(crate) const TARGETS: &[Target] = &[Target {
    name: "message_http",
    check: requests,
    seeds: &[
        b"POST /a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello\r\n\r\nGET http://h/c HTTP/1.0\n\n",
        b"\r\nPUT /d HTTP/1.1\r\ncontent-length: 25\r\n\r\n1234567890123456789012345POST /e HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]",
    ],
}];

const BOUNDS: Bounds = Bounds {
    max_head: 120,
    max_headers: 4,
    max_body: 20,
};

/// Requests are the same in whatever pieces their body comes, and whether it comes in chunks or by its length.
fn requests(bytes: &[u8]) -> bool {
    let length = bytes.len().to_string();
    let length = httparse::Header {
        name: "Content-Length",
        value: length.as_bytes(),
    };
    let counted = in_pieces(bytes, |pieces| {
        read(Transfer::of(&[length]).expect("a length"), pieces)
    });
    for size in [1, 10, 1000] {
        let mut chunked = Vec::new();
        for chunk in bytes.chunks(size) {
            Response::chunk(chunk, &mut chunked);
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        let found = read(Transfer::chunked(), chunked.chunks(5));
        assert_eq!(found, counted, "in chunks of {size}");
    }
    in_pieces(bytes, |pieces| read(Transfer::chunked(), pieces));
    counted.len() > 1 && counted.last().is_some_and(|last| last == "end")
}

/// Returns what comes of a body: requests, faults, and how it ends.
fn read(transfer: Transfer, pieces: Chunks<'_, u8>) -> Vec<String> {
    let mut requests = Requests::new(transfer, BOUNDS);
    let mut arrived = BytesMut::new();
    let mut found = Vec::new();
    // It may end without any bytes.
    for piece in pieces.chain([b"".as_slice()]) {
        arrived.extend_from_slice(piece);
        loop {
            match requests.next(&mut arrived) {
                Next::Request(inner) => {
                    let body = &inner.request.body;
                    assert!(body.len() as u64 <= BOUNDS.max_body);
                    let shown = (inner.request.method(), &inner.location, body.escape_ascii());
                    found.push(format!("{} {} {}", shown.0, shown.1, shown.2));
                }
                Next::Fault(fault) => {
                    found.push(format!("{} {:?}", fault.status, fault.location));
                    if fault.is_last {
                        return found;
                    }
                }
                Next::More => break,
                Next::End => {
                    found.push("end".to_owned());
                    return found;
                }
            }
        }
    }
    found
}
