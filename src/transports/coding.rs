//! Bodies of requests that come compressed (RFC 9110 section 8.4).

use http::header;

use super::{Endpoint, Error};
use crate::metrics::Limit;
use crate::web::gzip::{self, NotInflated};
use crate::web::{Headers, Request};

/// Tells whether a body is as it is; none has several codings.
pub(super) fn is_plain(headers: &Headers) -> bool {
    let mut codings = headers.get_all(&header::CONTENT_ENCODING);
    codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
}

fn is_gzip(headers: &Headers) -> bool {
    let mut codings = headers.get_all(&header::CONTENT_ENCODING);
    let is_gzip = codings.next().is_some_and(|coding| {
        coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
    });
    is_gzip && codings.next().is_none()
}

impl Endpoint {
    /// Undoes the coding of a request's body.
    pub(super) fn decode(&self, request: &mut Request) -> Result<(), Error> {
        if is_plain(request.headers()) || request.body.is_empty() {
            return Ok(());
        }
        if !is_gzip(request.headers()) {
            return Err(Error::Coding);
        }
        let max = self.server.limits().max_message_size.as_u64();
        let inflated = gzip::inflate(&request.body, max).inspect_err(|error| {
            if *error == NotInflated::TooLarge {
                self.server.metrics().limited(Limit::MaxMessageSize);
            }
        });
        request.body = inflated?;
        Ok(())
    }
}
