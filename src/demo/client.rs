//! The official client of CometD, which pages import: a copy that npm has put on this machine, or a public one. It is
//! no part of this program.

use std::fs;
use std::path::{Path, PathBuf};

use http::{Method, StatusCode};

use crate::web::asset::{self, JAVASCRIPT};
use crate::web::{Head, Response};

/// What pages import. It leads to the module, which then finds the files that it consists of beside itself.
const MODULE: &str = "/demo/cometd.js";
/// Where the files of a copy on this machine are served.
const FOLDER: &str = "/demo/cometd/";
/// Where npm puts it, from where the server was started: for its user, and for the tests of this program.
const COPIES: [&str; 2] = [
    "node_modules/cometd/cometd.js",
    "tests/clients/node_modules/cometd/cometd.js",
];
/// The public copy, of the version that the tests have.
const PUBLIC: &str = "https://cdn.jsdelivr.net/npm/cometd@9.0.0/cometd.js";

/// Where the client is.
#[derive(Debug)]
pub(super) struct Client {
    file: Option<PathBuf>,
}

impl Client {
    /// Takes the file of its module, if that is not to be looked for.
    pub(super) fn new(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    pub(super) fn is_at(&self, path: &str) -> bool {
        path == MODULE || file_name(path).is_some()
    }

    /// Answers a request for the module, or for one of its files. They are looked for at each: somebody may have
    /// installed them since the last. They are small, and here.
    pub(super) fn serve(&self, head: &Head) -> Response {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            return Response::error(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here")
                .header("Allow", b"GET, HEAD");
        }
        let module = self.module();
        let Some(name) = file_name(head.uri.path()) else {
            let name = module.as_deref().and_then(Path::file_name);
            let place = name.map_or_else(
                || PUBLIC.to_owned(),
                |name| format!("{FOLDER}{}", name.to_string_lossy()),
            );
            return Response::new(StatusCode::FOUND)
                .header("Location", place.as_bytes())
                .header("Cache-Control", b"no-store");
        };
        let file = module.map(|module| module.with_file_name(name));
        match file.and_then(|file| fs::read_to_string(file).ok()) {
            Some(text) => asset::serve(head, JAVASCRIPT, &text),
            None => Response::error(StatusCode::NOT_FOUND, "the client has no such file"),
        }
    }

    /// Finds the module's file on this machine.
    fn module(&self) -> Option<PathBuf> {
        if let Some(file) = &self.file {
            return Some(file.clone());
        }
        let mut copies = COPIES.iter().map(PathBuf::from);
        copies.find(|file| file.is_file())
    }
}

/// Returns the name of the file that is asked for: a script, and nothing that leads elsewhere.
fn file_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(FOLDER)?;
    let stem = name.strip_suffix(".js")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (!stem.is_empty() && !stem.starts_with('.') && stem.bytes().all(is_plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_copy_is_of_the_version_that_the_tests_have() {
        let lock = include_str!("../../tests/clients/package-lock.json");
        let lock: serde_json::Value = serde_json::from_str(lock).expect("JSON");
        let version = &lock["packages"]["node_modules/cometd"]["version"];
        let version = version.as_str().expect("a version");
        assert!(PUBLIC.contains(&format!("@{version}/")), "{version}");
    }

    #[test]
    fn only_scripts_beside_the_module_have_a_path() {
        let cases = [
            ("/demo/cometd/Client.js", true),
            ("/demo/cometd/cometd.min.js", true),
            ("/demo/cometd/../secret.js", false),
            ("/demo/cometd/a/b.js", false),
            ("/demo/cometd/%2e%2e%2fb.js", false),
            ("/demo/cometd/..js", false),
            ("/demo/cometd/.js", false),
            ("/demo/cometd/package.json", false),
            ("/demo/cometd", false),
        ];
        for (path, is_there) in cases {
            assert_eq!(file_name(path).is_some(), is_there, "{path}");
        }
    }
}
