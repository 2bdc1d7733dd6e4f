//! How TLS begins on a connection: in time, for a client that speaks it, and as far as there is memory.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio_rustls::rustls;

use super::super::Shared;
use super::Acceptor;
use crate::memory::{Charge, Kind};
use crate::metrics::{Limit, Metrics, TlsHandshake};
use crate::web::{Persistence, Response, Socket};

/// What a handshake takes until it is done: messages both ways, and what keys are made of.
const HANDSHAKE: usize = 24 * 1024;
/// What a connection takes by TLS once that is done: keys, and the buffers that are kept.
const KEPT: usize = 6 * 1024;
/// What the first byte of each connection by TLS says: a handshake's message follows (RFC 8446 section 5.1).
const HANDSHAKE_FOLLOWS: u8 = 22;
/// How long a handshake may still take when the server stops.
const REST_AT_STOP: Duration = Duration::from_secs(1);

/// Has TLS begin on a connection; false if it is not to be served.
pub(in super::super) async fn shake_hands(
    socket: &mut Socket,
    acceptor: &Acceptor,
    shared: &Shared,
) -> bool {
    let outcome = within_bounds(socket, acceptor, shared).await;
    shared.metrics.tls.shaken(outcome);
    if outcome == TlsHandshake::Timeout {
        shared.metrics.limited(Limit::HandshakeTimeout);
    }
    matches!(outcome, TlsHandshake::Full | TlsHandshake::Resumed)
}

async fn within_bounds(socket: &mut Socket, acceptor: &Acceptor, shared: &Shared) -> TlsHandshake {
    let charge = Charge::new(&shared.metrics.memory, Kind::Requests, HANDSHAKE);
    if !charge.may_grow() {
        shared.metrics.limited(Limit::Memory);
        return TlsHandshake::Memory;
    }
    let mut stopping = shared.stopping.clone();
    let stopped = async {
        // An error says that the server is gone.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        tokio::time::sleep(REST_AT_STOP).await;
    };
    tokio::select! {
        outcome = attempt(socket, acceptor, shared) => outcome,
        () = tokio::time::sleep(acceptor.times.get().handshake) => TlsHandshake::Timeout,
        () = stopped => TlsHandshake::Closed,
        () = poll_fn(|context| charge.poll_cut(context)) => TlsHandshake::Memory,
    }
}

async fn attempt(socket: &mut Socket, acceptor: &Acceptor, shared: &Shared) -> TlsHandshake {
    // Who says nothing costs no more than another connection.
    while !socket.has_ahead() {
        if !poll_fn(|context| socket.poll_fill(context)).await {
            return TlsHandshake::Closed;
        }
    }
    let first = socket.arrived_bytes().first().copied();
    if first != Some(HANDSHAKE_FOLLOWS) {
        if first.is_some_and(|byte| byte.is_ascii_uppercase()) {
            refuse_plain(socket, shared).await;
        }
        return TlsHandshake::NotTls;
    }
    let secured = match acceptor.connection() {
        Ok(connection) => socket.secure(connection).await,
        Err(error) => Err(error),
    };
    match secured {
        Ok(true) => TlsHandshake::Resumed,
        Ok(false) => TlsHandshake::Full,
        Err(error) => {
            tracing::debug!(remote = %socket.peer(), %error, "a TLS handshake failed");
            fault(&error)
        }
    }
}

/// Tells who speaks HTTP without TLS what to do.
async fn refuse_plain(socket: &mut Socket, shared: &Shared) {
    let status = StatusCode::BAD_REQUEST;
    let response = Response::error(status, "here TLS is spoken: the URL begins with https://");
    shared.metrics.responded(status.as_u16());
    // Whether the client reads it is its own affair.
    let _ = socket.write_some(&response.encode(Persistence::LAST));
    socket.linger().await;
}

/// Tells why a handshake failed.
fn fault(error: &io::Error) -> TlsHandshake {
    let inner = error.get_ref();
    match inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        None => TlsHandshake::Closed,
        Some(rustls::Error::AlertReceived(_)) => TlsHandshake::Refused,
        Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
            TlsHandshake::Incompatible
        }
        Some(_) => TlsHandshake::Malformed,
    }
}

/// Counts what a connection takes by TLS, as long as it is open.
pub(in super::super) struct Kept(Arc<Metrics>);

impl Kept {
    pub(in super::super) fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.memory.add(Kind::Connections, KEPT);
        Self(Arc::clone(metrics))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.memory.sub(Kind::Connections, KEPT);
    }
}
