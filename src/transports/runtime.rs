//! What transports ask of the runtime: the time, and room for the tasks of others.

use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Does work while the other tasks of this thread go on elsewhere.
pub fn aside(work: &mut dyn FnMut()) {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => block_in_place(work),
        _ => work(),
    }
}

/// Returns the time by the runtime's clock, which tests may hold.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
