//! Requests of sessions that another node of the cluster has: passed on to it, and its answers passed back.
//!
//! The node that a client has sent a request to is its *edge*: it has decided that the request may come in, and
//! shares the answer with the page that may read it. The *owner* of the session processes the messages. This knows no
//! format of messages: `polling/` has the requests that are passed on.

mod edge;
mod owner;
mod request;
mod response;
mod unsettled;

pub use self::edge::{Found, Messages, PassedOn};
pub use self::owner::Owner;
pub use self::request::{PassedFormat, PassedRequest};
pub use self::response::{not_here, streams};

#[cfg(test)]
mod tests;
