//! Where the numbers of messages stand in the cluster, also of those that this node does not hear.

use super::super::core::Core;
use crate::bayeux::{ChannelPattern, Limits};
use crate::history::{Failed, Want};

/// Returns the largest number that was given to a message of any channel; 0 without history, which alone knows.
///
/// # Errors
/// It cannot be read now.
pub(super) async fn head(core: &Core) -> Result<u64, Failed> {
    let Some(store) = core.history.store() else {
        return Ok(0);
    };
    let none = ChannelPattern::parse("/head", &Limits::of_known_channels());
    let Ok(pattern) = none else {
        return Ok(0);
    };
    // Nothing is to be counted.
    let after = u64::MAX;
    Ok(store
        .survey(Want { pattern, after }, usize::MAX)
        .await?
        .head)
}
