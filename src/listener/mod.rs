//! The network: listeners, how many connections there are, and how the server stops.

mod address;
mod bind;
mod connection;
mod fast_path;
mod head_cache;
mod http1;
mod hyper_io;
mod mode;
mod proxies;
mod respond;
mod routes;
pub mod settings;
mod tcp;
mod unix;

use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::metrics::{Limit, Metrics, Notice};
use crate::transports::message_http::Bounds;
use crate::web::{Head, Persistence, Response, Socket};
pub use address::{BoundAddress, ListenAddress, NotAnAddress};
pub use bind::{BindError, ListeningSocket, listen};
pub use mode::NotAMode;
pub use proxies::{NotAProxy, Proxies};
use routes::Route;
pub use routes::Routes;
pub use settings::Settings;

/// File descriptors that are not for connections: listeners, the runtime's own, logs.
const RESERVED_DESCRIPTORS: u64 = 64;
/// As many as can be waited for at once.
const MAX_PERMITS: usize = u32::MAX as usize;
/// How long to wait before accepting again when the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections of a listener share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    max_message_size: u64,
    proxies: Proxies,
    routes: Routes,
    metrics: Arc<Metrics>,
    /// Turns true when the server stops, and does not change otherwise.
    stopping: watch::Receiver<bool>,
    /// Hashes heads, with keys that no client knows.
    hashes: RandomState,
}

impl Shared {
    /// Tells whether the server stops, or is gone, without a lock.
    fn is_stopping(&self) -> bool {
        !matches!(self.stopping.has_changed(), Ok(false))
    }

    /// Finds out who answers a request.
    fn route<'h>(&self, head: &'h Head) -> Route<'_, 'h> {
        let route = self.routes.find(head);
        if matches!(route, Route::Misdirected(_)) {
            self.metrics.refused_hosts.increment();
        }
        route
    }

    /// Returns the bounds of one request.
    fn bounds(&self) -> Bounds {
        let max_head = self.settings.max_header_size.as_u64();
        Bounds {
            max_head: usize::try_from(max_head).unwrap_or(usize::MAX),
            max_headers: self.settings.max_headers,
            max_body: self.max_message_size,
        }
    }
}

/// A listener that accepts connections for a routes.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    connections: Arc<Semaphore>,
    max_connections: usize,
}

impl Listener {
    /// Makes a listener for so many connections at once.
    #[must_use]
    pub fn new(
        settings: Settings,
        max_connections: usize,
        max_message_size: u64,
        proxies: Proxies,
        routes: Routes,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let shared = Shared {
            settings,
            max_message_size,
            proxies,
            routes,
            metrics,
            stopping,
            hashes: RandomState::new(),
        };
        Self {
            shared: Arc::new(shared),
            connections: Arc::new(Semaphore::new(max_connections)),
            max_connections,
        }
    }

    /// Returns how many connections there may be at once.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Accepts connections until the server stops; then the socket is closed.
    pub async fn accept(&self, socket: ListeningSocket) {
        let mut stopping = self.shared.stopping.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                accepted = socket.accept(&self.shared.settings) => accepted,
            };
            match accepted {
                Ok(socket) => self.open(socket),
                Err(error) => self.pause(&error).await,
            }
        }
    }

    /// Waits until every connection has ended.
    pub async fn closed(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        // An error would say that the semaphore is closed, which it never is.
        let _ = self.connections.acquire_many(all).await;
    }

    fn open(&self, mut socket: Socket) {
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.refuse(&socket);
            return;
        };
        if self.shared.proxies.trusts(socket.peer()) {
            socket.begin_proxied();
        }
        let socket = Box::new(socket);
        let open = Open::new(permit, Arc::clone(&self.shared.metrics));
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            connection::serve(socket, &shared).await;
            drop(open);
        });
    }

    fn refuse(&self, socket: &Socket) {
        self.shared.metrics.limited(Limit::MaxConnections);
        self.shared
            .metrics
            .responded(StatusCode::SERVICE_UNAVAILABLE.as_u16());
        if let Some(permit) = self.shared.metrics.may_log(Notice::Connection) {
            tracing::warn!(
                remote = %socket.peer(),
                max = self.max_connections,
                suppressed = permit.suppressed,
                "a connection was refused: there are http.max_connections"
            );
        }
        let response = Response::error(
            StatusCode::SERVICE_UNAVAILABLE,
            "the server has no room for another connection",
        )
        .header("Retry-After", b"5");
        // Whether the client reads it is its own affair: nothing waits for it.
        let _ = socket.write_some(&response.encode(Persistence::LAST));
    }

    /// Some errors are of one connection, and some last until something is freed.
    async fn pause(&self, error: &io::Error) {
        let is_of_one_connection = matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionRefused
        );
        if !is_of_one_connection {
            self.shared.metrics.limited(Limit::MaxConnections);
            if let Some(permit) = self.shared.metrics.may_log(Notice::Accept) {
                let suppressed = permit.suppressed;
                tracing::error!(%error, suppressed, "cannot accept connections");
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Counts a connection as long as it is open.
struct Open {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<Metrics>,
}

impl Open {
    fn new(permit: OwnedSemaphorePermit, metrics: Arc<Metrics>) -> Self {
        metrics.connections.increment();
        Self {
            _permit: permit,
            metrics,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.connections.decrement();
    }
}

/// Raises the limit of file descriptors as far as it goes, and returns how many connections there may
/// be at once: as the settings say, or as many as that limit then allows.
#[must_use]
pub fn max_connections(settings: &Settings) -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let limit = limit.saturating_sub(RESERVED_DESCRIPTORS).max(1);
    let possible = usize::try_from(limit).unwrap_or(usize::MAX);
    let wanted = settings.max_connections.unwrap_or(possible);
    if wanted > possible {
        tracing::warn!(
            wanted,
            possible,
            "http.max_connections is above the limit of file descriptors (ulimit -n)"
        );
    }
    wanted.min(MAX_PERMITS)
}
