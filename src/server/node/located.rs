//! Where a session is.

use crate::cluster::NodeId;

/// Where a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// Here: it was all the time, or has come.
    Here,
    /// At a node that lives.
    At(NodeId),
    /// Nowhere.
    Gone,
    /// That cannot be found out now.
    Unknown,
}
