//! Events as they come, in a response that goes on: the stream of a connect in its dialects, and
//! `text/event-stream`.

mod connect;
mod event_id;
pub mod event_source;
mod forever_frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod heartbeat;
pub mod multipart;
mod response;
mod wrapping;
mod xhr_streaming;

pub use self::connect::{Coming, ConnectStream};
pub use self::event_source::write_lines;
pub use self::forever_frame::opening_page;
pub use self::heartbeat::Heartbeat;
pub use self::response::{StreamKind, open, whole};
pub use self::wrapping::Wrapping;
