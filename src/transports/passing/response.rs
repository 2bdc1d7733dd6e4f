//! What an owner answers, as bytes: a response, or that the request is to go another way.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::StatusCode;

use crate::web::Response;
use crate::web::response::Parts;

/// What an owner has answered.
#[derive(Debug)]
pub(super) enum Answered {
    /// The response for the client, and whether it carries what goes back if that is not written.
    Response(Response, bool),
    /// It does not have the session.
    NotHere,
    /// The client is one whose connect is answered by a stream, as these marks of its session say.
    Streams(u8),
}

/// Makes the answer of a node that does not have the session: no client has this status of a transport.
#[must_use]
pub fn not_here() -> Response {
    Response::new(StatusCode::MISDIRECTED_REQUEST)
}

/// Makes the answer of a node whose session says, by its marks, that the connect is answered by a stream.
#[must_use]
pub fn streams(marks: u8) -> Response {
    not_here().body(vec![marks])
}

/// What may be done with the body, and whether it carries something, as bits.
const MAY_SHRINK: u8 = 1;
const CARRIES: u8 = 2;

/// Returns a response as bytes.
pub(super) fn encode(response: Response, carries: bool) -> Bytes {
    let parts = response.into_parts();
    let mut out = BytesMut::with_capacity(parts.head.len() + parts.body.len() + 8);
    out.put_u16(parts.status.as_u16());
    let may_shrink = if parts.may_shrink { MAY_SHRINK } else { 0 };
    out.put_u8(may_shrink | if carries { CARRIES } else { 0 });
    out.put_u32(u32::try_from(parts.head.len()).unwrap_or(u32::MAX));
    out.put_slice(&parts.head);
    out.put_slice(&parts.body);
    out.freeze()
}

/// Reads what an owner has answered; nothing if it is malformed.
pub(super) fn decode(mut bytes: Bytes) -> Option<Answered> {
    let status = StatusCode::from_u16(bytes.try_get_u16().ok()?).ok()?;
    let bits = bytes.try_get_u8().ok()?;
    let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    if length > bytes.len() {
        return None;
    }
    let head = bytes.split_to(length).to_vec();
    if status == StatusCode::MISDIRECTED_REQUEST {
        return Some(match *bytes {
            [marks] => Answered::Streams(marks),
            _ => Answered::NotHere,
        });
    }
    let response = Response::from_parts(Parts {
        status,
        head,
        body: bytes.into(),
        may_shrink: bits & MAY_SHRINK != 0,
    });
    Some(Answered::Response(response, bits & CARRIES != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_as_it_was_written() {
        let response = || {
            Response::with_raw_head(StatusCode::OK, b"Content-Type: a/b\r\n", b"[{}]".to_vec())
                .compressible()
                .header("Set-Cookie", b"a=b")
                .header_lines(b"Pragma: no-cache\r\n")
        };
        let bytes = encode(response(), true);
        let Some(Answered::Response(read, true)) = decode(bytes.clone()) else {
            panic!("no response");
        };
        let parts = read.into_parts();
        assert_eq!(parts.body, b"[{}]");
        let head = b"Content-Type: a/b\r\nSet-Cookie: a=b\r\nPragma: no-cache\r\n";
        assert_eq!(parts.head, head);
        assert_eq!(parts, response().into_parts());
        let empty = encode(Response::new(StatusCode::CONFLICT), false);
        assert!(matches!(decode(empty), Some(Answered::Response(_, false))));
        for end in 0..bytes.len() - 4 {
            assert!(decode(bytes.slice(..end)).is_none(), "{end}");
        }
    }

    #[test]
    fn a_request_may_have_to_go_another_way() {
        assert!(matches!(
            decode(encode(not_here(), false)),
            Some(Answered::NotHere)
        ));
        let streams = decode(encode(streams(4), false));
        assert!(matches!(streams, Some(Answered::Streams(4))));
    }
}
