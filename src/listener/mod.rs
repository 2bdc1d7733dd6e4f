//! The network: listeners, how many connections there are, and how the server stops.

mod address;
mod bind;
mod connection;
mod descriptors;
mod fast_path;
mod head_cache;
mod http1;
mod hyper_io;
mod mode;
mod per_address;
mod proxies;
mod proxy_protocol;
mod refusal;
mod respond;
mod routes;
pub mod settings;
mod tcp;
pub mod tls;
mod unix;

use std::hash::RandomState;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::memory::{Budget, Kind};
use crate::metrics::{Limit, Metrics, Notice};
use crate::peer::Peer;
use crate::transports::answer::Surroundings;
use crate::transports::message_http::Bounds;
use crate::web::{Head, Socket};
pub use address::{BoundAddress, ListenAddress, NotAnAddress};
pub use bind::{BindError, ListeningSocket, listen};
use descriptors::{Lack, Spare, are_lacking};
pub use descriptors::{RESERVED_DESCRIPTORS, max_connections};
pub use mode::NotAMode;
use per_address::{Counted, PerAddress};
pub use proxies::{NotAProxy, Proxies};
use proxy_protocol::Fault;
use refusal::Full;
use routes::Route;
pub use routes::Routes;
pub use settings::{BACKLOG, Settings};
use tls::{Acceptor, Kept, shake_hands};

/// How long to wait before accepting again when the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection takes: its task, its entry in the runtime, and what it waits for, such as a held connect.
const CONNECTION: usize = 1280;

/// What all connections of a listener share.
#[derive(Debug)]
struct Shared {
    settings: Settings,
    max_message_size: u64,
    proxies: Proxies,
    per_address: Arc<PerAddress>,
    routes: Routes,
    metrics: Arc<Metrics>,
    /// Turns true when the server stops, and does not change otherwise.
    stopping: watch::Receiver<bool>,
    /// Hashes heads, with keys that no client knows.
    hashes: RandomState,
}

impl Surroundings for Shared {
    fn is_stopping(&self) -> bool {
        Self::is_stopping(self)
    }

    fn memory(&self) -> &Arc<Budget> {
        &self.metrics.memory
    }
}

impl Shared {
    /// Tells whether the server stops, or is gone, without a lock.
    fn is_stopping(&self) -> bool {
        !matches!(self.stopping.has_changed(), Ok(false))
    }

    /// Takes notice of who has connected: a proxy, or somebody whose connections are counted.
    ///
    /// # Errors
    /// There are as many of these as there may be.
    fn receive(&self, socket: &mut Socket) -> Result<Option<Box<Counted>>, Full> {
        if self.proxies.trusts(socket.peer()) {
            socket.begin_proxied();
            return Ok(None);
        }
        let Some(address) = socket.peer().ip() else {
            return Ok(None);
        };
        let full = Full::Address(self.per_address.max());
        let counted = self.per_address.count(address).ok_or(full)?;
        Ok(Some(Box::new(counted)))
    }

    /// Takes notice of a connection that is closed because its proxy does not say whose it is.
    fn close_unnamed(&self, fault: Fault, socket: &Socket) {
        if fault == Fault::Nothing {
            return;
        }
        self.metrics.refused_proxy_headers.increment();
        if let Some(limit) = fault.limit() {
            self.metrics.limited(limit);
        }
        if let Some(permit) = self.metrics.may_log(Notice::ProxyHeader) {
            tracing::warn!(
                remote = %socket.peer(),
                suppressed = permit.suppressed,
                "a connection of a proxy was closed: {fault}"
            );
        }
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
    /// Makes a listener for so many connections at once; those proxies are trusted to say whose theirs are.
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
        let max_of_one = settings.max_connections_per_address;
        let shared = Shared {
            settings,
            max_message_size,
            proxies,
            per_address: PerAddress::new(max_of_one.unwrap_or(most_of(max_connections))),
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

    /// Accepts connections until the server stops, those that wait then too: their clients take them for accepted.
    /// Then the socket is closed.
    pub async fn accept(&self, socket: ListeningSocket) {
        let mut stopping = self.shared.stopping.clone();
        let mut spare = Spare::new();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return self.accept_last(&socket),
                accepted = socket.accept(&self.shared.settings) => accepted,
            };
            match accepted {
                Ok(accepted) => self.open(accepted, socket.acceptor()),
                Err(error) if are_lacking(&error) => self.go_without(&socket, &mut spare).await,
                Err(error) => self.pause(&error).await,
            }
        }
    }

