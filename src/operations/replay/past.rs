//! What a request without a session does with what is kept: it reads a part of that, or has it forgotten.
//! Extensions see who reads as subscribing, and who has something forgotten as publishing there.

use crate::bayeux::{ChannelName, ChannelPattern};
use crate::extensions::Refusal;
use crate::operations::{Actor, Denied, Scope, implied};

/// What is asked for of the past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Of which channels.
    pub pattern: ChannelPattern,
    /// The messages after this number; nothing: all there are.
    pub after: Option<u64>,
    /// The name of the store's numbers, as far as it is known.
    pub epoch: Option<String>,
    /// How many messages at most, 1 or more.
    pub limit: usize,
}

/// Asks whether somebody may read what is kept.
///
/// # Errors
/// An extension refuses it, or access rules do not allow it.
pub fn may_read(
    pattern: &ChannelPattern,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<(), Denied> {
    let name = implied::pattern_name(pattern);
    scope.incoming(&mut implied::subscribe(&name, None), None, actor)?;
    scope.may_subscribe(std::slice::from_ref(pattern), None, actor)?;
    Ok(scope.has_memory()?)
}

/// Asks whether somebody may have what is kept of a channel forgotten.
///
/// # Errors
/// An extension refuses it, or no access rule allows it.
pub fn may_forget(
    channel: &ChannelName,
    actor: &Actor<'_>,
    scope: &Scope<'_>,
) -> Result<(), Refusal> {
    let name = implied::name(channel);
    scope.incoming(&mut implied::publish(&name, None), None, actor)?;
    scope.may_forget(channel, actor)
}
