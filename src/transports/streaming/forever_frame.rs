//! iframe, the forever frame: a page that never ends, of scripts that call a function of its parent.
//!
//! Two dialects: a modern one, whose function the client names; and that of Dojo 0.3 and 0.4, whose
//! frame is first opened by itself and then loads the response of a form.

use http::StatusCode;

use super::wrapping::Wrapping;
use crate::web::{Response, script};

const HEAD: &[u8] = b"Content-Type: text/html; charset=utf-8\r\n\
    Content-Security-Policy: frame-ancestors 'self'\r\nX-Accel-Buffering: no\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";
/// Browsers and proxies hold back the beginning of a page, until so much of it is there.
const PADDING: usize = 2048;

/// Arrays in scripts.
#[derive(Debug)]
pub(super) enum ForeverFrame {
    /// That call this function of the parent window.
    Calling(Box<str>),
    /// That call what Dojo 0.4 has there.
    Dojo,
}

impl Wrapping for ForeverFrame {
    fn head(&self) -> &'static [u8] {
        HEAD
    }

    /// Dojo sends nothing until its reconnect is answered.
    fn replies_first(&self) -> bool {
        matches!(self, Self::Dojo)
    }

    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<!doctype html>\n<html><head><meta charset=\"utf-8\"></head>");
        out.extend_from_slice(match self {
            Self::Calling(_) => b"<body>\n".as_slice(),
            // Called when the page has ended: the client connects again.
            Self::Dojo => b"<body onload=\"window.parent.cometd.tunnelCollapse();\">\n",
        });
        pad(out);
    }

    fn array(&self, json: &[u8], out: &mut Vec<u8>) {
        let json = script::expression(json);
        out.extend_from_slice(b"<script type=\"text/javascript\">");
        match self {
            Self::Calling(callback) => {
                out.extend_from_slice(b"parent.");
                out.extend_from_slice(callback.as_bytes());
            }
            Self::Dojo => out.extend_from_slice(b"window.parent.cometd.deliver"),
        }
        out.push(b'(');
        out.extend_from_slice(&json);
        out.extend_from_slice(b");</script>");
        if matches!(self, Self::Dojo) {
            out.extend_from_slice(b"<br />");
            pad(out);
        }
        out.push(b'\n');
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"<!-- -->\n");
    }

    fn end(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"</body></html>\n");
    }
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len() + PADDING, b' ');
    out.push(b'\n');
}

/// Returns the page that Dojo's frame is opened with: it says to its parent that it is there.
pub fn opening_page() -> Response {
    let page = b"<!doctype html>\n<html><head><meta charset=\"utf-8\"></head>\
        <body onload=\"window.parent.cometd.tunnelInit(window.location, document.domain);\">\
        </body></html>\n";
    Response::with_raw_head(StatusCode::OK, HEAD, page.to_vec())
}
