//! A Bayeux client, for the commands that speak to a server; uses no server code but the frames of
//! WebSocket.

pub(crate) mod fault;
pub(crate) mod messages;
mod session;
pub(crate) mod transport;
pub(crate) mod url;

pub use self::fault::Fault;
pub(crate) use self::session::{Identity, Server, Session};
pub(crate) use self::url::Url;