    fn accept_last(&self, socket: &ListeningSocket) {
        loop {
            match socket.accept_waiting(&self.shared.settings) {
                Ok(accepted) => self.open(accepted, socket.acceptor()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits until every connection has ended; to be called once none is accepted any more.
    pub async fn closed(&self) {
        let all = u32::try_from(self.max_connections).unwrap_or(u32::MAX);
        // An error would say that the semaphore is closed, which it never is.
        let _ = self.connections.acquire_many(all).await;
    }

    fn open(&self, mut socket: Socket, acceptor: Option<&Arc<Acceptor>>) {
        let shared = &self.shared;
        let is_tls = acceptor.is_some();
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            return Full::Connections(self.max_connections).refuse(&socket, is_tls, shared);
        };
        let counted = match shared.receive(&mut socket) {
            Ok(counted) => counted,
            Err(full) => return full.refuse(&socket, is_tls, shared),
        };
        let mut open = Open::new(permit, counted, Arc::clone(shared));
        let mut socket = Box::new(socket);
        // A connection without TLS keeps nothing that is for one with it.
        let Some(acceptor) = acceptor.cloned() else {
            tokio::spawn(async move {
                let is_named = !socket.is_proxied() || !open.shared.proxies.speak_first();
                if is_named || Box::pin(open.hear_proxy(&mut socket, false)).await {
                    connection::serve(socket, &open.shared).await;
                }
                drop(open);
            });
            return;
        };
        tokio::spawn(async move {
            if let Some(kept) = Box::pin(open.begin_tls(&mut socket, acceptor)).await {
                connection::serve(socket, &open.shared).await;
                drop(kept);
            }
            drop(open);
        });
    }

    /// Goes on when there is no file descriptor for another connection: refuses it, or waits for one.
    async fn go_without(&self, listening: &ListeningSocket, spare: &mut Spare) {
        let shared = &self.shared;
        let is_tls = listening.acceptor().is_some();
        let refuse = |socket: &Socket| Full::Descriptors.refuse(socket, is_tls, shared);
        let lack = spare.refuse_one(listening, &shared.settings, refuse);
        if lack == Lack::NothingWaits {
            return;
        }
        if let Some(permit) = shared.metrics.may_log(Notice::Accept) {
            tracing::error!(
                limit = descriptors::limit(),
                connections = shared.metrics.connections.value(),
                suppressed = permit.suppressed,
                "connections are refused, because no file descriptor is left: raise their limit (ulimit -n, \
                 LimitNOFILE= in systemd), or set http.max_connections below it"
            );
        }
        if lack == Lack::Lasting {
            shared.metrics.limited(Limit::FileDescriptors);
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }

    /// Some errors are of one connection, and some last until something is freed.
    async fn pause(&self, error: &io::Error) {
        if !is_of_one_connection(error) {
            self.shared.metrics.limited(Limit::MaxConnections);
            if let Some(permit) = self.shared.metrics.may_log(Notice::Accept) {
                let suppressed = permit.suppressed;
                tracing::error!(%error, suppressed, "cannot accept connections");
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Tells whether an error of accepting concerns the next connection only.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Counts a connection as long as it is open.
struct Open {
    _permit: OwnedSemaphorePermit,
    /// Among those of its address, if it counts for one.
    counted: Option<Box<Counted>>,
    shared: Arc<Shared>,
}

impl Open {
    fn new(
        permit: OwnedSemaphorePermit,
        counted: Option<Box<Counted>>,
        shared: Arc<Shared>,
    ) -> Self {
        shared.metrics.connections.increment();
        shared.metrics.memory.add(Kind::Connections, CONNECTION);
        Self {
            _permit: permit,
            counted,
            shared,
        }
    }

    /// Hears from a proxy whose connection it is, if one has connected, and has TLS begin; nothing if the
    /// connection is not to be served.
    async fn begin_tls(&mut self, socket: &mut Socket, acceptor: Arc<Acceptor>) -> Option<Kept> {
        let is_named = !socket.is_proxied() || !self.shared.proxies.speak_first();
        let is_served = (is_named || self.hear_proxy(socket, true).await)
            && shake_hands(socket, &acceptor, &self.shared).await;
        is_served.then(|| Kept::new(&self.shared))
    }

    /// Hears from a proxy whose connection it is; false if it is not to be served.
    async fn hear_proxy(&mut self, socket: &mut Socket, is_tls: bool) -> bool {
        let shared = &self.shared;
        let proxy = socket.peer();
        let client = match proxy_protocol::read(socket, shared).await {
            Ok(client) => client.map(Peer::from),
            Err(fault) => {
                shared.close_unnamed(fault, socket);
                return false;
            }
        };
        // Who is not named counts as the proxy, but may be anybody, and name nobody himself.
        socket.set_peer(client.unwrap_or(proxy));
        if client.is_some() {
            match shared.receive(socket) {
                Ok(counted) => self.counted = counted,
                Err(full) => {
                    full.refuse(socket, is_tls, shared);
                    return false;
                }
            }
        }
        true
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.metrics.connections.decrement();
        self.shared
            .metrics
            .memory
            .sub(Kind::Connections, CONNECTION);
    }
}

/// Nine tenths, and one at least.
fn most_of(connections: usize) -> usize {
    connections - connections / 10
}
