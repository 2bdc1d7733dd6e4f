//! Nodes: which there are, and where others reach them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A node from its start to its end: after a restart it is another. Client ids tell which node made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub u32);

/// Eight hexadecimal digits.
impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u32::from_str_radix(text, 16).map(Self)
    }
}

/// What a node tells the others of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeInfo {
    /// Which node it is.
    pub id: NodeId,
    /// Where others reach it: `10.0.0.1:7070`.
    pub address: String,
    /// Whether it takes sessions.
    pub state: NodeState,
    /// The version of its program.
    pub version: String,
}

/// Whether a node takes sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It does.
    Ready,
    /// It stops, and hands its sessions to others.
    Leaving,
}
