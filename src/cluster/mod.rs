//! More than one machine: what nodes have in common through Redis, and how they reach each other.
//!
//! A [`Backplane`] orders and spreads what is published, a [`Registry`] knows which node owns which session and
//! which nodes live, and [`Peers`] carries what one node asks of another. The interest of this node
//! ([`Interest`]) says which messages come here at all.

mod backplane;
mod interest;
mod lease;
mod links;
mod node;
mod peers;
pub(crate) mod redis;
mod registry;
pub mod settings;
pub mod wire;

pub use backplane::{Backplane, Feed, Head, Incoming, NotPublished, Once, Outgoing};
pub use interest::{Change, Held, Interest, Touched};
pub use lease::Lease;
pub use links::{Links, Way};
pub use node::{NodeId, NodeInfo, NodeState};
pub use peers::{CallFailed, CallKind, Calls, Peers};
pub use redis::{ConnectError, Redis, Survey, survey};
pub use registry::{Beat, Claim, Orphan, Owner, Registry, Written};
pub use settings::{Settings, WhenAway};
