//! The network: listeners, how many connections there are, and how the server stops.

mod address;
mod bind;
mod connection;
mod descriptors;
mod fast_path;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod head_cache;
mod http1;
mod http2;
mod hyper_io;
mod mode;
mod passed;
mod per_address;
mod proxies;
mod proxy_protocol;
mod refusal;
mod respond;
mod routes;
pub mod settings;
mod stops;
mod tcp;
pub mod tls;
mod unix;

use std::hash::RandomState;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::access_log::AccessLog;
use crate::live::{Current, Live};
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
pub use passed::Passed;
use per_address::{Counted, PerAddress};
pub use proxies::{NotAProxy, Proxies};
use proxy_protocol::Fault;
use refusal::Full;
use routes::Route;
pub use routes::Routes;
pub use settings::{BACKLOG, Settings};
pub use stops::Stops;
use tls::{Acceptor, Kept, shake_hands};

/// How long to wait before accepting again when the system is out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What a connection takes: its task, its entry in the runtime, and what it waits for, such as a held connect.
const CONNECTION: usize = 1280;

/// What an operator may change of a listener while it listens.
#[derive(Debug)]
pub struct Terms {
    /// The settings of HTTP.
    pub settings: Settings,
    /// The size of a request's body.
    pub max_message_size: u64,
    /// The proxies that are trusted to say whose connections theirs are.
    pub proxies: Proxies,
    /// Who answers requests.
    pub routes: Routes,
    /// What notes them.
    pub access_log: Option<Arc<AccessLog>>,
}

/// What the connections of a listener share that are told together that the server stops.
#[derive(Debug, Clone)]
struct Shared {
    settings: Arc<Settings>,
    max_message_size: u64,
    proxies: Arc<Proxies>,
    per_address: Arc<PerAddress>,
    routes: Arc<Routes>,
    access_log: Option<Arc<AccessLog>>,
    metrics: Arc<Metrics>,
    /// Turns true when the server stops, and does not change otherwise.
    stopping: watch::Receiver<bool>,
    /// How many connections there may be at once, and room for further ones.
    max_connections: usize,
    room: Arc<Semaphore>,
    /// Hashes heads, with keys that no client knows.
    hashes: RandomState,
    /// What has taken its place, once there are other terms.
    successor: OnceLock<Arc<Self>>,
}

