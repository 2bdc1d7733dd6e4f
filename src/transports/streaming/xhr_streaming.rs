//! xhr-streaming: a growing response of JSON arrays, one after the other, each in one write.
//!
//! Whoever reads it must not rely on chunks: proxies join and split them. The arrays themselves say
//! where they end; the line ends between them are for people and for heartbeats.

use super::wrapping::Wrapping;

const HEAD: &[u8] = b"Content-Type: application/json; charset=utf-8\r\n\
    X-Accel-Buffering: no\r\n\
    Cache-Control: no-cache, no-store\r\nPragma: no-cache\r\nExpires: 0\r\n";

/// Arrays one after the other.
#[derive(Debug)]
pub(super) struct XhrStreaming;

impl Wrapping for XhrStreaming {
    fn head(&self) -> &'static [u8] {
        HEAD
    }

    fn begin(&self, _: &mut Vec<u8>) {}

    fn array(&self, json: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(json);
        out.push(b'\n');
    }

    fn heartbeat(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
    }

    fn end(&self, _: &mut Vec<u8>) {}
}
