//! A response that its client has yet to read: the session does not expire meanwhile.

use std::sync::Arc;
use std::time::Instant;

use super::Session;

/// Keeps a session as long as a response is being written; dropped, its time to expiry starts.
#[derive(Debug)]
pub struct BeingWritten(Arc<Session>);

impl BeingWritten {
    /// Notes that the kernel did not take a response at once.
    #[must_use]
    pub fn of(session: &Arc<Session>) -> Self {
        session.begin_writing();
        Self(Arc::clone(session))
    }
}

impl Drop for BeingWritten {
    fn drop(&mut self) {
        self.0.end_writing(Instant::now());
    }
}
