//! What a node has of its cluster.

use std::sync::Arc;

use aws_lc_rs::hmac;

use crate::bayeux::RandomId;

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
    /// Returns an identifier that tells that this node has made it.
    #[must_use]
    pub fn own(&self, id: RandomId) -> RandomId {
        RandomId::marked(id.to_bytes(), self.me.0)
    }

    /// Returns a key that is the same on all nodes, and that nobody knows who does not know the secret; nothing if
    /// there is none, or it cannot be read.
    #[must_use]
    pub fn common_key(&self, purpose: &[u8]) -> Option<RandomId> {
        let secret = self.settings.secret.as_ref()?.read().ok()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let tag = hmac::sign(&key, purpose);
        let bytes = tag.as_ref().first_chunk::<16>()?;
        Some(RandomId::from_random(*bytes))
    }

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
