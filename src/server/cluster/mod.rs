//! This server as a node of a cluster: what comes from the others, and whose sessions are whose.

mod locating;
mod stream;

use std::sync::Arc;

pub use self::locating::Located;
pub(super) use self::stream::Stream;
use crate::cluster::{Backplane, Interest, NodeId, Peers, Registry, Settings};

/// What a node has of the cluster.
#[derive(Debug, Clone)]
pub struct Links {
    /// Which node this is.
    pub me: NodeId,
    /// What orders and spreads messages.
    pub backplane: Arc<dyn Backplane>,
    /// Which node owns which session.
    pub registry: Arc<dyn Registry>,
    /// What reaches the other nodes.
    pub peers: Arc<dyn Peers>,
    /// What this node has subscribers of.
    pub interest: Arc<Interest>,
    /// The settings.
    pub settings: Settings,
}

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
