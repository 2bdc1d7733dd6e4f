//! What an operator has set that operations ask for, as it is while one batch is done.

use std::sync::Arc;

use crate::access::Access;
use crate::bayeux::Limits;
use crate::rates::Rates;

/// On which terms clients are served.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The bounds of names and batches.
    pub limits: Arc<Limits>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// How fast clients may be.
    pub rates: Arc<Rates>,
}
