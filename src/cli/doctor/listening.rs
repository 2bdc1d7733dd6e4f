//! Addresses to listen on: whether they are free, or the server answers there already.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::asking::ask;
use super::finding::Finding;
use crate::cli::with_causes;
use crate::client::transport::Dialled;
use crate::config::{Config, HttpSettings, ListenAddress};
use crate::listener::{BindError, Passed, listen};

const LISTEN: &str = "listen";
/// How long whoever listens may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// How it is with an address.
#[derive(Debug)]
enum Place {
    Free,
    /// A Mirant answers there.
    Mirant,
    /// Somebody listens there who is not asked: over TLS, at a file, or where no clients are.
    Taken,
    /// Somebody else does.
    Strange,
    /// A service manager passes it to the server.
    Passed,
    /// It cannot be listened on, and why.
    Impossible(String, io::ErrorKind),
}

/// Tries to listen on all of them, one after the other, and asks who is there already.
pub(super) async fn check(config: &Config) -> Vec<Finding> {
    let keys = [
        ("http.listen", &config.http.listen),
        ("admin.listen", &config.admin.listen),
        ("api.listen", &config.api.listen),
    ];
    // Not to take the place of a server that runs.
    let alone = HttpSettings {
        reuse_port: false,
        ..config.http.clone()
    };
    let mut places = Vec::new();
    for (key, addresses) in keys {
        for address in addresses {
            let mut place = look(address, &alone);
            if let (Place::Taken, "http.listen", Some(address)) = (&place, key, plain(address)) {
                place = who(address, config).await;
            }
            places.push((key, address.to_string(), place));
        }
    }
    let cluster = config.cluster.listen.as_ref();
    if let Some(address) = cluster.filter(|_| config.cluster.redis.is_some()) {
        places.push(("cluster.listen", address.clone(), look_alone(address)));
    }
    let is_running = places
        .iter()
        .any(|(.., place)| matches!(place, Place::Mirant));
    let told = places.into_iter();
    told.map(|(key, address, place)| tell(key, &address, &place, is_running))
        .collect()
}

/// Tries to listen on one, without TLS, which needs nothing of an address.
fn look(address: &ListenAddress, http: &HttpSettings) -> Place {
    let bare = match address {
        ListenAddress::Tls(inner) => inner,
        address => address,
    };
    if let ListenAddress::Passed(_) = bare {
        return Place::Passed;
    }
    match listen(
        std::slice::from_ref(bare),
        http,
        None,
        &mut Passed::default(),
    ) {
        Ok(_) => Place::Free,
        Err(BindError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {
            Place::Taken
        }
        Err(error) => {
            let kind = match &error {
                BindError::Bind { source, .. } => source.kind(),
                _ => io::ErrorKind::Other,
            };
            Place::Impossible(with_causes(&error), kind)
        }
    }
}

/// Tries to listen where other nodes are to connect to.
fn look_alone(address: &str) -> Place {
    match std::net::TcpListener::bind(address) {
        Ok(_) => Place::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Place::Taken,
        Err(error) => {
            Place::Impossible(format!("cannot listen on {address}: {error}"), error.kind())
        }
    }
}

/// Where somebody can be asked by HTTP without TLS.
fn plain(address: &ListenAddress) -> Option<String> {
    match address {
        ListenAddress::Ip(address) => {
            let ip = match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
                IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
                ip => ip,
            };
            Some(SocketAddr::new(ip, address.port()).to_string())
        }
        ListenAddress::Name(name, port) => Some(format!("{name}:{port}")),
        ListenAddress::Unix(_) | ListenAddress::Passed(_) | ListenAddress::Tls(_) => None,
    }
}

/// Asks who listens at an address.
async fn who(address: String, config: &Config) -> Place {
    if config.http.proxy_protocol {
        // This machine may be one of those that have to say first whose connection it is.
        return Place::Taken;
    }
    // Hosts that are not served are answered 421.
    let host = config.http.hosts.first();
    let host = host.map_or_else(|| address.clone(), |host| host.replace('*', "doctor"));
    let path = &config.bayeux.transports.path;
    let asking = async {
        let addresses: Vec<_> = tokio::net::lookup_host(&address).await?.collect();
        let dialled = Dialled::to(&addresses, None, PATIENCE).await?;
        ask(dialled, &host, path, PATIENCE).await
    };
    match asking.await {
        Ok(asked) if asked.seen.is_some() => Place::Mirant,
        _ => Place::Strange,
    }
}

fn tell(key: &str, address: &str, place: &Place, is_running: bool) -> Finding {
    let taken = format!("stop what listens there (`ss -ltnp` names it), or change {key}");
    match place {
        Place::Free => Finding::ok(LISTEN, format!("{address} ({key}) is free")),
        Place::Mirant => Finding::ok(LISTEN, format!("a Mirant answers at {address} ({key})")),
        Place::Passed => {
            let seen = format!("{address} ({key}) is passed by systemd, and not looked at");
            Finding::ok(LISTEN, seen)
        }
        Place::Taken if is_running => {
            let seen = format!("{address} ({key}) is in use, as a Mirant runs");
            Finding::ok(LISTEN, seen)
        }
        Place::Taken => {
            let seen = format!("{address} ({key}) is in use; who listens there was not asked");
            Finding::warning(LISTEN, seen, format!("unless it is the server: {taken}"))
        }
        Place::Strange => {
            let seen = format!("at {address} ({key}) listens something else than a Mirant");
            Finding::wrong(LISTEN, seen, taken)
        }
        Place::Impossible(why, kind) => {
            let fix = match kind {
                io::ErrorKind::PermissionDenied => {
                    "AmbientCapabilities=CAP_NET_BIND_SERVICE in the service (systemctl edit mirant), or another port"
                        .to_owned()
                }
                _ => format!("an address of this machine in {key}"),
            };
            Finding::wrong(LISTEN, format!("{key}: {why}"), fix)
        }
    }
}
