//! A response that its client has yet to read: the session does not expire meanwhile.

use std::sync::Arc;
use std::time::Instant;

use super::Session;

/// Keeps a session as long as a response is being written; dropped, its time to expiry starts.
#[derive(Debug)]
pub struct BeingWritten {
    session: Arc<Session>,
    to_connect: bool,
}

impl BeingWritten {
    /// Notes that the kernel did not take a response at once; whether it answers a connect, with events.
    /// What does not keeps the session no longer than the client's messages would.
    #[must_use]
    pub fn of(session: &Arc<Session>, to_connect: bool) -> Self {
        session.begin_writing(to_connect);
        Self {
            session: Arc::clone(session),
            to_connect,
        }
    }
}

impl Drop for BeingWritten {
    fn drop(&mut self) {
        self.session.end_writing(self.to_connect, Instant::now());
    }
}
