//! The operator's page: what a browser is given, as it is in the binary. It has no figures of its own, but asks the HTTP
//! API with the key that is typed into it, or after a login with a password.

use http::StatusCode;

use crate::web::asset::{self, CSS, HTML, JAVASCRIPT as SCRIPT};
use crate::web::{Head, Page, Response};

/// What is where: the path, the type, and the text.
const FILES: [(&str, &str, &str); 16] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/page/style.css", CSS, include_str!("page/style.css")),
    ("/page/app.js", SCRIPT, include_str!("page/app.js")),
    ("/page/api.js", SCRIPT, include_str!("page/api.js")),
    ("/page/dom.js", SCRIPT, include_str!("page/dom.js")),
    ("/page/login.js", SCRIPT, include_str!("page/login.js")),
    ("/page/table.js", SCRIPT, include_str!("page/table.js")),
    ("/page/chart.js", SCRIPT, include_str!("page/chart.js")),
    (
        "/page/overview.js",
        SCRIPT,
        include_str!("page/overview.js"),
    ),
    (
        "/page/sessions.js",
        SCRIPT,
        include_str!("page/sessions.js"),
    ),
    (
        "/page/channels.js",
        SCRIPT,
        include_str!("page/channels.js"),
    ),
    ("/page/watch.js", SCRIPT, include_str!("page/watch.js")),
    ("/page/publish.js", SCRIPT, include_str!("page/publish.js")),
    ("/page/rules.js", SCRIPT, include_str!("page/rules.js")),
    (
        "/page/configuration.js",
        SCRIPT,
        include_str!("page/configuration.js"),
    ),
    ("/page/kept.js", SCRIPT, include_str!("page/kept.js")),
];

/// Only what is served here runs, and nothing is asked for elsewhere.
const LINES: &[u8] = b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n\
    Referrer-Policy: no-referrer\r\nCross-Origin-Opener-Policy: same-origin\r\n\
    Cross-Origin-Resource-Policy: same-origin\r\n";

/// The page.
#[derive(Debug)]
pub struct AdminPage;

impl Page for AdminPage {
    fn is_at(&self, path: &str) -> bool {
        FILES.iter().any(|(at, ..)| *at == path)
    }

    fn serve(&self, head: &Head) -> Response {
        let path = head.uri.path();
        let file = FILES.iter().find(|(at, ..)| *at == path);
        let Some((_, media_type, text)) = file else {
            return Response::error(StatusCode::NOT_FOUND, "there is nothing at this path");
        };
        asset::serve(head, media_type, text).header_lines(LINES)
    }
}
