//! From addresses to sockets that listen.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::address::ListenAddress;
use super::settings::Settings;
use super::tcp;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// It cannot be listened on.
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
}

/// Listens on addresses, within a Tokio runtime; names of hosts are looked up.
///
/// # Errors
/// An address cannot be listened on, or a name has none.
pub fn listen(addresses: &[ListenAddress], http: &Settings) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let resolved = address.resolve();
        let resolved = resolved.map_err(|source| BindError::Resolve {
            address: address.clone(),
            source,
        })?;
        let bound = tcp::listen_on_any(&resolved, http);
        listeners.extend(bound.map_err(|(address, source)| BindError::Bind { address, source })?);
    }
    Ok(listeners)
}
