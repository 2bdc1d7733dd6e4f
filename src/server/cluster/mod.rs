//! This server as a node of a cluster: what comes from the others, and whose sessions are whose.

mod adopting;
mod answering;
pub(super) mod asked;
pub(super) mod asking;
mod beating;
mod calls;
mod fetching;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handing_over;
mod head;
mod locating;
mod moving;
pub(super) mod occupying;
mod orphans;
pub(super) mod owning;
pub(super) mod publishing;
pub(super) mod questions;
pub(super) mod sharing;
pub(super) mod stream;
mod unreachable;

use super::core::Core;
use super::node::leaving;
pub use super::node::located::Located;
use super::node::recent::Recent;

/// The cluster, as a server knows it.
type Cluster = super::node::Cluster<Core>;

#[cfg(test)]
mod simulation;
