//! What one node asks of another.

use std::fmt::Debug;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::node::{NodeId, NodeInfo};

/// What a call is for; its text is a path on the cluster's listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// To have a session.
    Take,
    /// To give sessions away.
    Give,
    /// To have something told, or done, about sessions and channels.
    Ask,
}

impl CallKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Take, Self::Give, Self::Ask];

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Take => "take",
            Self::Give => "give",
            Self::Ask => "ask",
        }
    }
}

/// Why a call was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailed {
    /// The node is not known, or cannot be reached: it has not heard of the call.
    #[error("the node {0} cannot be reached")]
    Unreachable(NodeId),
    /// The connection broke, or the time is over: it may have heard of the call.
    #[error("the node {0} did not answer")]
    NoAnswer(NodeId),
    /// It has refused the call, and why.
    #[error("the node has refused a call: {0}")]
    Refused(String),
}

/// Reaches other nodes.
pub trait Peers: Debug + Send + Sync {
    /// Takes notice of the nodes that there are, and where they are reached.
    fn know(&self, nodes: &[NodeInfo]);

    /// Asks something of another node.
    ///
    /// # Errors
    /// It did not answer, or with a refusal.
    fn call(
        &self,
        to: NodeId,
        kind: CallKind,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Bytes, CallFailed>>;
}

/// Answers what other nodes ask.
pub trait Calls: Debug + Send + Sync {
    /// Answers a call.
    ///
    /// # Errors
    /// It is refused, and why.
    fn answer(
        &self,
        from: NodeId,
        kind: CallKind,
        body: Bytes,
    ) -> BoxFuture<'_, Result<Bytes, String>>;
}
