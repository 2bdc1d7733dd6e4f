//! What the allocator says.

use tikv_jemalloc_ctl::{epoch, stats};

/// Returns how many bytes are allocated in the whole process; 0 if the program has another allocator than
/// jemalloc.
#[must_use]
pub fn allocated() -> u64 {
    // Its statistics stand still until the epoch advances.
    let read = epoch::advance().and_then(|_| stats::allocated::read());
    read.map_or(0, |bytes| bytes as u64)
}
