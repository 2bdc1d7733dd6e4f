//! Whether a WebSocket can be opened.

use super::directives::{Cause, Program, fix};
use crate::cli::doctor::finding::Finding;
use crate::cli::with_causes;
use crate::client::transport::ConnectionType;
use crate::client::{Fault, Server};

const WEBSOCKET: &str = "websocket";

/// Asks the server to go over to WebSocket.
pub(super) async fn check(server: &Server, proxy: Option<Program>) -> Finding {
    let opened = match server.dial().await {
        Ok(dialled) => {
            dialled
                .speak(ConnectionType::WebSocket, &server.url, server.timeout)
                .await
        }
        Err(fault) => Err(fault),
    };
    let why = match opened {
        Ok(_) => return Finding::ok(WEBSOCKET, "a WebSocket opens"),
        Err(Fault::Status { status, .. }) => format!("status {status} instead of 101"),
        Err(fault) => with_causes(&fault),
    };
    let seen = format!("no WebSocket opens, as if the proxy dropped Upgrade: {why}");
    Finding::wrong(WEBSOCKET, seen, fix(Cause::DropsUpgrade, proxy))
}

/// What is to be said of a server that does not offer it.
pub(super) fn off() -> Finding {
    Finding::ok(
        WEBSOCKET,
        "the server does not offer it (bayeux.transports)",
    )
}
