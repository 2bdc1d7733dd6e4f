//! This server as a node of a cluster: what comes from the others, and whose sessions are whose.

mod adopting;
mod answering;
mod beating;
mod calls;
mod fetching;
mod handing_over;
mod joint;
mod leaving;
mod locating;
mod moved;
mod moving;
mod nodes;
pub(super) mod owning;
pub(super) mod publishing;
pub(super) mod stream;
mod unreachable;

use tokio::sync::Notify;

use self::joint::Joint;
use self::leaving::Leaving;
pub use self::locating::Located;
use self::moved::Moved;
use self::nodes::Nodes;
use self::owning::Owned;
pub(super) use self::stream::Stream;
use crate::cluster::Links;

/// The cluster, as a server knows it.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) links: Links,
    pub(super) stream: Stream,
    pub(super) nodes: Nodes,
    owned: Owned,
    leaving: Leaving,
    moved: Moved,
    /// Sessions that are being fetched from nodes that live, and from those that are dead.
    fetches: Joint<Located>,
    adoptions: Joint<Option<Located>>,
    /// This node begins to leave.
    leaves: Notify,
}

impl Cluster {
    pub(super) fn new(links: Links) -> Self {
        Self {
            links,
            stream: Stream::default(),
            nodes: Nodes::default(),
            owned: Owned::default(),
            leaving: Leaving::default(),
            moved: Moved::default(),
            fetches: Joint::default(),
            adoptions: Joint::default(),
            leaves: Notify::new(),
        }
    }
}

#[cfg(test)]
mod simulation;
