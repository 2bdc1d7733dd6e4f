//! Who watches a request on its socket: what is answered, how much is sent, and when it is over.

use std::fmt::Debug;

use crate::peer::Peer;

/// Watches one request. It is let go of when the request is over, however that came about.
pub trait Witness: Debug + Send + Sync {
    /// Hears that a response begins, with its status.
    fn responds(&self, status: u16);

    /// Hears that bytes were sent.
    fn sends(&self, bytes: usize);
}

/// What few sockets have, at the cost of one pointer for the others.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The proxy that has connected, if it names the client of each request.
    pub(super) proxy: Option<Peer>,
    /// Who watches the request that is being served.
    pub(super) witness: Option<Box<dyn Witness>>,
}
