//! Responses on their way out: in one write, if the client takes it, and what is left to do if not.

use std::io;
use std::task::{Context, Poll};

use http::{StatusCode, Version};

use super::Shared;
use crate::memory::{Charge, Kind, sizes};
use crate::transports::answer::{Carried, limit_of};
use crate::web::{Persistence, Response, Socket, Why};

/// Writes a response; returns what is left to do, if it was not taken at once or was the last.
pub(super) fn respond(
    socket: &Socket,
    response: Response,
    carried: Option<Carried>,
    mut persistence: Persistence,
    shared: &Shared,
) -> Option<Box<Rest>> {
    // A 408 ends its connection (RFC 9110 section 15.5.9), unless more was sent already.
    persistence.keeps_alive &=
        response.status() != StatusCode::REQUEST_TIMEOUT || socket.has_ahead();
    persistence.keeps_alive &= !shared.is_stopping();
    let threshold = shared.settings.gzip_threshold.as_u64();
    let response = response.compressed(persistence.accepts_gzip, threshold);
    write_at_once(socket, &response, carried, persistence, shared)
}

/// Writes a response without events; false if the client did not take it.
pub(super) async fn write(
    socket: &mut Socket,
    response: &Response,
    persistence: Persistence,
    shared: &Shared,
) -> bool {
    match write_at_once(socket, response, None, persistence, shared) {
        Some(rest) => rest.write(socket, shared).await,
        None => true,
    }
}

/// Writes a response with one call; returns what is left to do.
fn write_at_once(
    socket: &Socket,
    response: &Response,
    carried: Option<Carried>,
    persistence: Persistence,
    shared: &Shared,
) -> Option<Box<Rest>> {
    shared.metrics.responded(response.status().as_u16());
    socket.note_response(response.status().as_u16());
    if let Some(reason) = response.reason() {
        let status = response.status().as_u16();
        shared.metrics.refused(status, reason, Some(socket.peer()));
    }
    let bytes = match persistence.version {
        Version::HTTP_2 => {
            socket.respond(response, persistence.omits_body);
            let body = response.bytes();
            body[..if persistence.omits_body {
                0
            } else {
                body.len()
            }]
                .to_vec()
        }
        _ => response.encode(persistence),
    };
    let written = socket.write_some(&bytes);
    let keeps_alive = persistence.keeps_alive;
    let is_whole = matches!(&written, Ok(written) if *written == bytes.len());
    (!is_whole || !keeps_alive).then(|| {
        Box::new(Rest {
            bytes,
            written,
            carried: carried.filter(|_| !is_whole),
            keeps_alive,
        })
    })
}

/// What is left to do after a response that was not written whole, or was its connection's last.
pub(super) struct Rest {
    bytes: Vec<u8>,
    written: io::Result<usize>,
    carried: Option<Carried>,
    keeps_alive: bool,
}

impl Rest {
    /// Does it; true if the connection goes on.
    pub(super) async fn finish(self: Box<Self>, socket: &mut Socket, shared: &Shared) -> bool {
        let keeps_alive = self.keeps_alive;
        if !self.write(socket, shared).await {
            return false;
        }
        // A stopping server does not wait for its clients.
        if !keeps_alive && !shared.is_stopping() {
            socket.linger().await;
        }
        keeps_alive
    }

    /// Writes what is left; false if the client did not take it, whose events go back to their
    /// session.
    async fn write(self: Box<Self>, socket: &mut Socket, shared: &Shared) -> bool {
        let bytes = sizes::block(self.bytes.capacity());
        let charge = Charge::new(&shared.metrics.memory, Kind::Responses, bytes);
        let is_useless = |context: &mut Context<'_>| {
            if charge.poll_cut(context).is_ready() {
                return Poll::Ready(());
            }
            match &self.carried {
                Some(carried) => carried.poll_displaced(context),
                None => Poll::Pending,
            }
        };
        let result = match self.written {
            Ok(written) if written == self.bytes.len() => Ok(()),
            Ok(written) => {
                let _writing = self.carried.as_ref().and_then(Carried::writing);
                let patience = shared.settings.patience();
                let rest = socket.write_rest(&self.bytes, written, patience, is_useless);
                rest.await.map_err(|error| error.why)
            }
            Err(error) => Err(Why::Failed(error)),
        };
        let Err(why) = result else {
            return true;
        };
        if let Some(limit) = limit_of(&why) {
            shared.metrics.limited(limit);
        }
        tracing::trace!(?why, "a response was not taken");
        if let Some(carried) = self.carried {
            carried.restore();
        }
        false
    }
}
