//! What answers the requests that other nodes pass on.

use std::fmt::Debug;
use std::task::{Context, Poll};

use bytes::Bytes;

use crate::cluster::node::NodeId;

/// What answers requests that other nodes pass on.
pub trait Passing: Debug + Send + Sync {
    /// Begins to answer a request.
    fn begin(&self, from: NodeId, request: Bytes) -> Box<dyn Passed>;
}

/// A request that another node has passed on. Dropped, its client is gone.
pub trait Passed: Send {
    /// Waits for its answer.
    fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<PassedAnswer>;

    /// Has it answered soon, because the other node stops.
    fn hasten(&mut self);

    /// Has it answered without events, which stay, because its client has closed its side, and may be gone.
    fn note_closed(&mut self);
}

/// The answer to such a request.
pub struct PassedAnswer {
    /// What it says.
    pub bytes: Bytes,
    /// What has to hear whether it was written.
    pub delivery: Option<Box<dyn Delivery>>,
}

/// What has to hear what becomes of an answer. Dropped, it was not written.
pub trait Delivery: Send {
    /// Hears that nobody will say whether it was written: the other node is gone, or not reached any more.
    fn lost(self: Box<Self>);

    /// Waits until there is no use any more in writing it.
    fn poll_useless(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Hears that it was written.
    fn written(self: Box<Self>);
}
