//! A whole server from its configuration: bind, serve, stop. What `mirant serve` and tests call.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::bayeux::ChannelPattern;
use crate::config::{self, Config};
use crate::demo::Demo;
use crate::extensions::Extension;
use crate::listener::{self, ListenAddress, Listener, Routes};
use crate::metrics::Metrics;
use crate::plugins::Plugins;
use crate::router::Router;
use crate::server::{BayeuxServer, Parts};
use crate::service::Service;
use crate::services::Handler;
use crate::transports::{self, connection_types};
use crate::web::cors::NotAnOrigin;
use crate::web::{Hosts, Page};

/// Connections the kernel keeps for a listener until they are accepted; it takes fewer if
/// `net.core.somaxconn` says so.
const BACKLOG: u32 = 4096;

/// What binding to an address of a family says that the kernel does not have (Linux: `EAFNOSUPPORT`).
const NO_ADDRESS_FAMILY: i32 = 97;
/// The longest time that the kernel takes for `TCP_USER_TIMEOUT`, which it counts in milliseconds.
#[cfg(target_os = "linux")]
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// A host's name in `http.listen` or `admin.listen` has no address.
    #[error("cannot resolve {address}")]
    Resolve {
        /// The name and its port.
        address: ListenAddress,
        /// What the resolver said.
        source: io::Error,
    },
    /// An entry of `http.allowed_origins` is not an origin.
    #[error(transparent)]
    Origin(#[from] NotAnOrigin),
}

/// A server that listens, and has yet to run.
#[derive(Debug)]
pub struct Bound {
    server: Arc<BayeuxServer>,
    public: (Listener, Vec<TcpListener>),
    admin: (Listener, Vec<TcpListener>),
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
    let Config {
        http,
        bayeux,
        websocket,
        eventsource,
        streaming,
        resources,
        extensions,
        services,
        channel,
        admin,
        ..
    } = config;
    let metrics = Arc::new(Metrics::default());
    let demo = demo.then(|| Demo::new(&bayeux.transports.path));
    let max_message_size = bayeux.limits.max_message_size.as_u64();
    let router = Router::new(bayeux.router, &channel);
    let types = connection_types(&bayeux.transports.transports);
    let mut services = services.build(&bayeux.limits);
    for (pattern, handler) in additions.handlers {
        services.add(pattern, handler);
    }
    let server = Arc::new(BayeuxServer::new(Parts {
        limits: bayeux.limits,
        connection_types: types,
        session: bayeux.session,
        router,
        resources: resources.kept,
        has_ack: extensions.ack,
        waits: extensions.waits,
        extensions: extensions.build(additions.extensions),
        services,
        metrics: Arc::clone(&metrics),
    }));

    let (stop, stopping) = watch::channel(false);
    let public_listeners = listen(&http.listen, &http)?;
    let admin_listeners = listen(&admin.listen, &http)?;
    let bayeux = transports::Endpoint::new(
        Arc::clone(&server),
        bayeux.transports,
        websocket,
        eventsource,
        streaming,
        resources.http,
        &http.allowed_origins,
    )?;
    let max_connections = listener::max_connections(&http);
    let listener = |routes| {
        Listener::new(
            http.clone(),
            max_connections,
            max_message_size,
            routes,
            Arc::clone(&metrics),
            stopping.clone(),
        )
    };
    let public = listener(public_routes(&http, demo, bayeux));
    let admin = listener(admin_routes(&admin, &server));
    Ok(Bound {
        server,
        public: (public, public_listeners),
        admin: (admin, admin_listeners),
        stop,
        shutdown_timeout: http.shutdown_timeout,
    })
}

fn public_routes(
    http: &listener::Settings,
    demo: Option<Demo>,
    bayeux: transports::Endpoint,
) -> Routes {
    let pages = demo.into_iter().map(|demo| Box::new(demo) as Box<dyn Page>);
    Routes {
        hosts: Hosts::listed("http.hosts", &http.hosts),
        // First: the endpoint may be at `/mirant`.
        first: vec![Box::new(Plugins)],
        service: Some(Arc::new(Service::new(bayeux))),
        last: pages.collect(),
    }
}

fn admin_routes(settings: &config::Admin, server: &Arc<BayeuxServer>) -> Routes {
    Routes {
        hosts: operator_hosts(settings),
        first: Vec::new(),
        service: None,
        last: vec![Box::new(Admin::new(Arc::clone(server)))],
    }
}

/// Returns the hosts for which the operator's listeners answer: theirs if they are named, and those that
/// the operator names.
fn operator_hosts(admin: &config::Admin) -> Hosts {
    let listen = admin.listen.iter();
    let own = listen.filter_map(|address| match address {
        ListenAddress::Name(name, _) => Some(name.clone()),
        ListenAddress::Socket(_) => None,
    });
    let names: Vec<String> = own.chain(admin.hosts.iter().cloned()).collect();
    Hosts::own_and("admin.hosts", &names)
}

