//! WebSocket without Bayeux (RFC 6455): the upgrade, messages out of frames, frames of messages.
//!
//! A connection that waits holds none of this but a few words: what is read stays with the socket
//! until a frame is whole, and what is written is encoded before.

pub mod deflate;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod reader;
mod upgrade;

pub use frame::{FrameKind, close, encode, text};
pub use reader::{Failure, Incoming, Reader, Side};
pub use tungstenite::protocol::frame::coding::CloseCode;
pub use upgrade::{Accepted, UpgradeError, accept, is_upgrade};
