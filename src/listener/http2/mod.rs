//! A connection by HTTP/2 (RFC 9113): `h2` reads and writes its frames, and each of its requests is a task of its own,
//! with a socket that is one stream.
//!
//! A stream counts like a connection, but for the first that is open of each: what one client may hold open is the same
//! by HTTP/1.1 and by HTTP/2.

mod pings;
mod request;
mod room;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection};
use h2::{Error, Reason};
use tokio::time::{Instant, sleep, timeout};

use self::pings::Pings;
use self::room::Room;
use super::tls::Kept;
use super::{Open, Shared, newest};
use crate::memory::Kind;
use crate::metrics::Limit;
use crate::peer::Peer;
use crate::web::http2::{Counting, Receipts};
use crate::web::{Io, Socket};

/// What a client begins with that speaks HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// What a connection takes beside what every one does: the buffers of `h2`, and the tables of both sides.
const BUFFERS: usize = 40 * 1024;
/// How many bytes of a stream, and of all of a connection, a client may send that are not read yet.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// How much of a response `h2` holds at most.
const MAX_UNSENT: usize = 16 * 1024;
/// How many requests a client may have reset before they were looked at, and how many streams are remembered that the
/// server has reset. Above the first the connection ends.
const MAX_RESET: usize = 50;
/// How often a client may do with a stream what it may not; above that the connection ends.
const MAX_FAULTS: usize = 200;
/// How long a connection is kept without a request when the server stops, and after it was told that it will be closed.
const REST: Duration = Duration::from_secs(1);

/// A connection as `h2` has it.
type Http2 = Connection<Counting<Io>, Bytes>;

/// What the streams of a connection have in common.
struct Streams {
    open: Open,
    _kept: Option<Kept>,
    peer: Peer,
    is_proxied: bool,
    is_secure: bool,
    receipts: Arc<Receipts>,
    room: Room,
}

impl Streams {
    fn shared(&self) -> &Shared {
        &self.open.shared
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.shared().metrics.memory.sub(Kind::Connections, BUFFERS);
    }
}

/// Waits for what a connection without TLS begins with; true if that is HTTP/2.
pub(super) async fn is_begun(socket: &mut Socket, shared: &Shared) -> bool {
    let mut stopping = shared.stopping.clone();
    let begun = poll_fn(|context| {
        loop {
            let arrived = socket.arrived_bytes();
            if arrived.starts_with(PREFACE) {
                return Poll::Ready(true);
            }
            if !PREFACE.starts_with(arrived) || !ready!(socket.poll_fill(context)) {
                return Poll::Ready(false);
            }
        }
    });
    let stopped = async {
        // An error says that the server is gone.
        let _ = stopping.wait_for(|stopping| *stopping).await;
        sleep(REST).await;
    };
    tokio::select! {
        begun = begun => begun,
        // Whoever comes late is served as everyone else.
        () = sleep(shared.settings.header_timeout) => false,
        () = stopped => false,
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(socket: Socket, open: Open, kept: Option<Kept>) {
    let receipts = Arc::<Receipts>::default();
    open.shared.metrics.memory.add(Kind::Connections, BUFFERS);
    let streams = Arc::new(Streams {
        room: Room::new(open.counted.is_some()),
        open,
        _kept: kept,
        peer: socket.peer(),
        is_proxied: socket.is_proxied(),
        is_secure: socket.is_secure(),
        receipts: Arc::clone(&receipts),
    });
    let shared = streams.shared();
    let (io, ahead) = socket.into_parts();
    let io = Counting::new(io, ahead, receipts);
    let handshake = builder(shared).handshake(io);
    match timeout(shared.settings.header_timeout, handshake).await {
        Ok(Ok(http2)) => run(http2, &streams).await,
        Ok(Err(error)) => note(&error, &streams),
        Err(_) => shared.metrics.limited(Limit::HeaderTimeout),
    }
}

fn builder(shared: &Shared) -> Builder {
    let settings = &shared.settings;
    let max_head = settings.max_header_size.as_u64();
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(settings.http2_max_streams)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MAX_UNSENT)
        .max_concurrent_reset_streams(MAX_RESET)
        .max_pending_accept_reset_streams(MAX_RESET)
        .max_local_error_reset_streams(Some(MAX_FAULTS))
        .enable_connect_protocol();
    builder
}

/// Takes requests until the connection ends: its client closes it, does what it may not, does not answer, or has none for
/// long; or the server stops.
async fn run(mut http2: Http2, streams: &Arc<Streams>) {
    let mut shared = Arc::clone(&streams.open.shared);
    let mut stopping = shared.stopping.clone();
    let mut time = shared.settings.keep_alive_timeout;
    let mut since = Instant::now();
    let mut until = pin!(sleep(time));
    let mut is_leaving = false;
    let mut pings = Pings::new(http2.ping_pong());
    let mut due = pin!(sleep(Pings::first(&shared.settings)));
    loop {
        tokio::select! {
            accepted = http2.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    since = Instant::now();
                    newest(&mut shared);
                    request::begin(request, respond, streams, Arc::clone(&shared));
                }
                Some(Err(error)) => {
                    note(&error, streams);
                    break;
                }
                None => break,
            },
            _ = stopping.wait_for(|stopping| *stopping), if !is_leaving => {
                http2.graceful_shutdown();
                (is_leaving, since, time) = (true, Instant::now(), REST);
                until.as_mut().reset(since + time);
            }
            () = &mut until => {
                if http2.has_streams() {
                    since = Instant::now();
                } else if since + time <= Instant::now() {
                    if is_leaving {
                        break;
                    }
                    http2.graceful_shutdown();
                    (is_leaving, since, time) = (true, Instant::now(), REST);
                }
                until.as_mut().reset(since + time);
            }
            () = &mut due => {
                newest(&mut shared);
                let was_heard = streams.receipts.take_heard();
                let Some(wait) = pings.look(was_heard, http2.has_streams(), &shared.settings) else {
                    shared.metrics.limited(Limit::Http2PingTimeout);
                    tracing::debug!(remote = %streams.peer, "a client by HTTP/2 does not answer");
                    break;
                };
                due.as_mut().reset(Instant::now() + wait);
            }
        }
        for _ in 0..streams.receipts.take_refused() {
            shared.metrics.limited(Limit::Http2MaxStreams);
        }
    }
}

/// Takes notice of why a connection has ended.
fn note(error: &Error, streams: &Streams) {
    let is_flood = error.is_library() && error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
    if is_flood {
        streams.shared().metrics.limited(Limit::Http2Flood);
    }
    tracing::debug!(remote = %streams.peer, %error, "a connection by HTTP/2 has ended");
}
