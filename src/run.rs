//! A whole server from its configuration: bind, serve, stop. What `mirant serve` and tests call.

mod backends;
mod checking;
mod clients;
mod cluster;
mod history;
mod reloading;
mod site;
mod stopping;

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::access::{self, Access};
use crate::access_log::{AccessLog, NotWritable};
use crate::authentication;
use crate::authentication::webhook::Webhook;
use crate::bayeux::{ChannelPattern, Limits};
use crate::config::Config;
use crate::demo;
pub use crate::demo::Settings as DemoSettings;
use crate::extensions::{AskingWebhook, Extension};
use crate::history::History;
use crate::history::OpenError;
use crate::hooks::Hooks;
use crate::http_api::HttpApi;
use crate::listener::tls::{Acceptor, NoTls};
use crate::listener::{self, Listener, ListeningSocket, NotAProxy, Stops};
pub use crate::listener::{BindError, BoundAddress, ListenAddress, Passed};
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::rates::Rates;
use crate::router::{ChannelOptions, Router};
use crate::server::{BayeuxServer, Parts, Terms};
use crate::services::{Handler, Services};
use crate::transports::connection_types;
use crate::web::cors::NotAnOrigin;
use backends::Backends;
pub use checking::check;
use clients::Clients;
use cluster::Node;
pub use cluster::{NotANode, secrets as cluster_secrets};
use reloading::Times;
pub(crate) use reloading::with_causes;
pub use reloading::{Reloader, Source};
use site::{Served, Site, api_terms};
use stopping::Stopping;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] NoTls),
    /// An entry of `http.allowed_origins` is not an origin.
    #[error(transparent)]
    Origin(#[from] NotAnOrigin),
    /// An entry of `http.trusted_proxies` names no proxy.
    #[error(transparent)]
    Proxy(#[from] NotAProxy),
    /// Access rules cannot be used.
    #[error("{}", listed(.0))]
    Access(Vec<access::Problem>),
    /// Settings of who clients are cannot be used.
    #[error("{}", listed(.0))]
    Authentication(Vec<authentication::Problem>),
    /// History cannot be kept where it is configured.
    #[error(transparent)]
    History(#[from] OpenError),
    /// Something that the configuration names cannot be used.
    #[error(transparent)]
    NotUsable(#[from] NotUsable),
    /// The access log cannot be written where it is configured.
    #[error(transparent)]
    AccessLog(#[from] NotWritable),
    /// The server cannot be a node of the cluster that is configured.
    #[error(transparent)]
    Cluster(#[from] NotANode),
}

/// Something cannot be used that the configuration names; what, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotUsable(String);

impl From<Vec<authentication::Problem>> for StartError {
    fn from(problems: Vec<authentication::Problem>) -> Self {
        Self::Authentication(problems)
    }
}

fn listed(problems: &[impl ToString]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("; ")
}

/// A listener, and the sockets that it is to accept connections of.
type Listening = (Arc<Listener>, Vec<ListeningSocket>);

/// A server that listens, and has yet to run.
#[derive(Debug)]
pub struct Bound {
    server: Arc<BayeuxServer>,
    public: Listening,
    admin: Listening,
    api: Listening,
    hooks: Hooks,
    node: Option<Node>,
    stops: Stops,
    reloader: Arc<Reloader>,
    makes_prices: bool,
}

/// How a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its clients are sent away one after the other, for as long as `http.drain_time` says.
    Gently,
    /// All at once.
    AtOnce,
}

/// What a program adds to the server that it is built on.
#[derive(Debug, Default)]
pub struct Additions {
    /// Extensions, behind those of the configuration.
    pub extensions: Vec<Box<dyn Extension>>,
    /// Handlers of service channels, behind those of the configuration.
    pub handlers: Vec<(ChannelPattern, Arc<dyn Handler>)>,
}

/// Makes the server and binds its listeners, within a Tokio runtime; names of hosts are looked up.
///
/// # Errors
/// An address cannot be listened on, a name has none, or an origin is malformed.
pub fn bind(config: Config, demo: bool) -> Result<Bound, StartError> {
    bind_with(config, demo, Additions::default())
}

/// Makes the server with additions and binds its listeners, as [`bind`] does.
///
/// # Errors
/// As those of [`bind`].
#[expect(
    clippy::needless_pass_by_value,
    reason = "the program that it is for has no use for it any more"
)]
pub fn bind_with(config: Config, demo: bool, additions: Additions) -> Result<Bound, StartError> {
    bind_with_all(&config, shown(demo), additions, None, Passed::default())
}

/// Does so with a store of the program's own, in which messages are kept, and over a restart sessions.
///
/// # Errors
/// As those of [`bind`].
#[expect(
    clippy::needless_pass_by_value,
    reason = "the program that it is for has no use for it any more"
)]
pub fn bind_keeping(
    config: Config,
    demo: bool,
    additions: Additions,
    history: History,
) -> Result<Bound, StartError> {
    bind_with_all(
        &config,
        shown(demo),
        additions,
        Some(history),
        Passed::default(),
    )
}

