//! What is refused while memory is short: first new sessions, then all that would grow.

use std::time::Duration;

use super::Scope;
use crate::bayeux::BayeuxError;
use crate::extensions::Refusal;
use crate::memory::Level;
use crate::metrics::{Counter, Limit, Notice};

/// After which time a client may find room: by then the largest have been ended.
const RETRY_SESSION: Duration = Duration::from_secs(10);
/// The same for something else, which waits for no more than that.
const RETRY: Duration = Duration::from_secs(1);

impl Scope<'_> {
    /// Tells whether there is memory for one more session.
    ///
    /// # Errors
    /// Memory is short.
    pub(super) fn has_memory_for_session(&self) -> Result<(), Refusal> {
        if self.metrics().memory.level() < Level::Short {
            return Ok(());
        }
        let refused = &self.metrics().memory_refused_handshakes;
        Err(self.no_memory("a handshake", refused, RETRY_SESSION))
    }

    /// Tells whether there is memory for what a message asks to be kept.
    ///
    /// # Errors
    /// There is none left.
    pub(super) fn has_memory(&self) -> Result<(), Refusal> {
        if self.metrics().memory.level() < Level::Full {
            return Ok(());
        }
        let refused = &self.metrics().memory_refused;
        Err(self.no_memory("what would grow", refused, RETRY))
    }

    #[cold]
    fn no_memory(&self, what: &str, refused: &Counter, retry: Duration) -> Refusal {
        refused.increment();
        self.metrics().limited(Limit::Memory);
        if let Some(permit) = self.metrics().may_log(Notice::Memory) {
            tracing::warn!(
                suppressed = permit.suppressed,
                "{what} was refused: memory is short (memory.budget)"
            );
        }
        Refusal::Later(BayeuxError::MemoryShort.text().into(), retry)
    }
}