fn listen(
    addresses: &[ListenAddress],
    http: &listener::Settings,
) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let resolved = address.resolve();
        let resolved = resolved.map_err(|source| StartError::Resolve {
            address: address.clone(),
            source,
        })?;
        listeners.extend(listen_on_any(&resolved, http)?);
    }
    Ok(listeners)
}

/// Listens on the addresses of one name. Those that this machine does not have are passed over while
/// there are others: `localhost` often has an IPv6 address where IPv6 is off.
fn listen_on_any(
    addresses: &[SocketAddr],
    http: &listener::Settings,
) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for &address in addresses {
        match listen_on(address, http) {
            Ok(listener) => listeners.push(listener),
            Err(source) if is_not_here(&source) => {
                tracing::debug!(%address, error = %source, "an address of a name is not this machine's");
                missing = Some(StartError::Bind { address, source });
            }
            Err(source) => return Err(StartError::Bind { address, source }),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Tells whether it is the address that this machine does not have, or all of IPv6.
fn is_not_here(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(NO_ADDRESS_FAMILY)
}

fn listen_on(address: SocketAddr, http: &listener::Settings) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server takes its port while connections of the old one linger.
    socket.set_reuseaddr(true)?;
    if let Err(error) = bound_unread(&SockRef::from(&socket), http) {
        tracing::warn!(%error, "the kernel does not bound what it keeps for clients that do not read (http.max_unsent)");
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Bounds what the kernel keeps for clients that do not read, and for how long: twice what the server
/// waits, so that what a stream has written whole may still be read when that gives up. Every connection
/// has it from its listener.
#[cfg(target_os = "linux")]
fn bound_unread(listener: &SockRef<'_>, http: &listener::Settings) -> io::Result<()> {
    let timeout = http
        .write_timeout
        .saturating_mul(2)
        .min(LONGEST_USER_TIMEOUT);
    listener.set_tcp_user_timeout(Some(timeout))?;
    let max_unsent = u32::try_from(http.max_unsent.as_u64()).unwrap_or(u32::MAX);
    listener.set_tcp_notsent_lowat(max_unsent)
}

#[cfg(not(target_os = "linux"))]
fn bound_unread(_: &SockRef<'_>, _: &listener::Settings) -> io::Result<()> {
    Ok(())
}

impl Bound {
    /// Returns the addresses clients connect to.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.public.1)
    }

    /// Returns the addresses the operator connects to.
    #[must_use]
    pub fn admin_addresses(&self) -> Vec<SocketAddr> {
        addresses(&self.admin.1)
    }

    /// Returns how many clients may be connected at once.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.public.0.max_connections()
    }

    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &Arc<BayeuxServer> {
        &self.server
    }

    /// Serves until `shutdown`, then answers every held connect, waits for responses to leave, but
    /// not longer than `http.shutdown_timeout`, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut tasks = JoinSet::new();
        let sweeping = Arc::clone(&self.server);
        tasks.spawn(async move { sweeping.sweep().await });
        let mut listeners = Vec::new();
        for (listener, sockets) in [self.public, self.admin] {
            let listener = Arc::new(listener);
            for socket in sockets {
                let listener = Arc::clone(&listener);
                tasks.spawn(async move { listener.accept(socket).await });
            }
            listeners.push(listener);
        }
        tokio::select! {
            () = shutdown => {}
            // None of the tasks ends by itself.
            Some(ended) = tasks.join_next() => tracing::error!(?ended, "a task of the server failed"),
        }
        tracing::info!(
            sessions = self.server.metrics().sessions.value(),
            "stopping"
        );
        self.stop.send_replace(true);
        self.server.stop();
        let closed = async {
            for listener in &listeners {
                listener.closed().await;
            }
        };
        if tokio::time::timeout(self.shutdown_timeout, closed)
            .await
            .is_err()
        {
            let left = self.server.metrics().connections.value();
            tracing::warn!(left, "connections were cut (http.shutdown_timeout)");
        }
        tracing::info!("stopped");
    }
}

fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    /// Of a documentation network (RFC 5737), so of no machine.
    const ELSEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 0);
    const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn of_a_name_s_addresses_those_are_listened_on_that_are_here() {
        let http = listener::Settings::default();
        let listeners = listen_on_any(&[ELSEWHERE, HERE], &http).unwrap();
        assert_eq!(addresses(&listeners)[0].ip(), HERE.ip());
        let error = listen_on_any(&[ELSEWHERE], &http).unwrap_err();
        assert_eq!(error.to_string(), "cannot listen on 192.0.2.1:0");
    }

    #[tokio::test]
    async fn an_address_of_a_name_that_is_in_use_is_not_passed_over() {
        let http = listener::Settings::default();
        let first = listen_on_any(&[HERE], &http).unwrap();
        let taken = [HERE, addresses(&first)[0]];
        let error = listen_on_any(&taken, &http).unwrap_err();
        assert!(matches!(error, StartError::Bind { address, .. } if address == taken[1]));
    }
}
