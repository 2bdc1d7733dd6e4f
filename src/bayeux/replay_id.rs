//! Where the number of a message that is kept stands in its event.

use serde::{Deserialize, Serialize};

/// Where subscribers find the number of a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayId {
    /// In `ext.replay`.
    #[default]
    Ext,
    /// In `data.event.replayId`, where clients of Salesforce look for it.
    Data,
    /// Nowhere.
    None,
}