/// Does so with the sockets that a service manager has passed to the process, for addresses such as `fd:http`.
///
/// # Errors
/// As those of [`bind`].
pub fn bind_passed(
    config: &Config,
    demo: Option<demo::Settings>,
    passed: Passed,
) -> Result<Bound, StartError> {
    bind_with_all(config, demo, Additions::default(), None, passed)
}

/// Returns what of the demonstrations a program shows that says only whether it does.
fn shown(demo: bool) -> Option<demo::Settings> {
    demo.then(demo::Settings::default)
}

fn bind_with_all(
    config: &Config,
    demo: Option<demo::Settings>,
    additions: Additions,
    keeping: Option<History>,
    passed: Passed,
) -> Result<Bound, StartError> {
    let metrics = Arc::new(Metrics::of(Budget::new(config.memory.budget.bytes())));
    let access = Access::new(&config.access).map_err(StartError::Access)?;
    let limits = config.bayeux.limits.clone();
    let webhook = Webhook::new(&config.webhook, &limits, Arc::clone(&metrics))?;
    let clients = Clients::new(config, &access, webhook.as_ref(), &metrics)?;
    let backends = Backends::new(config, &metrics)?;
    let acceptor = acceptor(&config.tls, config.http.http2, &metrics)?;
    let mut channels = config.channel.clone();
    let node = Node::bind(&config.cluster, &config.history, &mut channels, &metrics)?;
    let server = Arc::new(BayeuxServer::new(Parts {
        terms: Terms {
            limits: Arc::new(limits.clone()),
            access: Arc::new(access),
            rates: Arc::new(Rates::new(&config.rates, Instant::now())),
        },
        connection_types: connection_types(&config.bayeux.transports.transports),
        session: config.bayeux.session.clone(),
        router: Router::new(config.bayeux.router.clone(), &channels),
        resources: config.resources.kept.clone(),
        history: kept(node.as_ref(), keeping, config, &channels, &metrics)?,
        cluster: node.as_ref().map(|node| node.links.clone()),
        has_ack: config.extensions.ack,
        identifying: clients.identifying,
        waits: config.extensions.waits,
        extensions: config
            .extensions
            .build(more(webhook.as_ref(), additions.extensions)),
        services: all_services(&config.services, &limits, &backends, additions.handlers),
        lifecycle: backends.lifecycle(),
        connected: backends.connected,
        announcer: backends.announcer,
        metrics: Arc::clone(&metrics),
    }));
    // The nodes of a cluster would each make their own.
    let makes_prices = demo.is_some() && node.is_none();
    let site = Site {
        http_api: Arc::new(HttpApi::new(
            &server,
            api_terms(config, clients.keys, clients.operators),
        )),
        server: Arc::clone(&server),
        wire: node.as_ref().map(|node| Arc::clone(&node.wire)),
        demo,
        access_log: AccessLog::open(&config.log.access_log, &metrics)?.map(Arc::new),
    };
    let served = site.served(config, clients.shows)?;
    let owner = node.as_ref().map(|_| served.service.owner());
    let stops = Stops::default();
    let [public, admin, api] =
        listening(config, served, acceptor.as_ref(), &metrics, &stops, passed)?;
    let reloader = Arc::new(Reloader::new(reloading::Parts {
        listeners: [&public, &admin, &api].map(|(listener, _)| Arc::clone(listener)),
        site,
        webhook,
        acceptor,
        owner: owner.clone(),
        times: (&config.http).into(),
    }));
    Ok(Bound {
        server,
        public,
        admin,
        api,
        hooks: backends.hooks,
        node: node.map(|node| node.answering(owner)),
        stops,
        reloader,
        makes_prices,
    })
}

