//! What a node has of its cluster.

use std::sync::Arc;

use super::{Backplane, Interest, NodeId, Peers, Registry, Settings, WhenAway};

/// What a node has of its cluster.
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

/// What becomes of a message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It goes through the backplane.
    Through,
    /// It reaches the subscribers of this node.
    Local,
    /// It is refused.
    Refused,
}

impl Links {
    /// Tells what becomes of a message that is published now.
    #[must_use]
    pub fn way(&self) -> Way {
        if self.backplane.is_up() {
            return Way::Through;
        }
        match self.settings.when_away {
            WhenAway::Local => Way::Local,
            WhenAway::Refuse => Way::Refused,
        }
    }
}
