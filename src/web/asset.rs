//! Texts that are part of the program, such as the scripts of its pages.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use http::{Method, StatusCode, header};

use super::{Head, Headers, Response};

/// The type of pages.
pub const HTML: &str = "text/html; charset=utf-8";
/// The type of style sheets.
pub const CSS: &str = "text/css; charset=utf-8";
/// The type of scripts.
pub const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// Answers a request for a text. Browsers keep it, and ask each time whether it has changed: a page must not mix the
/// scripts of two versions.
#[must_use]
pub fn serve(head: &Head, media_type: &'static str, text: &str) -> Response {
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Response::error(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here")
            .header("Allow", b"GET, HEAD");
    }
    let etag = etag(text);
    let response = if has(&head.headers, &etag) {
        Response::new(StatusCode::NOT_MODIFIED)
    } else {
        Response::with_body(StatusCode::OK, media_type, text.into()).compressible()
    };
    response
        .header("ETag", etag.as_bytes())
        .header("Cache-Control", b"public, no-cache")
}

fn etag(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// Tells whether a client has the version that has this tag (RFC 9110 section 13.1.2).
fn has(headers: &Headers, etag: &str) -> bool {
    headers
        .texts(&header::IF_NONE_MATCH)
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*")
}
