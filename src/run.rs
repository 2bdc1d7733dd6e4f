//! A whole server from its configuration: bind, serve, stop. What `mirant serve` and tests call.

mod backends;
mod cluster;
mod history;
mod stopping;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::access::{self, Access, Action};
use crate::admin::{Admin, AdminPage};
use crate::authentication::api_keys::ApiKeys;
use crate::authentication::passwords::Passwords;
use crate::authentication::settings::Sources;
use crate::authentication::token::Tokens;
use crate::authentication::webhook::{Settings as WebhookSettings, Webhook};
use crate::authentication::{self, Authenticator};
use crate::bayeux::{ChannelPattern, Limits};
use crate::config::{self, Config};
use crate::demo::Demo;
use crate::extensions::{AskingWebhook, Extension};
use crate::history::History;
use crate::history::OpenError;
use crate::hooks::Hooks;
use crate::http_api::{HttpApi, Operator};
use crate::listener::tls::{Acceptor, NoTls};
use crate::listener::{self, Listener, ListeningSocket, NotAProxy, Proxies, Routes};
pub use crate::listener::{BindError, BoundAddress, ListenAddress};
use crate::memory::Budget;
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::router::{ChannelOptions, Router};
use crate::server::{BayeuxServer, Parts};
use crate::service::Service;
use crate::services::{Handler, Services};
use crate::transports::{self, Shows, connection_types};
use crate::web::cors::NotAnOrigin;
use crate::web::{Hosts, Page};
use backends::Backends;
use cluster::Node;
pub use cluster::NotANode;
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
    /// The server cannot be a node of the cluster that is configured.
    #[error(transparent)]
    Cluster(#[from] NotANode),
}

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
type Listening = (Listener, Vec<ListeningSocket>);

/// A server that listens, and has yet to run.
#[derive(Debug)]
pub struct Bound {
    server: Arc<BayeuxServer>,
    public: Listening,
    admin: Listening,
    api: Listening,
    hooks: Hooks,
    node: Option<Node>,
    acceptor: Option<Arc<Acceptor>>,
    stop: watch::Sender<bool>,
    shutdown_timeout: Duration,
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
pub fn bind_with(config: Config, demo: bool, additions: Additions) -> Result<Bound, StartError> {
    bind_with_all(config, demo, additions, None)
}

/// Does so with a store of the program's own, in which messages are kept, and over a restart sessions.
///
/// # Errors
/// As those of [`bind`].
pub fn bind_keeping(
    config: Config,
    demo: bool,
    additions: Additions,
    history: History,
) -> Result<Bound, StartError> {
    bind_with_all(config, demo, additions, Some(history))
}

fn bind_with_all(
    config: Config,
    demo: bool,
    additions: Additions,
    keeping: Option<History>,
) -> Result<Bound, StartError> {
    let metrics = Arc::new(Metrics::of(Budget::new(config.memory.budget.bytes())));
    let access = Access::new(&config.access).map_err(StartError::Access)?;
    let clients = Clients::new(&config, &access, &metrics)?;
    let backends = Backends::new(&config, &metrics)?;
    let operator = operator(&config);
    let acceptor = acceptor(&config.tls, config.http.http2, &metrics)?;
    let (http, admin, api) = (config.http, config.admin, config.api);
    let (mut bayeux, mut channel) = (config.bayeux, config.channel);
    bayeux.transports.shows = clients.shows;
    let node = Node::bind(&config.cluster, &config.history, &mut channel, &metrics)?;
    let demo = demo.then(|| Demo::new(&bayeux.transports.path));
    let max_message_size = bayeux.limits.max_message_size.as_u64();
    let server = Arc::new(BayeuxServer::new(Parts {
        limits: bayeux.limits.clone(),
        connection_types: connection_types(&bayeux.transports.transports),
        session: bayeux.session,
        router: Router::new(bayeux.router, &channel),
        resources: config.resources.kept,
        history: kept(node.as_ref(), keeping, config.history, &channel, &metrics)?,
        cluster: node.as_ref().map(|node| node.links.clone()),
        has_ack: config.extensions.ack,
        access: Arc::new(access),
        rates: config.rates,
        authenticator: clients.authenticator,
        accounts: clients.accounts,
        waits: config.extensions.waits,
        extensions: config
            .extensions
            .build(more(clients.webhook.as_ref(), additions.extensions)),
        services: all_services(
            &config.services,
            &bayeux.limits,
            &backends,
            additions.handlers,
        ),
        lifecycle: backends.lifecycle(),
        connected: backends.connected,
        announcer: backends.announcer,
        metrics: Arc::clone(&metrics),
    }));

    let (stop, stopping) = watch::channel(false);
    let bayeux = transports::Endpoint::new(
        Arc::clone(&server),
        bayeux.transports,
        config.websocket,
        config.eventsource,
        config.streaming,
        config.resources.http,
        &http.allowed_origins,
    )?
    .passing_by(node.as_ref().map(|node| Arc::clone(&node.wire)));
    let service = Arc::new(Service::new(bayeux));
    let common = Common::new(&http, max_message_size, metrics, stopping, acceptor.clone());
    let http_api = Arc::new(HttpApi::new(&server, clients.keys, &api.bounds, operator));
    let to_clients = api.public.then(|| Arc::clone(&http_api));
    let routes = public_routes(&http, demo, to_clients, &service);
    let for_operator = admin_routes(&admin, &server, &http_api);
    Ok(Bound {
        public: common.listen(&http.listen, Proxies::new(&http)?, routes)?,
        admin: common.listen(&admin.listen, Proxies::default(), for_operator)?,
        api: common.listen(&api.listen, Proxies::default(), api_routes(&api, http_api))?,
        server,
        hooks: backends.hooks,
        node: node.map(|node| node.answering(&service)),
        acceptor,
        stop,
        shutdown_timeout: http.shutdown_timeout,
    })
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
    settings: crate::history::Settings,
    channels: &[ChannelOptions],
    metrics: &Arc<Metrics>,
) -> Result<History, OpenError> {
    match (node, keeping) {
        (Some(node), _) => Ok(node.history(settings)),
        (None, Some(history)) => Ok(history),
        (None, None) => history::open(settings, channels, metrics),
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

/// Names the configuration of who clients may be: another says that somebody may not be any more who was.
fn accounts(config: &Config) -> Arc<str> {
    let Config {
        authentication,
        user,
        issuer,
        webhook,
        api,
        ..
    } = config;
    let text = serde_json::to_vec(&(authentication, user, issuer, webhook, &api.key));
    let digest = digest::digest(&digest::SHA256, &text.unwrap_or_default());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]).into()
}

/// Gathers what operators are shown of the configuration.
fn operator(config: &Config) -> Operator {
    let all = config.blotted();
    let rules = all["access"].as_array().cloned();
    let actions = [
        Action::Handshake,
        Action::Subscribe,
        Action::Publish,
        Action::Forget,
    ];
    Operator {
        configuration: RawValue::from_string(all.to_string()).expect("it is JSON"),
        rules: rules.unwrap_or_default(),
        asked_outside: actions
            .into_iter()
            .filter(|action| config.webhook.decides(*action))
            .collect(),
    }
}

/// What all listeners have in common.
struct Common<'h> {
    http: &'h listener::Settings,
    max_connections: usize,
    max_message_size: u64,
    metrics: Arc<Metrics>,
    stopping: watch::Receiver<bool>,
    acceptor: Option<Arc<Acceptor>>,
}

