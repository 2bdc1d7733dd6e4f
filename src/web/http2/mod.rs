//! HTTP/2 below requests (RFC 9113): heads, one stream as what a request and its response come by, and how much of
//! what a stream has sent the kernel has taken.
//!
//! The crate `h2` speaks it. Nothing here knows a socket.

mod head;
mod receipts;
mod stream;

pub use self::head::{Heading, read_head, write_head};
pub use self::receipts::{Counting, Receipts};
pub use self::stream::{Beginning, Stream};
