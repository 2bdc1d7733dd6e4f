//! How messages stand in the response to a request.

use http::StatusCode;

use crate::transports::arrays::EMBEDDED_HEAD;
use crate::transports::streaming::{self, Wrapping};
use crate::web::{Response, script};

const JSON_HEAD: &[u8] = b"Content-Type: application/json; charset=utf-8\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";
const SCRIPT_HEAD: &[u8] = b"Content-Type: text/javascript; charset=utf-8\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";

/// How messages stand in a response.
#[derive(Debug)]
pub(super) enum Format {
    /// As a JSON array.
    Json,
    /// As a script that calls this function with the array.
    Script(Box<str>),
    /// As in a stream.
    Streamed(Box<dyn Wrapping>),
    /// As a JSON array in a response that is embedded in another, which says the rest.
    Embedded,
}

impl Format {
    pub(super) fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded)
    }

    pub(super) fn response(&self, mut json: Vec<u8>, escapes_comment_end: bool) -> Response {
        if escapes_comment_end {
            json = script::escape_comment_end(&json).into_owned();
        }
        let (head, body) = match self {
            Self::Streamed(wrapping) => return streaming::whole(&**wrapping, &json),
            Self::Embedded => return Response::with_raw_head(StatusCode::OK, EMBEDDED_HEAD, json),
            Self::Json => (JSON_HEAD, json),
            Self::Script(callback) => {
                let json = script::expression(&json);
                (
                    SCRIPT_HEAD,
                    [b"/**/", callback.as_bytes(), b"(", &json, b");"].concat(),
                )
            }
        };
        Response::with_raw_head(StatusCode::OK, head, body).compressible()
    }

    /// A response without a message, for the status that alone counts.
    pub(super) fn empty(&self, status: StatusCode) -> Response {
        let head = match self {
            Self::Embedded => EMBEDDED_HEAD,
            _ => JSON_HEAD,
        };
        Response::with_raw_head(status, head, Vec::new())
    }
}