impl<'h> Common<'h> {
    fn new(
        http: &'h listener::Settings,
        max_message_size: u64,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<bool>,
        acceptor: Option<Arc<Acceptor>>,
    ) -> Self {
        Self {
            http,
            max_connections: listener::max_connections(http),
            max_message_size,
            metrics,
            stopping,
            acceptor,
        }
    }

    fn listen(
        &self,
        addresses: &[ListenAddress],
        proxies: Proxies,
        routes: Routes,
    ) -> Result<Listening, BindError> {
        let sockets = listener::listen(addresses, self.http, self.acceptor.as_ref())?;
        let listener = Listener::new(
            self.http.clone(),
            self.max_connections,
            self.max_message_size,
            proxies,
            routes,
            Arc::clone(&self.metrics),
            self.stopping.clone(),
        );
        Ok((listener, sockets))
    }
}

/// What finds who clients are.
struct Clients {
    keys: ApiKeys,
    authenticator: Authenticator,
    webhook: Option<Webhook>,
    shows: Shows,
    /// What names the configuration of all that.
    accounts: Arc<str>,
}

impl Clients {
    fn new(
        config: &Config,
        access: &Access,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, Vec<authentication::Problem>> {
        let (settings, limits) = (&config.authentication, &config.bayeux.limits);
        let claims = access.claims();
        let keys = ApiKeys::new(&config.api.key, config.backends.role.as_deref(), limits)?;
        let tokens = Tokens::new(&settings.tokens, &config.issuer, &claims, limits, metrics)?;
        let passwords = Passwords::new(&config.user, &settings.passwords, Arc::clone(metrics))?;
        let webhook = Webhook::new(&config.webhook, limits, Arc::clone(metrics))?;
        Ok(Self {
            shows: shows(&keys, &settings.sources, &tokens, &config.webhook),
            authenticator: Authenticator::new(keys.clone(), tokens, passwords, webhook.clone()),
            webhook,
            keys,
            accounts: accounts(config),
        })
    }
}

/// What heads are asked for: nothing if there is nobody to tell.
fn shows(keys: &ApiKeys, sources: &Sources, tokens: &Tokens, webhook: &WebhookSettings) -> Shows {
    let mut shows = Shows {
        bearer: !keys.is_empty() || !tokens.is_empty(),
        ..Shows::default()
    };
    if !tokens.is_empty() {
        shows.cookie.clone_from(&sources.cookie);
        shows.query_parameter.clone_from(&sources.query_parameter);
    }
    if webhook.url.is_some() {
        let names = webhook.headers.iter();
        shows.headers = names.filter_map(|name| name.parse().ok()).collect();
        shows.cookies.clone_from(&webhook.cookies);
    }
    shows
}

/// Returns the extensions behind those of `[extensions]`.
fn more(webhook: Option<&Webhook>, additions: Vec<Box<dyn Extension>>) -> Vec<Box<dyn Extension>> {
    let webhook = AskingWebhook::boxed(webhook).into_iter();
    webhook.chain(additions).collect()
}

fn public_routes(
    http: &listener::Settings,
    demo: Option<Demo>,
    api: Option<Arc<HttpApi>>,
    service: &Arc<Service>,
) -> Routes {
    let pages = demo.into_iter().map(|demo| Box::new(demo) as Box<dyn Page>);
    Routes {
        hosts: Hosts::listed("http.hosts", &http.hosts),
        // First: the endpoint may be at `/mirant`.
        first: vec![Box::new(Plugins)],
        api,
        service: Some(Arc::clone(service)),
        last: pages.collect(),
    }
}

fn admin_routes(
    settings: &config::Admin,
    server: &Arc<BayeuxServer>,
    api: &Arc<HttpApi>,
) -> Routes {
    Routes {
        hosts: own_hosts("admin.hosts", &settings.listen, &settings.hosts),
        first: vec![Box::new(AdminPage)],
        api: Some(Arc::clone(api)),
        service: None,
        last: vec![Box::new(Admin::new(Arc::clone(server)))],
    }
}

fn api_routes(settings: &config::Api, api: Arc<HttpApi>) -> Routes {
    Routes {
        hosts: own_hosts("api.hosts", &settings.listen, &settings.hosts),
        first: Vec::new(),
        api: Some(api),
        service: None,
        last: Vec::new(),
    }
}

/// Returns the hosts for which listeners answer that are not for clients: theirs if they are named, and those
/// that the operator names by `key`.
fn own_hosts(key: &'static str, listen: &[ListenAddress], hosts: &[String]) -> Hosts {
    let own = listen.iter().filter_map(ListenAddress::name);
    let own = own.map(str::to_owned);
    let names: Vec<String> = own.chain(hosts.iter().cloned()).collect();
    Hosts::own_and(key, &names)
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

    /// Takes up the sessions that the last run has left, if they are kept, and serves until `shutdown`. Then
    /// answers every held connect, waits for responses to leave, but not longer than `http.shutdown_timeout`,
    /// leaves the sessions to the next run, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
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
        if let Some(acceptor) = self.acceptor {
            tasks.spawn(acceptor.follow());
        }
        let counting = Arc::clone(&self.server);
        tasks.spawn(async move { counting.count().await });
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
            let listener = Arc::new(listener);
            for socket in sockets {
                let listener = Arc::clone(&listener);
                accepting.spawn(async move { listener.accept(socket).await });
            }
            listeners.push(listener);
        }
        tokio::select! {
            () = shutdown => {}
            // None of the tasks ends by itself.
            Some(ended) = tasks.join_next() => tracing::error!(?ended, "a task of the server failed"),
            Some(ended) = accepting.join_next() => tracing::error!(?ended, "a listener has ended"),
            Some(ended) = node.join_next() => tracing::error!(?ended, "the node has ended"),
        }
        tracing::info!(
            sessions = self.server.metrics().sessions.value(),
            "stopping"
        );
        // First: a connection that sees the end of the run answers its connect by this.
        self.server.will_stop();
        self.server.leave();
        self.stop.send_replace(true);
        self.server.stop();
        hooks.stop();
        let stopping = Stopping {
            server: &self.server,
            listeners: &listeners,
            end: tokio::time::Instant::now() + self.shutdown_timeout,
        };
        tokio::join!(stopping.close(accepting), stopping.tell(&mut delivering));
        self.server.hand_over().await;
        self.server.save_sessions().await;
        self.server.close_history().await;
        tracing::info!("stopped");
    }
}

fn addresses(sockets: &[ListeningSocket]) -> Vec<BoundAddress> {
    let addresses = sockets.iter().filter_map(ListeningSocket::address);
    addresses.collect()
}
