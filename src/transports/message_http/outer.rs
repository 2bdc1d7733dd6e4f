//! The response that others are embedded in: its head, its codings, and its end.

use http::{StatusCode, Version};

use crate::transports::gate::Decision;
use crate::web::Response;
use crate::web::gzip::Gzip;

const HEAD: &[u8] = b"Content-Type: message/http\r\nX-Accel-Buffering: no\r\n\
    Vary: Accept, Accept-Encoding\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";
const GZIP: &[u8] = b"Content-Encoding: gzip\r\n";

/// How bytes leave in the outer response.
#[derive(Debug)]
pub(super) struct OuterResponse {
    is_chunked: bool,
    gzip: Option<Box<Gzip>>,
}

impl OuterResponse {
    /// Begins the response to a request.
    pub(super) fn begin(decision: &Decision<'_>) -> (Self, Response) {
        let persistence = &decision.persistence;
        let gzip = persistence.accepts_gzip.then(Box::<Gzip>::default);
        let beginning: &[u8] = if gzip.is_some() { &Gzip::HEAD } else { &[] };
        // HTTP/1.0 has no chunks: its clients get the bytes and the connection's end.
        let is_chunked = persistence.version == Version::HTTP_11;
        let response = if is_chunked {
            Response::chunked(HEAD, beginning)
        } else {
            Response::open(HEAD, beginning.to_vec())
        };
        let response = response.header_lines(if gzip.is_some() { GZIP } else { &[] });
        (Self { is_chunked, gzip }, response)
    }

    /// Returns a whole response with one embedded in it.
    pub(super) fn whole(decision: &Decision<'_>, response: &Response) -> Response {
        let mut embedded = Vec::new();
        response.embed(&decision.location(), false, &mut embedded);
        if !decision.persistence.accepts_gzip {
            return Response::with_raw_head(StatusCode::OK, HEAD, embedded);
        }
        let (mut gzip, mut body) = (Gzip::default(), Gzip::HEAD.to_vec());
        gzip.piece(&embedded, &mut body);
        gzip.end(&mut body);
        Response::with_raw_head(StatusCode::OK, HEAD, body).header_lines(GZIP)
    }

    /// Writes some bytes so that the client can read them at once.
    pub(super) fn piece(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        match &mut self.gzip {
            Some(gzip) => {
                let mut deflated = Vec::new();
                gzip.piece(bytes, &mut deflated);
                self.raw(&deflated, out);
            }
            None => self.raw(bytes, out),
        }
    }

    /// Writes what comes after all pieces.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        if let Some(gzip) = &self.gzip {
            let mut end = Vec::new();
            gzip.end(&mut end);
            self.raw(&end, out);
        }
        if self.is_chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }

    fn raw(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.is_chunked {
            Response::chunk(bytes, out);
        } else {
            out.extend_from_slice(bytes);
        }
    }
}
