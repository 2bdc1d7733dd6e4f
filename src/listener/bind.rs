//! From addresses to sockets that listen, of either kind.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, UnixListener};

use super::address::{BoundAddress, ListenAddress, resolve};
use super::settings::Settings;
use super::tcp;
use super::unix::{self, SocketFile};
use crate::web::Socket;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: BoundAddress,
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
}

/// A socket that listens.
#[derive(Debug)]
pub struct ListeningSocket(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    /// With its file, which goes when this does.
    Unix(UnixListener, SocketFile),
}

impl ListeningSocket {
    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> Option<BoundAddress> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok().map(BoundAddress::Ip),
            Kind::Unix(_, file) => Some(BoundAddress::Unix(file.path().to_owned())),
        }
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// The connection was gone, or the kernel has nothing to keep it with.
    pub(super) async fn accept(&self, http: &Settings) -> io::Result<Socket> {
        match &self.0 {
            Kind::Tcp(listener) => tcp::accept(listener).await,
            Kind::Unix(listener, _) => unix::accept(listener, http.max_unsent.as_u64()).await,
        }
    }

    /// Accepts a connection that waits already, whether the runtime has heard of it or not.
    ///
    /// # Errors
    /// None waits, it was gone, or the kernel has nothing to keep it with.
    pub(super) fn accept_waiting(&self, http: &Settings) -> io::Result<Socket> {
        match &self.0 {
            Kind::Tcp(listener) => tcp::accept_waiting(listener),
            Kind::Unix(listener, _) => unix::accept_waiting(listener, http.max_unsent.as_u64()),
        }
    }
}

/// Listens on addresses, within a Tokio runtime; names of hosts are looked up.
///
/// # Errors
/// An address cannot be listened on, or a name has none.
pub fn listen(
    addresses: &[ListenAddress],
    http: &Settings,
) -> Result<Vec<ListeningSocket>, BindError> {
    let mut sockets = Vec::new();
    for address in addresses {
        match address {
            ListenAddress::Ip(address) => sockets.extend(listen_on_any(&[*address], http)?),
            ListenAddress::Name(name, port) => {
                let resolved = resolve(name, *port).map_err(|source| BindError::Resolve {
                    address: address.clone(),
                    source,
                })?;
                sockets.extend(listen_on_any(&resolved, http)?);
            }
            ListenAddress::Unix(path) => {
                let bound = unix::listen(path, http.unix_mode);
                let (listener, file) = bound.map_err(|source| BindError::Bind {
                    address: BoundAddress::Unix(path.clone()),
                    source,
                })?;
                sockets.push(ListeningSocket(Kind::Unix(listener, file)));
            }
        }
    }
    Ok(sockets)
}

fn listen_on_any(
    addresses: &[SocketAddr],
    http: &Settings,
) -> Result<impl Iterator<Item = ListeningSocket>, BindError> {
    let bound = tcp::listen_on_any(addresses, http);
    let listeners = bound.map_err(|(address, source)| BindError::Bind {
        address: BoundAddress::Ip(address),
        source,
    })?;
    let sockets = listeners.into_iter().map(Kind::Tcp);
    Ok(sockets.map(ListeningSocket))
}
