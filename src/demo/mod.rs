//! The demonstration page: two chat windows that talk to each other through the server.

use http::{Method, StatusCode};

use crate::web::{Head, Page, Response};

const PAGE: &str = include_str!("page.html");

/// The page of a server.
#[derive(Debug)]
pub struct Demo {
    page: String,
}

impl Demo {
    /// Makes the page of a server whose Bayeux endpoint is at `path`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self {
            page: PAGE.replace("{{path}}", path),
        }
    }
}

impl Page for Demo {
    fn is_at(&self, path: &str) -> bool {
        path == "/"
    }

    fn serve(&self, head: &Head) -> Response {
        if head.method != Method::GET {
            return Response::error(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here")
                .header("Allow", b"GET");
        }
        let page = self.page.clone().into_bytes();
        Response::with_body(StatusCode::OK, "text/html; charset=utf-8", page)
            .header("Cache-Control", b"no-store")
    }
}
