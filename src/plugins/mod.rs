//! Transports for the CometD client, as ES modules for web pages: files, and how they are served.

use http::StatusCode;

use crate::web::asset::{self, JAVASCRIPT};
use crate::web::{Head, Page, Response};

const FOLDER: &str = "/mirant/";

/// Browsers do not load these; tools take them as text.
const TYPES: &str = "text/plain; charset=utf-8";

/// Each file's name, type and text.
const FILES: [(&str, &str, &str); 14] = [
    ("eventsource.js", JAVASCRIPT, include_str!("eventsource.js")),
    ("eventsource.d.ts", TYPES, include_str!("eventsource.d.ts")),
    (
        "held-connect.js",
        JAVASCRIPT,
        include_str!("held-connect.js"),
    ),
    (
        "held-connect.d.ts",
        TYPES,
        include_str!("held-connect.d.ts"),
    ),
    ("iframe.js", JAVASCRIPT, include_str!("iframe.js")),
    ("iframe.d.ts", TYPES, include_str!("iframe.d.ts")),
    (
        "message-http.js",
        JAVASCRIPT,
        include_str!("message-http.js"),
    ),
    (
        "message-http.d.ts",
        TYPES,
        include_str!("message-http.d.ts"),
    ),
    ("multipart.js", JAVASCRIPT, include_str!("multipart.js")),
    ("multipart.d.ts", TYPES, include_str!("multipart.d.ts")),
    ("splitter.js", JAVASCRIPT, include_str!("splitter.js")),
    ("splitter.d.ts", TYPES, include_str!("splitter.d.ts")),
    (
        "xhr-streaming.js",
        JAVASCRIPT,
        include_str!("xhr-streaming.js"),
    ),
    (
        "xhr-streaming.d.ts",
        TYPES,
        include_str!("xhr-streaming.d.ts"),
    ),
];

/// The files, for pages of any site.
#[derive(Debug)]
pub struct Plugins;

impl Page for Plugins {
    fn is_at(&self, path: &str) -> bool {
        file(path).is_some()
    }

    fn serve(&self, head: &Head) -> Response {
        let response = match file(head.uri.path()) {
            Some((content_type, text)) => asset::serve(head, content_type, text),
            None => Response::error(StatusCode::NOT_FOUND, "there is no such file"),
        };
        response.header("Access-Control-Allow-Origin", b"*")
    }
}

/// Finds the type and the text of the file that is at a path.
fn file(path: &str) -> Option<(&'static str, &'static str)> {
    let name = path.strip_prefix(FOLDER)?;
    let (_, content_type, text) = FILES.into_iter().find(|file| file.0 == name)?;
    Some((content_type, text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plugins");
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().into_string())
            .map(|name| name.expect("UTF-8"))
            .filter(|name| !name.ends_with(".rs"))
            .collect();
        let mut served = FILES.map(|(name, ..)| name);
        names.sort();
        served.sort_unstable();
        assert_eq!(names, served);
    }
}
