//! What a server knows of the cluster that it is a node of: whose sessions are whose, and how far messages have come.

pub(super) mod joint;
pub(super) mod leaving;
pub(super) mod located;
pub(super) mod moved;
pub(super) mod nodes;
pub(super) mod owned;
pub(super) mod recent;
pub(super) mod stream;

use tokio::sync::Notify;

use self::joint::Joint;
use self::leaving::Leaving;
use self::located::Located;
use self::moved::Moved;
use self::nodes::Nodes;
use self::owned::Owned;
use self::stream::Stream;
use crate::cluster::Links;

/// The cluster, as a server knows it.
#[derive(Debug)]
pub(super) struct Cluster<C> {
    pub(super) links: Links,
    pub(super) stream: Stream<C>,
    pub(super) nodes: Nodes,
    pub(super) owned: Owned,
    pub(super) leaving: Leaving,
    pub(super) moved: Moved,
    /// Sessions that are being fetched from nodes that live, and from those that are dead.
    pub(super) fetches: Joint<Located>,
    pub(super) adoptions: Joint<Option<Located>>,
    /// This node begins to leave.
    pub(super) leaves: Notify,
}

impl<C> Cluster<C> {
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