/// Binds the listeners: for clients, for the operator, and for application servers.
fn listening(
    config: &Config,
    served: Served,
    acceptor: Option<&Arc<Acceptor>>,
    metrics: &Arc<Metrics>,
    stops: &Stops,
    mut passed: Passed,
) -> Result<[Listening; 3], BindError> {
    let http = &config.http;
    let max_connections = listener::max_connections(http);
    let mut listen = |addresses: &[ListenAddress], terms| {
        let sockets = listener::listen(addresses, http, acceptor, &mut passed)?;
        let listener = Listener::new(terms, max_connections, metrics, stops);
        Ok::<Listening, BindError>((Arc::new(listener), sockets))
    };
    let all = [
        listen(&http.listen, served.public)?,
        listen(&config.admin.listen, served.admin)?,
        listen(&config.api.listen, served.api)?,
    ];
    if !passed.is_empty() {
        tracing::warn!(sockets = %passed, "nothing listens on sockets that were passed to the process");
    }
    Ok(all)
}

/// Returns what speaks TLS, if there is a certificate.
fn acceptor(
    settings: &listener::tls::Settings,
    http2: bool,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Acceptor>>, NoTls> {
    if settings.certificate.is_none() {
        return Ok(None);
    }
    Acceptor::new(settings, http2, metrics)
        .map(Arc::new)
        .map(Some)
}

/// Returns what keeps history: in a cluster what its nodes share, else what the program brings, or what is configured.
fn kept(
    node: Option<&Node>,
    keeping: Option<History>,
    config: &Config,
    channels: &[ChannelOptions],
    metrics: &Arc<Metrics>,
) -> Result<History, OpenError> {
    match (node, keeping) {
        (Some(node), _) => Ok(node.history(config.history.clone())),
        (None, Some(history)) => Ok(history),
        (None, None) => history::open(config.history.clone(), channels, metrics),
    }
}

/// Returns the handlers of service channels, those of the program last.
fn all_services(
    settings: &crate::services::Settings,
    limits: &Limits,
    backends: &Backends,
    additions: Vec<(ChannelPattern, Arc<dyn Handler>)>,
) -> Services {
    let mut services = settings.build(limits);
    backends.serve(&mut services);
    services.extend(additions);
    services
}

/// Returns the extensions behind those of `[extensions]`.
fn more(webhook: Option<&Webhook>, additions: Vec<Box<dyn Extension>>) -> Vec<Box<dyn Extension>> {
    let webhook = AskingWebhook::boxed(webhook).into_iter();
    webhook.chain(additions).collect()
}

impl Bound {
    /// Returns the addresses clients connect to.
    #[must_use]
    pub fn addresses(&self) -> Vec<BoundAddress> {
        addresses(&self.public.1)
    }

    /// Returns the addresses the operator connects to.
    #[must_use]
    pub fn admin_addresses(&self) -> Vec<BoundAddress> {
        addresses(&self.admin.1)
    }

    /// Returns the addresses application servers send requests to.
    #[must_use]
    pub fn api_addresses(&self) -> Vec<BoundAddress> {
        addresses(&self.api.1)
    }

    /// Returns how many clients may be connected at once.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.public.0.max_connections()
    }

    /// Returns how many bytes of memory all clients share.
    #[must_use]
    pub fn memory(&self) -> u64 {
        self.server.metrics().memory.bytes()
    }

    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &Arc<BayeuxServer> {
        &self.server
    }

    /// Returns what takes up changes of the configuration while the server runs.
    #[must_use]
    pub fn reloader(&self) -> &Arc<Reloader> {
        &self.reloader
    }

    /// Connects to what the nodes of a cluster share, if the server is one; to be called before [`run`](Self::run) by
    /// whoever wants to know why that cannot be.
    ///
    /// # Errors
    /// The configuration has to be changed.
    pub async fn join_cluster(&self) -> Result<(), StartError> {
        if let Some(node) = &self.node {
            node.join().await?;
        }
        Ok(())
    }

    /// Does what [`run_until`](Self::run_until) does, and stops at once.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let shutdown = async {
            shutdown.await;
            Stop::AtOnce
        };
        self.run_until(|| {}, shutdown).await;
    }

    /// Takes up the sessions that the last run has left, if they are kept, says that it is ready, and serves until
    /// `shutdown`, which says how to stop. Then answers every held connect, waits for responses to leave, but not longer than
    /// `http.shutdown_timeout`, leaves the sessions to the next run, and returns.
    pub async fn run_until(self, ready: impl FnOnce(), shutdown: impl Future<Output = Stop>) {
        if let Err(error) = self.join_cluster().await {
            tracing::error!("{error}");
            return;
        }
        self.server.prepare();
        self.server.take_up_resources().await;
        self.server.take_up_sessions().await;
        let mut tasks = JoinSet::new();
        let sweeping = Arc::clone(&self.server);
        tasks.spawn(async move { sweeping.sweep().await });
        let attending = Arc::clone(&self.server);
        tasks.spawn(async move { attending.attend().await });
        let relieving = Arc::clone(&self.server);
        tasks.spawn(async move { relieving.relieve().await });
        if let Some(acceptor) = self.reloader.acceptor() {
            tasks.spawn(acceptor.follow());
        }
        let counting = Arc::clone(&self.server);
        tasks.spawn(async move { counting.count().await });
        if self.makes_prices {
            tasks.spawn(demo::ticker::run(Arc::clone(&self.server)));
        }
        let mut node = JoinSet::new();
        if let Some(own) = self.node {
            node.spawn(own.serve(Arc::clone(&self.server)));
        }
        let hooks = Arc::new(self.hooks);
        let telling = Arc::clone(&hooks);
        // Apart from the others, because it ends once it is stopped.
        let mut delivering = JoinSet::new();
        delivering.spawn(async move { telling.deliver().await });
        let (mut listeners, mut accepting) = (Vec::new(), JoinSet::new());
        for (listener, sockets) in [self.public, self.admin, self.api] {
            for socket in sockets {
                let listener = Arc::clone(&listener);
                accepting.spawn(async move { listener.accept(socket).await });
            }
            listeners.push(listener);
        }
        ready();
        let mut stop = Stop::AtOnce;
        tokio::select! {
            how = shutdown => stop = how,
            // None of the tasks ends by itself.
            Some(ended) = tasks.join_next() => tracing::error!(?ended, "a task of the server failed"),
            Some(ended) = accepting.join_next() => tracing::error!(?ended, "a listener has ended"),
            Some(ended) = node.join_next() => tracing::error!(?ended, "the node has ended"),
        }
        let times = *self.reloader.times();
        send_away(stop, &times, &self.server, &self.stops).await;
        self.server.stop();
        hooks.stop();
        let stopping = Stopping {
            server: &self.server,
            listeners: &listeners,
            end: tokio::time::Instant::now() + times.shutdown,
        };
        tokio::join!(stopping.close(accepting), stopping.tell(&mut delivering));
        self.server.hand_over().await;
        self.server.save_sessions().await;
        self.server.close_history().await;
        self.reloader.close_access_log();
        tracing::info!("stopped");
    }
}

/// Tells clients that the server stops: some after the others if there is time for that, and then all the rest.
async fn send_away(stop: Stop, times: &Times, server: &BayeuxServer, stops: &Stops) {
    let drain_time = match stop {
        Stop::Gently => times.drain,
        Stop::AtOnce => Duration::ZERO,
    };
    // First: a connection that sees the end of the run answers its connect by this.
    server.will_stop(drain_time);
    server.leave();
    if drain_time.is_zero() {
        stops.stop();
    }
    let metrics = server.metrics();
    tracing::info!(sessions = metrics.sessions.value(), "stopping");
    if !drain_time.is_zero() {
        let is_over = || metrics.connections.value() == 0;
        stops.drain(drain_time, is_over).await;
        stops.stop();
    }
}

fn addresses(sockets: &[ListeningSocket]) -> Vec<BoundAddress> {
    let addresses = sockets.iter().filter_map(ListeningSocket::address);
    addresses.collect()
}
