//! For each reader of foreign bytes a function that is given any bytes, and asserts what has to hold of them: that
//! what was read is written and read as the same, that it does not matter in what pieces it came, that another reader
//! understands no other thing, and that nothing grows beyond its bound.
//!
//! The functions stand beside the readers, in files named `fuzzing.rs`. Tests call them with bytes that are almost
//! right (`tests.rs`), and fuzzers with what they find (`fuzz/`).

pub mod target;
#[cfg(test)]
mod tests;

use target::Target;

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
