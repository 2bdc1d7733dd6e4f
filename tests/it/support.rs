//! What the tests stand on: a server of their own, raw HTTP, and a Bayeux client without cleverness.

mod balancer;
mod client;
mod cluster;
mod events;
mod http;
mod http2;
mod keeper;
mod link;
mod message_http;
pub(crate) mod program;
mod proxy;
mod random;
mod receiver;
mod redis;
mod relay;
mod signed;
mod stream;
mod streamed;
mod websocket;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use mirant::config::{Config, Sources};
use mirant::history::History;
use mirant::metrics::Metrics;
use mirant::run::{Additions, Bound, BoundAddress, ListenAddress, StartError};
use mirant::server::BayeuxServer;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) use balancer::Balancer;
pub(crate) use client::{Client, only};
pub(crate) use cluster::TestCluster;
pub(crate) use events::{Block, Events};
pub(crate) use http::{Http, Request, Response, bear, percent};
pub(crate) use http2::{Exchange, Http2};
pub(crate) use keeper::Keeper;
pub(crate) use link::Link;
pub(crate) use message_http::{Embedded, two_way};
pub(crate) use proxy::{Says, proxy_to, proxy_v1, proxy_v2};
pub(crate) use random::Random;
pub(crate) use receiver::{Receiver, Way};
pub(crate) use redis::{TestRedis, TestSentinel};
pub(crate) use relay::{Folder, relay_that_cuts, relay_tls, relay_to};
pub(crate) use signed::{Posted, ok};
pub(crate) use stream::{
    Stream, key_file, note_tls, shake_hands, speak_tls, tls_client, tls_settings,
};
pub(crate) use streamed::{Streamed, take_chunk};
pub(crate) use websocket::{WebSocket, upgrade};

/// How long anything that has to happen may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long something must not happen to count as not happening.
pub(crate) const SILENCE: Duration = Duration::from_millis(120);

/// A running server on a free port; it stops when this is dropped.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) api: Option<SocketAddr>,
    server: Arc<BayeuxServer>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl TestServer {
    /// Starts a server with settings as `--set` takes them.
    pub(crate) fn start(set: &[&str]) -> Self {
        Self::start_with(set, Additions::default())
    }

    /// Starts a server that a program has added to.
    pub(crate) fn start_with(set: &[&str], additions: Additions) -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into(), set, additions)
    }

    /// Starts a server that listens where it is told; if that is a Unix socket its address is that of a
    /// relay.
    pub(crate) fn start_at(listen: ListenAddress, set: &[&str]) -> Self {
        Self::start_on(listen, set, Additions::default())
    }

    /// Does so with a server that a program has added to.
    pub(crate) fn start_at_with(listen: ListenAddress, set: &[&str], additions: Additions) -> Self {
        Self::start_on(listen, set, additions)
    }

    /// Starts a server that keeps messages and sessions in a store.
    pub(crate) fn start_keeping(set: &[&str], history: History) -> Self {
        let listen = ([127, 0, 0, 1], 0).into();
        Self::started(listen, set, |config| {
            mirant::run::bind_keeping(config, false, Additions::default(), history)
        })
    }

    fn start_on(listen: ListenAddress, set: &[&str], additions: Additions) -> Self {
        Self::started(listen, set, |config| {
            mirant::run::bind_with(config, false, additions)
        })
    }

    fn started(
        listen: ListenAddress,
        set: &[&str],
        bind: impl FnOnce(Config) -> Result<Bound, StartError>,
    ) -> Self {
        let mut set: Vec<String> = set.iter().map(|&setting| setting.to_owned()).collect();
        let is_tcp = !matches!(listen, ListenAddress::Unix(_) | ListenAddress::Tls(_));
        let listen = if stream::speaks_tls() && is_tcp {
            set.extend(tls_settings());
            ListenAddress::Tls(Box::new(listen))
        } else {
            listen
        };
        let sources = Sources {
            set,
            listen: vec![listen],
            ..Sources::default()
        };
        let config = Config::load(&sources, []).unwrap().config;
        let bound = bind(config).unwrap();
        let addresses = [
            bound.addresses(),
            bound.admin_addresses(),
            bound.api_addresses(),
        ];
        for address in addresses.iter().flatten() {
            if let (BoundAddress::Tls(_), Some(address)) = (address, address.ip()) {
                note_tls(address);
            }
        }
        let address = match &bound.addresses()[0] {
            BoundAddress::Unix(path) => relay_to(path),
            address => address.ip().unwrap(),
        };
        let admin = bound.admin_addresses().first().and_then(BoundAddress::ip);
        let api = bound.api_addresses().first().and_then(BoundAddress::ip);
        let server = Arc::clone(bound.server());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(bound.run(async {
            let _ = stopped.await;
        }));
        Self {
            address,
            admin,
            api,
            server,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        self.server.metrics()
    }

    /// Whether nothing more is done for clients.
    pub(crate) fn is_cut(&self) -> bool {
        self.server.is_cut()
    }

    /// The name by which others than its client know a session.
    pub(crate) fn alias(&self, client_id: &str) -> String {
        let alias = self.server.alias_of(client_id.parse().unwrap());
        alias.to_string()
    }

    /// Waits until so many connects are held.
    pub(crate) async fn holds(&self, connects: i64) {
        until(|| self.metrics().held_connects.value() == connects).await;
    }

    /// Opens a connection.
    pub(crate) async fn open(&self) -> Http {
        Http::open(self.address).await
    }

    /// A client that keeps its cookie, after handshake and first connect.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.handshaken().await;
        client.connect().await;
        client
    }

    /// A client that keeps its cookie, after its handshake.
    pub(crate) async fn handshaken(&self) -> Client {
        let mut client = Client::new(self.address);
        client.handshake().await;
        client
    }

    /// A client that keeps no cookie, after handshake and first connect.
    pub(crate) async fn cookieless(&self) -> Client {
        let mut client = Client::new(self.address).without_cookies();
        client.handshake().await;
        client.connect().await;
        client
    }

    /// Posts a body to the endpoint over a connection of its own.
    pub(crate) async fn post(&self, body: impl Into<Vec<u8>>) -> Response {
        self.open().await.exchange(Request::post(body)).await
    }

    /// Tells the server to stop.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(&mut self) {
        within(&mut self.task).await.unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for what has to happen.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it has to happen in time")
}

/// Waits until something that nobody announces is so, such as a figure's value.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    within(async {
        while !is_so() {
            ticks.tick().await;
        }
    })
    .await;
}

/// A port that nothing listens on just now, for programs that cannot take one by themselves; none that is given to
/// outgoing connections, and none that was returned before.
pub(crate) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(getrandom::u32().unwrap()));
    loop {
        let port = 10_000 + u16::try_from(NEXT.fetch_add(1, Relaxed) % 6_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
