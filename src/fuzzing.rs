//! For each reader of foreign bytes a function that is given any bytes, and asserts what has to hold of them: that
//! what was read is written and read as the same, that it does not matter in what pieces it came, that another reader
//! understands no other thing, and that nothing grows beyond its bound.
//!
//! The functions stand beside the readers, in files named `fuzzing.rs`. Tests call them with bytes that are almost
//! right (`tests.rs`), and fuzzers with what they find (`fuzz/`).

use std::fmt::Debug;
use std::slice::Chunks;

#[cfg(test)]
mod tests;

/// A reader under attack.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it reads.
    pub name: &'static str,
    /// Asserts, and tells whether the bytes were understood.
    pub check: fn(&[u8]) -> bool,
    /// Bytes that are understood, to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// All of them, by where they stand.
const TARGETS: [&[Target]; 16] = [
    crate::bayeux::fuzzing::TARGETS,
    crate::web::fuzzing::TARGETS,
    crate::web::websocket::fuzzing::TARGETS,
    crate::listener::fuzzing::TARGETS,
    crate::transports::message_http::fuzzing::TARGETS,
    crate::transports::streaming::fuzzing::TARGETS,
    crate::authentication::token::fuzzing::TARGETS,
    crate::authentication::webhook::fuzzing::TARGETS,
    crate::hooks::fuzzing::TARGETS,
    crate::cluster::wire::fuzzing::TARGETS,
    crate::cluster::redis::fuzzing::TARGETS,
    crate::server::cluster::fuzzing::TARGETS,
    crate::session::fuzzing::TARGETS,
    crate::config::fuzzing::TARGETS,
    crate::http_api::fuzzing::TARGETS,
    crate::api::fuzzing::TARGETS,
];

/// Returns all of them.
pub fn targets() -> impl Iterator<Item = &'static Target> {
    TARGETS.into_iter().flatten()
}

/// Runs one.
///
/// # Panics
/// There is none of that name; or, as a fuzzer is to see, its reader is wrong.
pub fn run(name: &str, bytes: &[u8]) {
    let target = targets().find(|target| target.name == name);
    let target = target.expect("a bin of fuzz/Cargo.toml has the name of a target");
    (target.check)(bytes);
}

/// Reads bytes whole, and in pieces of several sizes, which has to be the same.
pub(crate) fn in_pieces<T: PartialEq + Debug>(
    bytes: &[u8],
    read: impl Fn(Chunks<'_, u8>) -> T,
) -> T {
    let whole = read(bytes.chunks(bytes.len().max(1)));
    for size in [1, 7] {
        assert_eq!(read(bytes.chunks(size)), whole, "in pieces of {size}");
    }
    whole
}

/// Splits bytes at the first line feed: what is said about them, and they.
pub(crate) fn line_and_rest(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (&[], bytes),
    }
}
