//! Why a connection is refused as it is accepted, and what is said about that: to the client, in the log, and
//! in the figures. It is cheap, and nothing waits for it.

use http::StatusCode;

use super::Shared;
use crate::metrics::{Limit, Notice};
use crate::peer::Peer;
use crate::web::{Persistence, Response, Socket};

/// What there is no more room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Another connection: there are as many as this.
    Connections(usize),
    /// Another connection of the same address, which has as many as this.
    Address(usize),
    /// Another file descriptor; whoever finds that out logs it.
    Descriptors,
}

impl Full {
    fn limit(self) -> Limit {
        match self {
            Self::Connections(_) => Limit::MaxConnections,
            Self::Address(_) => Limit::MaxConnectionsPerAddress,
            Self::Descriptors => Limit::FileDescriptors,
        }
    }

    /// What the client is told.
    fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::Connections(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has no room for another connection",
            ),
            Self::Address(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "there are too many connections from this address (http.max_connections_per_address)",
            ),
            Self::Descriptors => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the server has no file descriptor for another connection",
            ),
        }
    }

    /// What the operator is told, and how many there are.
    fn line(self, shared: &Shared) -> Option<(Notice, usize, &'static str)> {
        match self {
            Self::Connections(max) if shared.settings.max_connections.is_none() => Some((
                Notice::Connection,
                max,
                "there are as many as file descriptors allow; raise their limit (ulimit -n, LimitNOFILE= in \
                 systemd)",
            )),
            Self::Connections(max) => {
                Some((Notice::Connection, max, "there are http.max_connections"))
            }
            Self::Address(max) => Some((
                Notice::ConnectionOfAddress,
                max,
                "its address has http.max_connections_per_address; if it is a proxy's, name it in \
                 http.trusted_proxies",
            )),
            Self::Descriptors => None,
        }
    }

    /// Refuses a connection. Who is to speak TLS is not told why: it would take a handshake.
    pub(super) fn refuse(self, socket: &Socket, is_tls: bool, shared: &Shared) {
        self.note(socket.peer(), shared);
        if is_tls {
            return;
        }
        let response = self.response();
        shared.metrics.responded(response.status().as_u16());
        // Whether the client reads it is its own affair: nothing waits for it.
        let _ = socket.write_some(&response.encode(Persistence::LAST));
    }

    /// Returns what a client hears.
    pub(super) fn response(self) -> Response {
        let (status, reason) = self.answer();
        Response::error(status, reason).header("Retry-After", b"5")
    }

    /// Counts and logs that a peer is refused.
    pub(super) fn note(self, peer: Peer, shared: &Shared) {
        shared.metrics.limited(self.limit());
        if let Some((notice, max, why)) = self.line(shared)
            && let Some(permit) = shared.metrics.may_log(notice)
        {
            tracing::warn!(
                remote = %peer,
                max,
                suppressed = permit.suppressed,
                "a connection was refused: {why}"
            );
        }
    }
}
