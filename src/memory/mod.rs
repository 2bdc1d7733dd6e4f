//! One budget of memory for all that clients make grow; knows nothing of what that is.
//!
//! Each of these things has a bound of its own, but the bounds multiply: a few kilobytes of requests can become
//! hundreds of megabytes of queues. So what grows is counted where it grows, in one [`Budget`], and what happens
//! near its end depends on the [`Level`]: first the largest are ended, then nobody new is let in, then nothing
//! more is taken. What is served already goes on.
//!
//! **What is counted, and what the allocator says.** The marks are compared with the sum of two figures. What is
//! counted is exact at any moment, so a flood meets a mark within milliseconds; but it is an estimate, and knows
//! nothing of what was forgotten. The allocator knows every byte, but its statistics take microseconds to
//! gather, so they are read a few times a second ([`Budget::observe`]): what it had allocated then beyond what was
//! counted is added to what is counted now. Neither alone would do. Resident memory is no measure at all: freed
//! pages stay resident for seconds, and a server that had ended the largest would go on ending others.
//!
//! **What it costs.** Threads count in stripes of their own, each with what it has yet to add to the total, which
//! it does once that is [`QUANTUM`] bytes. So to count touches no memory that others write, and to ask for
//! the level reads one word that hardly ever changes. What is small and there for a moment only is not counted:
//! bytes that the kernel takes at once, a queue that its stream empties with each event.

mod allocator;
mod budget;
mod charge;
mod machine;
pub mod settings;
pub mod sizes;

pub use allocator::allocated;
pub use budget::{Budget, Kind, Level, QUANTUM};
pub use charge::{Charge, Large};
pub use settings::{Amount, Settings};
