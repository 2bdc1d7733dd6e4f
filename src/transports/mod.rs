//! Bayeux over HTTP: what a request's head means (`gate/`), what may become of a request (`answer/`), and
//! each transport.

pub mod admitted;
pub mod answer;
mod arrays;
pub mod denial;
mod endpoint;
mod error;
pub mod gate;
mod legacy;
pub mod message_http;
pub mod passing;
pub mod polling;
mod runtime;
pub mod settings;
pub mod streaming;
pub mod websocket;

use crate::web::form::FormLimits;

pub use endpoint::Endpoint;
pub use error::Error;
pub use runtime::{aside, now};
pub use settings::{Shows, Transport, connection_types};

/// A form or a query may have as many fields as messages may be in a batch, and no client sends more than
/// a few others beside them.
pub const FORM_LIMITS: FormLimits = FormLimits { max_fields: 1000 };
