//! What the kernel knows of this process: its processor time and its memory.

use std::fs;
use std::time::Duration;

/// Returns the processor time of the thread that asks.
pub(crate) fn processor_of_thread() -> Duration {
    // The kernel brings the figure up to date when a thread leaves the processor.
    std::thread::yield_now();
    processor("/proc/thread-self/schedstat")
}

/// Reads the processor time of a thread: the first figure, in nanoseconds.
fn processor(path: &str) -> Duration {
    let text = fs::read_to_string(path).expect("Linux has a /proc");
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(first.expect("the first is a number"))
}
