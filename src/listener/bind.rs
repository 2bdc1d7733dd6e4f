//! From addresses to sockets that listen, of either kind.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use super::address::{BoundAddress, ListenAddress, resolve};
use super::passed::{Inherited, Passed};
use super::settings::Settings;
use super::tcp;
use super::tls::Acceptor;
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
    /// TLS is to be spoken there, and there is no certificate.
    #[error("cannot listen on {address}: tls.certificate names no certificate")]
    NoCertificate {
        /// The address.
        address: ListenAddress,
    },
    /// No socket of this name was passed to the process.
    #[error(
        "cannot listen on {address}: no such socket is passed to the process; start it by its .socket unit"
    )]
    NotPassed {
        /// The name.
        address: ListenAddress,
    },
    /// One that was passed cannot be listened on.
    #[error("cannot listen on {address}")]
    Passed {
        /// The name.
        address: ListenAddress,
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
pub struct ListeningSocket {
    kind: Kind,
    /// What speaks TLS with clients, if that is spoken.
    acceptor: Option<Arc<Acceptor>>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// It goes when this does; not there if it is somebody else's.
        _file: Option<SocketFile>,
    },
}

impl ListeningSocket {
    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> Option<BoundAddress> {
        let address = match &self.kind {
            Kind::Tcp(listener) => BoundAddress::Ip(listener.local_addr().ok()?),
            Kind::Unix { path, .. } => BoundAddress::Unix(path.clone()),
        };
        Some(match self.acceptor {
            Some(_) => BoundAddress::Tls(Box::new(address)),
            None => address,
        })
    }

    /// Returns what speaks TLS with clients, if that is spoken.
    pub(super) fn acceptor(&self) -> Option<&Arc<Acceptor>> {
        self.acceptor.as_ref()
    }

    /// Takes up other settings, for the connections that come.
    pub(super) fn renew(&self, http: &Settings) {
        if let Kind::Tcp(listener) = &self.kind {
            tcp::bound(&SockRef::from(listener), http);
        }
    }

    /// Accepts a connection.
    ///
    /// # Errors
    /// The connection was gone, or the kernel has nothing to keep it with.
    pub(super) async fn accept(&self, http: &Settings) -> io::Result<Socket> {
        match &self.kind {
            Kind::Tcp(listener) => tcp::accept(listener).await,
            Kind::Unix { listener, .. } => unix::accept(listener, http.max_unsent.as_u64()).await,
        }
    }

    /// Accepts a connection that waits already, whether the runtime has heard of it or not.
    ///
    /// # Errors
    /// None waits, it was gone, or the kernel has nothing to keep it with.
    pub(super) fn accept_waiting(&self, http: &Settings) -> io::Result<Socket> {
        match &self.kind {
            Kind::Tcp(listener) => tcp::accept_waiting(listener),
            Kind::Unix { listener, .. } => unix::accept_waiting(listener, http.max_unsent.as_u64()),
        }
    }
}

/// Listens on addresses, within a Tokio runtime; names of hosts are looked up. On those that say so TLS is spoken.
///
/// # Errors
/// An address cannot be listened on, a name has none, or there is nothing to speak TLS with.
pub fn listen(
    addresses: &[ListenAddress],
    http: &Settings,
    acceptor: Option<&Arc<Acceptor>>,
    passed: &mut Passed,
) -> Result<Vec<ListeningSocket>, BindError> {
    let mut sockets = Vec::new();
    for address in addresses {
        let (address, acceptor) = match address {
            ListenAddress::Tls(inner) => {
                let lacking = || BindError::NoCertificate {
                    address: address.clone(),
                };
                (&**inner, Some(acceptor.ok_or_else(lacking)?))
            }
            address => (address, None),
        };
        let kinds = listen_on(address, http, passed)?;
        sockets.extend(kinds.into_iter().map(|kind| ListeningSocket {
            kind,
            acceptor: acceptor.cloned(),
        }));
    }
    Ok(sockets)
}

fn listen_on(
    address: &ListenAddress,
    http: &Settings,
    passed: &mut Passed,
) -> Result<Vec<Kind>, BindError> {
    match address {
        ListenAddress::Ip(address) => listen_on_any(&[*address], http),
        ListenAddress::Name(name, port) => {
            let resolved = resolve(name, *port).map_err(|source| BindError::Resolve {
                address: address.clone(),
                source,
            })?;
            listen_on_any(&resolved, http)
        }
        ListenAddress::Unix(path) => {
            let bound = unix::listen(path, http.unix_mode, http.reuse_port);
            let (listener, file) = bound.map_err(|source| BindError::Bind {
                address: BoundAddress::Unix(path.clone()),
                source,
            })?;
            Ok(vec![Kind::Unix {
                listener,
                path: path.clone(),
                _file: Some(file),
            }])
        }
        ListenAddress::Passed(name) => {
            let sockets = passed.named(name);
            if sockets.is_empty() {
                return Err(BindError::NotPassed {
                    address: address.clone(),
                });
            }
            let kinds = sockets.into_iter().map(|socket| take_over(socket, http));
            let kinds: io::Result<_> = kinds.collect();
            kinds.map_err(|source| BindError::Passed {
                address: address.clone(),
                source,
            })
        }
        ListenAddress::Tls(address) => listen_on(address, http, passed),
    }
}

/// Has a socket that was passed to the process listen within the runtime.
fn take_over(socket: Inherited, http: &Settings) -> io::Result<Kind> {
    match socket {
        Inherited::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            tcp::bound(&SockRef::from(&listener), http);
            Ok(Kind::Tcp(TcpListener::from_std(listener)?))
        }
        Inherited::Unix(listener) => {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let path = address.as_pathname().unwrap_or(Path::new("")).to_owned();
            Ok(Kind::Unix {
                listener: UnixListener::from_std(listener)?,
                path,
                _file: None,
            })
        }
    }
}

fn listen_on_any(addresses: &[SocketAddr], http: &Settings) -> Result<Vec<Kind>, BindError> {
    let bound = tcp::listen_on_any(addresses, http);
    let listeners = bound.map_err(|(address, source)| BindError::Bind {
        address: BoundAddress::Ip(address),
        source,
    })?;
    Ok(listeners.into_iter().map(Kind::Tcp).collect())
}
