//! Messages as they come from the backplane: to the sessions of this node, in the order of their numbers.

/// What happens between two messages.
#[derive(Debug, Default)]
pub(in crate::server) struct Stream {}
