//! multipart: `multipart/x-mixed-replace`, an array of messages in each part.
//!
//! Two dialects: a modern one, whose parts are JSON; and `mime-message-block`, as Dojo 0.4 expects it
//! of a server for Firefox before version 22.

use http::StatusCode;

use super::wrapping::Wrapping;
use crate::web::Response;

/// Stands in no message: JSON has no line that begins with two hyphens.
const BOUNDARY: &[u8] = b"--mirant-part\r\n";
const LAST_BOUNDARY: &[u8] = b"--mirant-part--\r\n";
const HEAD: &[u8] = b"Content-Type: multipart/x-mixed-replace; boundary=\"mirant-part\"\r\n\
    X-Accel-Buffering: no\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";

/// Puts an error into a part, where such a client can read it.
pub fn wrap(error: &Response) -> Response {
    let mut body = BOUNDARY.to_vec();
    let status = error.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "Status: {} {reason}\r\nContent-Type: application/json; charset=utf-8\r\n\r\n",
        status.as_str()
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(error.bytes());
    body.extend_from_slice(b"\r\n");
    body.extend_from_slice(LAST_BOUNDARY);
    Response::with_raw_head(StatusCode::OK, HEAD, body)
}

/// Arrays in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Multipart {
    /// Of JSON.
    Json,
    /// Of text, for Dojo 0.4.
    MimeMessageBlock,
}

impl Wrapping for Multipart {
    fn head(&self) -> &'static [u8] {
        HEAD
    }

    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(BOUNDARY);
    }

    fn array(&self, json: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(match self {
            Self::Json => b"Content-Type: application/json; charset=utf-8\r\n\r\n".as_slice(),
            Self::MimeMessageBlock => b"Content-Type: text/plain\r\n\r\n",
        });
        out.extend_from_slice(json);
        out.extend_from_slice(b"\r\n");
        // A part ends with the boundary of the next, so that is there at once.
        out.extend_from_slice(BOUNDARY);
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        self.array(b"[]", out);
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(LAST_BOUNDARY);
    }
}
