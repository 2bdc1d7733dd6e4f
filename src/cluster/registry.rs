//! Which node owns which session, and which nodes live.

use std::fmt::Debug;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::node::{NodeId, NodeInfo};
use crate::bayeux::{ChannelPattern, ClientId};
use crate::history::Failed;

/// Who owns a session. The generation grows with each change of the owner: an owner of an old one has lost it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The node.
    pub node: NodeId,
    /// The generation, 1 for the node that made the session.
    pub generation: u64,
}

/// What is known of a session beside its owner: enough to go on with it when that is dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The session.
    pub id: ClientId,
    /// The generation in which the writer owns it.
    pub generation: u64,
    /// What there is to know of it, which the registry does not read.
    pub state: Bytes,
    /// How long it is kept once its owner is dead: as long as its client may wait for a connect before it comes back.
    pub outlives: Duration,
}

/// What a heartbeat has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// The others took this node for dead meanwhile: its sessions may have other owners.
    pub was_dead: bool,
    /// The nodes that live, this one too.
    pub alive: Vec<NodeInfo>,
    /// Nodes that have died, and whose sessions nobody has looked after yet.
    pub dead: Vec<NodeId>,
}

/// A session of a dead node, which expires unless somebody asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The session.
    pub id: ClientId,
    /// What its last owner has written.
    pub state: Bytes,
    /// After which time it expires.
    pub outlives: Duration,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// The session is the claimer's, in this generation, and this is what is known of it.
    Taken {
        /// The new generation.
        generation: u64,
        /// What its last owner has written.
        state: Bytes,
    },
    /// It has another owner than was said.
    Owned(Owner),
    /// Its owner lives.
    Alive,
    /// There is no such session.
    Gone,
}

/// Which node owns which session, and which nodes live. What is written is atomic, each session by itself.
pub trait Registry: Debug + Send + Sync {
    /// Tells that a node lives, for so long; to be called about once a second.
    ///
    /// # Errors
    /// It is not connected.
    fn beat(&self, me: NodeInfo, lives: Duration) -> BoxFuture<'_, Result<Beat, Failed>>;

    /// Takes a node off, which has no sessions any more.
    ///
    /// # Errors
    /// It is not connected.
    fn leave(&self, me: NodeId) -> BoxFuture<'_, Result<(), Failed>>;

    /// Writes what is known of sessions of a node; returns those that are not its own any more, of which nothing is
    /// written.
    ///
    /// # Errors
    /// It is not connected; some may be written.
    fn write(
        &self,
        me: NodeId,
        batch: Vec<Written>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>>;

    /// Finds the owner of a session, if there is such a session.
    ///
    /// # Errors
    /// It is not connected.
    fn find(&self, id: ClientId) -> BoxFuture<'_, Result<Option<Owner>, Failed>>;

    /// Makes a session a node's, if it still is the named owner's, and that is dead or has given it away itself
    /// (`is_given`).
    ///
    /// # Errors
    /// It is not connected; it may be done.
    fn claim(
        &self,
        id: ClientId,
        from: Owner,
        to: NodeId,
        is_given: bool,
    ) -> BoxFuture<'_, Result<Claim, Failed>>;

    /// Forgets sessions that have ended, as far as they are still a node's in these generations.
    ///
    /// # Errors
    /// It is not connected; some may be forgotten.
    fn remove(&self, me: NodeId, ended: Vec<(ClientId, u64)>) -> BoxFuture<'_, Result<(), Failed>>;

    /// Returns those of the sessions that are not a node's any more, each with the generation in which it was.
    ///
    /// # Errors
    /// It is not connected.
    fn lost(
        &self,
        me: NodeId,
        sessions: Vec<(ClientId, u64)>,
    ) -> BoxFuture<'_, Result<Vec<ClientId>, Failed>>;

    /// Lets the sessions of a dead node expire that nobody asks for, and returns at most so many of them; one caller
    /// of all nodes does it.
    ///
    /// # Errors
    /// It is not connected; the next heartbeat names the node again.
    fn bury(&self, dead: NodeId, max: usize) -> BoxFuture<'_, Result<Vec<Orphan>, Failed>>;

    /// Tells whether anything is known of a session: one that nobody has adopted is not once it has expired. To be
    /// asked about orphans; by itself it knows of none that have.
    ///
    /// # Errors
    /// It is not connected.
    fn is_known(&self, _id: ClientId) -> BoxFuture<'_, Result<bool, Failed>> {
        ready(Ok(true)).boxed()
    }

    /// Notes channels and patterns of which a node has a subscriber, or has none any more; returns of each whether it
    /// is the first node that has one, or was the last. One that is noted again is neither. To be called only if anybody
    /// is to hear of it; by itself it knows of none.
    ///
    /// # Errors
    /// It is not connected, and some may be noted; or the node is dead.
    fn occupy(
        &self,
        _me: NodeId,
        changes: Vec<(ChannelPattern, bool)>,
    ) -> BoxFuture<'_, Result<Vec<bool>, Failed>> {
        ready(Ok(vec![false; changes.len()])).boxed()
    }

    /// Notes how many sessions of some users and addresses, by name, a node has; returns of each how many all nodes
    /// have. To be called only if that is limited; by itself it knows of no other.
    ///
    /// # Errors
    /// It is not connected, and some may be noted; or the node is dead.
    fn share(
        &self,
        _me: NodeId,
        counts: Vec<(String, usize)>,
    ) -> BoxFuture<'_, Result<Vec<usize>, Failed>> {
        let counts = counts.into_iter().map(|(_, count)| count);
        ready(Ok(counts.collect())).boxed()
    }

    /// Forgets how many a dead node had.
    ///
    /// # Errors
    /// It is not connected; some may be forgotten.
    fn unshare(&self, _dead: NodeId) -> BoxFuture<'_, Result<(), Failed>> {
        ready(Ok(())).boxed()
    }

    /// Forgets some of the channels and patterns of which a dead node had subscribers, and returns those of them of
    /// which no other has; nothing if there are none left.
    ///
    /// # Errors
    /// It is not connected.
    fn vacate(&self, _dead: NodeId) -> BoxFuture<'_, Result<Option<Vec<ChannelPattern>>, Failed>> {
        ready(Ok(None)).boxed()
    }
}
