//! What a session takes of the memory that all share, beside the events themselves.

use super::{Browser, Inner, Session};
use crate::memory::{Kind, sizes};

/// What there is of every session: itself, its entry among all, its browser with the entry of that, its timer,
/// and the places of the few events that a stream takes at once. Tables have room for half as many again.
const ALONE: usize =
    sizes::shared(size_of::<Session>()) + sizes::shared(size_of::<Browser>()) + 3 * ENTRY + 32;
/// An entry in a table or tree: an id, something beside it, and the room around.
const ENTRY: usize = 64;

impl Session {
    pub(super) fn count_itself(&self) {
        self.shared.metrics.memory.add(Kind::Sessions, ALONE);
    }

    /// Counts the places of its events as many as there are now, if that has changed.
    pub(super) fn count_places(&self, inner: &mut Inner) {
        let places = inner.state.places();
        let before = inner.places as usize;
        if places != before {
            // A session's own bounds are far below.
            inner.places = u32::try_from(places).unwrap_or(u32::MAX);
            let memory = &self.shared.metrics.memory;
            memory.resize(Kind::Queues, before, inner.places as usize);
        }
    }

    /// Returns how much would be free without it at most: others may have the same events.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.lock().state.weight()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let memory = &self.shared.metrics.memory;
        memory.sub(Kind::Sessions, ALONE);
        let inner = self.inner.get_mut();
        let inner = inner.unwrap_or_else(std::sync::PoisonError::into_inner);
        memory.sub(Kind::Queues, inner.places as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every waiting client has one: beyond the next size it would take 128 bytes more.
    #[test]
    fn a_session_keeps_within_its_size_class() {
        assert!(sizes::shared(size_of::<Session>()) <= 640);
    }
}
