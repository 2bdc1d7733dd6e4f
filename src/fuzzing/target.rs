//! What a reader is to fuzzers and tests, and how bytes are given to it.

use std::fmt::Debug;
use std::slice::Chunks;

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
