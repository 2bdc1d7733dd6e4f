//! The demonstrations of `mirant serve --demo`: pages and their scripts, what these need of the configuration, where they
//! get the official client from, and the prices of the ticker.

mod client;
pub mod ticker;

use std::path::PathBuf;

use crate::web::asset::{self, CSS, HTML, JAVASCRIPT};
use crate::web::{Head, Page, Response};
use client::Client;

/// What the demonstrations need of the configuration, as a configuration file.
pub const SETTINGS: &str = include_str!("settings.toml");

/// What is where: the path, the type, and the text.
const FILES: &[(&str, &str, &str)] = &[
    // What they share.
    ("/demo/shell.css", CSS, include_str!("pages/shell.css")),
    ("/demo/shell.js", JAVASCRIPT, include_str!("pages/shell.js")),
    (
        "/demo/transports.js",
        JAVASCRIPT,
        include_str!("pages/transports.js"),
    ),
    ("/demo/wire.js", JAVASCRIPT, include_str!("pages/wire.js")),
    (
        "/demo/history.js",
        JAVASCRIPT,
        include_str!("pages/history.js"),
    ),
    (
        "/demo/presence.js",
        JAVASCRIPT,
        include_str!("pages/presence.js"),
    ),
    (
        "/demo/person.js",
        JAVASCRIPT,
        include_str!("pages/person.js"),
    ),
    ("/demo/copy.js", JAVASCRIPT, include_str!("pages/copy.js")),
    // The start page.
    ("/", HTML, include_str!("pages/start.html")),
    ("/demo/start.css", CSS, include_str!("pages/start.css")),
    ("/demo/start.js", JAVASCRIPT, include_str!("pages/start.js")),
    (
        "/demo/small-client.js",
        JAVASCRIPT,
        include_str!("pages/small-client.js"),
    ),
    // The chat.
    ("/demo/chat", HTML, include_str!("pages/chat.html")),
    ("/demo/chat.css", CSS, include_str!("pages/chat.css")),
    ("/demo/chat.js", JAVASCRIPT, include_str!("pages/chat.js")),
    // The ticker.
    ("/demo/ticker", HTML, include_str!("pages/ticker.html")),
    ("/demo/ticker.css", CSS, include_str!("pages/ticker.css")),
    (
        "/demo/ticker.js",
        JAVASCRIPT,
        include_str!("pages/ticker.js"),
    ),
    ("/demo/slow.js", JAVASCRIPT, include_str!("pages/slow.js")),
    // The drawing.
    ("/demo/drawing", HTML, include_str!("pages/drawing.html")),
    ("/demo/drawing.css", CSS, include_str!("pages/drawing.css")),
    (
        "/demo/drawing.js",
        JAVASCRIPT,
        include_str!("pages/drawing.js"),
    ),
    ("/demo/sheet.js", JAVASCRIPT, include_str!("pages/sheet.js")),
    ("/demo/pen.js", JAVASCRIPT, include_str!("pages/pen.js")),
    (
        "/demo/pointers.js",
        JAVASCRIPT,
        include_str!("pages/pointers.js"),
    ),
    // The page of plain HTTP.
    ("/demo/http", HTML, include_str!("pages/http.html")),
    ("/demo/http.css", CSS, include_str!("pages/http.css")),
    ("/demo/http.js", JAVASCRIPT, include_str!("pages/http.js")),
    ("/demo/known.js", JAVASCRIPT, include_str!("pages/known.js")),
    // Tennis; the game itself is a program of its own, `examples/tennis`.
    ("/demo/tennis", HTML, include_str!("pages/tennis.html")),
    ("/demo/tennis.css", CSS, include_str!("pages/tennis.css")),
    (
        "/demo/tennis.js",
        JAVASCRIPT,
        include_str!("pages/tennis.js"),
    ),
    (
        "/demo/tennis-game.js",
        JAVASCRIPT,
        include_str!("pages/tennis-game.js"),
    ),
    (
        "/demo/tennis-lobby.js",
        JAVASCRIPT,
        include_str!("pages/tennis-lobby.js"),
    ),
    (
        "/demo/tennis-match.js",
        JAVASCRIPT,
        include_str!("pages/tennis-match.js"),
    ),
    (
        "/demo/tennis-court.js",
        JAVASCRIPT,
        include_str!("pages/tennis-court.js"),
    ),
    (
        "/demo/tennis-timeline.js",
        JAVASCRIPT,
        include_str!("pages/tennis-timeline.js"),
    ),
    (
        "/demo/tennis-controls.js",
        JAVASCRIPT,
        include_str!("pages/tennis-controls.js"),
    ),
];

/// What is to be shown.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The file of the official client's module, if it is not to be looked for.
    pub client: Option<PathBuf>,
}

/// At which paths of a server its pages find what they ask for.
#[derive(Debug, Clone, Copy)]
pub struct Paths<'a> {
    /// The Bayeux endpoint.
    pub bayeux: &'a str,
    /// Event streams.
    pub events: &'a str,
    /// Resources.
    pub resources: &'a str,
    /// History.
    pub history: &'a str,
}

/// The pages of a server.
#[derive(Debug)]
pub struct Demo {
    files: Vec<(&'static str, &'static str, String)>,
    client: Client,
}

impl Demo {
    /// Makes the pages of a server whose endpoints are at these paths.
    #[must_use]
    pub fn new(settings: &Settings, paths: Paths<'_>) -> Self {
        let files = FILES.iter().map(|&(path, media_type, text)| {
            let text = match media_type {
                HTML => paths.fill_in(text),
                _ => text.to_owned(),
            };
            (path, media_type, text)
        });
        Self {
            files: files.collect(),
            client: Client::new(settings.client.clone()),
        }
    }

    fn file(&self, path: &str) -> Option<&(&'static str, &'static str, String)> {
        self.files.iter().find(|(at, ..)| *at == path)
    }
}

impl Page for Demo {
    fn is_at(&self, path: &str) -> bool {
        self.file(path).is_some() || self.client.is_at(path)
    }

    fn serve(&self, head: &Head) -> Response {
        match self.file(head.uri.path()) {
            Some((_, media_type, text)) => asset::serve(head, media_type, text),
            None => self.client.serve(head),
        }
    }
}

impl Paths<'_> {
    /// Puts the paths into a page, where it has their names in braces.
    fn fill_in(self, page: &str) -> String {
        let names = [
            ("{{bayeux}}", self.bayeux),
            ("{{events}}", self.events),
            ("{{resources}}", self.resources),
            ("{{history}}", self.history),
        ];
        names
            .into_iter()
            .fold(page.to_owned(), |page, (name, path)| {
                page.replace(name, path)
            })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demo/pages");
        let entries = fs::read_dir(folder).expect("the folder");
        let mut kept: Vec<String> = entries
            .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("a text"))
            .collect();
        let mut served: Vec<String> = FILES.iter().map(|(.., text)| (*text).to_owned()).collect();
        kept.sort();
        served.sort();
        assert!(kept == served, "FILES and the folder differ");
    }
}
