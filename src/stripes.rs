//! How threads count without touching what others have counted: each in a stripe of its own.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How many stripes there are; more threads share them.
pub const STRIPES: usize = 8;

/// The stripe of this thread: threads take turns.
#[must_use]
pub fn own_stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Relaxed) % STRIPES;
    }
    OWN.with(|own| *own)
}
