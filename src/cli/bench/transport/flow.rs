//! How much is read at once from a connection that messages flow on.

/// Room for a few small messages; the buffer grows only for those who get more.
pub(super) const BUFFER: usize = 1024;
/// What is read at once while messages come faster than they are read.
const FLOOD: usize = 32 * 1024;

/// Whether the last read left something behind.
#[derive(Debug, Default)]
pub(super) struct Flow {
    is_flood: bool,
}

impl Flow {
    /// How much room the next read is to have.
    pub(super) fn room(&self) -> usize {
        if self.is_flood { FLOOD } else { BUFFER / 2 }
    }

    /// Notes how much was read, of how much there was room for.
    pub(super) fn note(&mut self, read: usize, room: usize) {
        self.is_flood = read == room;
    }
}
