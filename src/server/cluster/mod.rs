//! This server as a node of a cluster: what comes from the others, and whose sessions are whose.

mod locating;
pub(super) mod publishing;
pub(super) mod stream;
mod unreachable;

pub use self::locating::Located;
pub(super) use self::stream::Stream;
use crate::cluster::Links;

/// The cluster, as a server knows it.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) links: Links,
    pub(super) stream: Stream,
}

impl Cluster {
    pub(super) fn new(links: Links) -> Self {
        Self {
            links,
            stream: Stream::default(),
        }
    }
}
