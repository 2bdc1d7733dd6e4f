//! The response that others are embedded in: its head, its coding, and its end.

use http::Version;

use crate::web::Response;

const HEAD: &[u8] = b"Content-Type: message/http\r\nX-Accel-Buffering: no\r\n\
    X-Content-Type-Options: nosniff\r\nVary: Accept, Accept-Encoding\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";

/// How bytes leave in the outer response.
#[derive(Debug)]
pub(super) struct Outgoing {
    is_chunked: bool,
}

impl Outgoing {
    /// Begins a response that goes on.
    pub(super) fn begin(version: Version) -> (Self, Response) {
        // HTTP/1.0 has no chunks: its clients get the bytes and the connection's end.
        let is_chunked = version == Version::HTTP_11;
        let response = if is_chunked {
            Response::chunked(HEAD, &[])
        } else {
            Response::open(HEAD, Vec::new())
        };
        (Self { is_chunked }, response)
    }

    /// Makes a response that is whole.
    pub(super) fn whole(piece: Vec<u8>) -> Response {
        Response::with_raw_head(http::StatusCode::OK, HEAD, piece)
    }

    /// Writes some bytes so that the client can read them at once.
    pub(super) fn piece(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.is_chunked {
            Response::chunk(bytes, out);
        } else {
            out.extend_from_slice(bytes);
        }
    }

    /// Writes what comes after all pieces.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        if self.is_chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}