/// Returns what connections share now, of what one of them has shared so far: a connection looks at it with each request.
fn newest(shared: &mut Arc<Shared>) -> &Shared {
    while let Some(successor) = shared.successor.get() {
        *shared = Arc::clone(successor);
    }
    shared
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

    /// Has a request noted, once it is over, if requests are: one whose head cannot be read, or has found a route.
    fn watch(&self, socket: &mut Socket, asked: Option<(&Head, &Route<'_, '_>)>) {
        if let Some(log) = &self.access_log {
            let purpose = asked.map_or("refused", |(_, route)| route.label());
            let head = asked.map(|(head, _)| head);
            socket.watch(log.watch(head, socket.peer(), purpose));
        }
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
    /// One for each slice of its connections.
    slices: Box<[Live<Shared>]>,
    /// How many connections there have been.
    accepted: AtomicUsize,
    /// Turns true when nothing is to be accepted any more.
    stopping: watch::Receiver<bool>,
    /// Turns true when the end begins, and with it nothing more is to be accepted if another server may.
    begun: watch::Receiver<bool>,
    /// How often there were other terms.
    renewed: watch::Sender<u64>,
    connections: Arc<Semaphore>,
    max_connections: usize,
}

impl Listener {
    /// Makes a listener for so many connections at once.
    #[must_use]
    pub fn new(
        terms: Terms,
        max_connections: usize,
        metrics: &Arc<Metrics>,
        stops: &Stops,
    ) -> Self {
        let max_of_one = terms.settings.max_connections_per_address;
        let stopping = stops.of_all();
        let connections = Arc::new(Semaphore::new(max_connections));
        let first = Shared {
            settings: Arc::new(terms.settings),
            max_message_size: terms.max_message_size,
            proxies: Arc::new(terms.proxies),
            per_address: PerAddress::new(max_of_one.unwrap_or(most_of(max_connections))),
            routes: Arc::new(terms.routes),
            access_log: terms.access_log,
            metrics: Arc::clone(metrics),
            stopping: stopping.clone(),
            max_connections,
            room: Arc::clone(&connections),
            hashes: RandomState::new(),
            successor: OnceLock::new(),
        };
        let of_slice = |stopping| {
            let shared = Shared {
                stopping,
                ..first.clone()
            };
            Live::from(shared)
        };
        Self {
            slices: stops.of_slices().map(of_slice).collect(),
            accepted: AtomicUsize::new(0),
            stopping,
            begun: stops.of_begun(),
            renewed: watch::Sender::new(0),
            connections,
            max_connections,
        }
    }

    /// Takes up other terms, for the next request of each connection.
    pub fn renew(&self, terms: Terms) {
        let max_of_one = terms.settings.max_connections_per_address;
        let max_of_one = max_of_one.unwrap_or(most_of(self.max_connections));
        self.shared().per_address.set_max(max_of_one);
        let settings = Arc::new(terms.settings);
        let (proxies, routes) = (Arc::new(terms.proxies), Arc::new(terms.routes));
        for slice in &self.slices {
            let before = slice.shared();
            let shared = Arc::new(Shared {
                settings: Arc::clone(&settings),
                max_message_size: terms.max_message_size,
                proxies: Arc::clone(&proxies),
                routes: Arc::clone(&routes),
                successor: OnceLock::new(),
                ..Shared::clone(&before)
            });
            slice.set(Arc::clone(&shared));
            // Whoever renews it does so alone.
            let _ = before.successor.set(shared);
        }
        self.renewed.send_modify(|times| *times += 1);
    }

    /// Returns what connections share, of whatever slice.
    fn shared(&self) -> Current<Shared> {
        self.slices[0].get()
    }

    /// Returns how many connections there may be at once.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Accepts connections until the server stops, those that wait then too: their clients take them for accepted.
    /// Then the socket is closed. If another server may accept in its place (`http.reuse_port`) it stops as soon as the
    /// server begins to.
    pub async fn accept(&self, socket: ListeningSocket) {
        let (mut stopping, mut renewed) = (self.stopping.clone(), self.renewed.subscribe());
        let (mut begun, hands_over) = (self.begun.clone(), self.shared().settings.reuse_port);
        let mut spare = Spare::new();
        loop {
            let settings = Arc::clone(&self.shared().settings);
            let accepted = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return self.accept_last(&socket),
                _ = begun.wait_for(|begun| *begun), if hands_over => return self.accept_last(&socket),
                Ok(()) = renewed.changed() => {
                    socket.renew(&self.shared().settings);
                    continue;
                }
                accepted = socket.accept(&settings) => accepted,
            };
            match accepted {
                Ok(accepted) => self.open(accepted, socket.acceptor()),
                Err(error) if are_lacking(&error) => self.go_without(&socket, &mut spare).await,
                Err(error) => self.pause(&error).await,
            }
        }
    }

    fn accept_last(&self, socket: &ListeningSocket) {
        let settings = Arc::clone(&self.shared().settings);
        loop {
            match socket.accept_waiting(&settings) {
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
        let slice = self.accepted.fetch_add(1, Relaxed) % self.slices.len();
        let shared = self.slices[slice].shared();
        let is_tls = acceptor.is_some();
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            return Full::Connections(self.max_connections).refuse(&socket, is_tls, &shared);
        };
        let counted = match shared.receive(&mut socket) {
            Ok(counted) => counted,
            Err(full) => return full.refuse(&socket, is_tls, &shared),
        };
        let mut open = Open::new(permit, counted, shared);
        let mut socket = Box::new(socket);
        // A connection without TLS keeps nothing that is for one with it.
        let Some(acceptor) = acceptor.cloned() else {
            tokio::spawn(async move {
                let is_named = !socket.is_proxied() || !open.shared.proxies.speak_first();
                if is_named || Box::pin(open.hear_proxy(&mut socket, false)).await {
                    let may_be_http2 = open.shared.settings.http2_prior_knowledge;
                    if may_be_http2 && Box::pin(http2::is_begun(&mut socket, &open.shared)).await {
                        tokio::spawn(http2::serve(*socket, open, None));
                        return;
                    }
                    connection::serve(socket, &mut open.shared).await;
                }
                drop(open);
            });
            return;
        };
        tokio::spawn(async move {
            if let Some(kept) = Box::pin(open.begin_tls(&mut socket, acceptor)).await {
                // A task of its own is as large as it has to be.
                if socket.is_http2() {
                    tokio::spawn(http2::serve(*socket, open, Some(kept)));
                    return;
                }
                connection::serve(socket, &mut open.shared).await;
                drop(kept);
            }
            drop(open);
        });
    }

    /// Goes on when there is no file descriptor for another connection: refuses it, or waits for one.
    async fn go_without(&self, listening: &ListeningSocket, spare: &mut Spare) {
        let shared = self.slices[0].shared();
        let is_tls = listening.acceptor().is_some();
        let refuse = |socket: &Socket| Full::Descriptors.refuse(socket, is_tls, &shared);
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
            let metrics = Arc::clone(&self.shared().metrics);
            metrics.limited(Limit::MaxConnections);
            if let Some(permit) = metrics.may_log(Notice::Accept) {
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
        let shared = Arc::clone(&self.shared);
        let is_named = !socket.is_proxied() || !shared.proxies.speak_first();
        let is_served = (is_named || self.hear_proxy(socket, true).await)
            && shake_hands(socket, &acceptor, &shared).await;
        is_served.then(|| Kept::new(&shared.metrics))
    }

    /// Hears from a proxy whose connection it is; false if it is not to be served.
    async fn hear_proxy(&mut self, socket: &mut Socket, is_tls: bool) -> bool {
        let shared = Arc::clone(&self.shared);
        let proxy = socket.peer();
        let client = match proxy_protocol::read(socket, &shared).await {
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
                    full.refuse(socket, is_tls, &shared);
                    return false;
                }
            }
        }
        true
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let metrics = &self.shared.metrics;
        metrics.connections.decrement();
        metrics.memory.sub(Kind::Connections, CONNECTION);
    }
}

/// Nine tenths, and one at least.
fn most_of(connections: usize) -> usize {
    connections - connections / 10
}
