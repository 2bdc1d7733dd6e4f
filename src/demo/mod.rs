//! The demonstration page: two chat windows that talk to each other through the server.

use bytes::Bytes;
use http::{Method, Request, StatusCode};

use crate::web::Response;

const PAGE: &str = include_str!("page.html");

/// Tells whether a path is the page's.
#[must_use]
pub fn is_at(path: &str) -> bool {
    matches!(path, "/" | "/demo")
}

/// Serves the page.
#[must_use]
pub fn serve(request: &Request<Bytes>) -> Response {
    if *request.method() != Method::GET {
        return Response::error(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here")
            .header("Allow", b"GET");
    }
    Response::with_body(
        StatusCode::OK,
        "text/html; charset=utf-8",
        PAGE.as_bytes().to_vec(),
    )
    .header("Cache-Control", b"no-store")
    .header("X-Content-Type-Options", b"nosniff")
}
