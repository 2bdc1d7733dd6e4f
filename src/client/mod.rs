//! A Bayeux client, for the commands that speak to a server; uses no server code but the frames of
//! WebSocket.

mod approach;
mod caller;
mod chance;
mod course;
mod credentials;
pub(crate) mod fault;
pub(crate) mod incoming;
pub(crate) mod messages;
mod position;
mod publisher;
mod receiver;
mod session;
pub(crate) mod transport;
pub(crate) mod url;

pub(crate) use self::approach::Approach;
pub(crate) use self::caller::{Answer, Caller};
pub(crate) use self::chance::chance;
pub(crate) use self::course::backoff;
pub(crate) use self::credentials::{Credentials, Secret};
pub use self::fault::Fault;
pub(crate) use self::position::{Recoveries, Since};
pub(crate) use self::publisher::{Message, Outcome, Publisher};
pub(crate) use self::receiver::{News, Receiver};
pub(crate) use self::session::{Identity, KEEP, Server, Session};
pub(crate) use self::url::Url;
