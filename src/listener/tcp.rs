//! TCP: listening on the addresses that are this machine's, and what bounds every connection from there.

use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::settings::{BACKLOG, Settings};
use crate::web::{Carrier, Io, Socket};

/// What binding to an address of a family says that the kernel does not have (Linux: `EAFNOSUPPORT`).
const NO_ADDRESS_FAMILY: i32 = 97;
/// The longest time that the kernel takes for `TCP_USER_TIMEOUT`, which it counts in milliseconds.
#[cfg(target_os = "linux")]
const LONGEST_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// Listens on the addresses of one name. Those that this machine does not have are passed over while
/// there are others: `localhost` often has an IPv6 address where IPv6 is off.
///
/// # Errors
/// The address that cannot be listened on, and what the kernel said.
pub(super) fn listen_on_any(
    addresses: &[SocketAddr],
    http: &Settings,
) -> Result<Vec<TcpListener>, (SocketAddr, io::Error)> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for &address in addresses {
        match listen_on(address, http) {
            Ok(listener) => listeners.push(listener),
            Err(source) if is_not_here(&source) => {
                tracing::debug!(%address, error = %source, "an address of a name is not this machine's");
                missing = Some((address, source));
            }
            Err(source) => return Err((address, source)),
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

fn listen_on(address: SocketAddr, http: &Settings) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restarted server takes its port while connections of the old one linger.
    socket.set_reuseaddr(true)?;
    if http.reuse_port {
        socket.set_reuseport(true)?;
    }
    bound(&SockRef::from(&socket), http);
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Bounds what is kept of the connections that come from now on.
pub(super) fn bound(listener: &SockRef<'_>, http: &Settings) {
    if let Err(error) = bound_unread(listener, http) {
        tracing::warn!(%error, "the kernel does not bound what it keeps for clients that do not read (http.max_unsent)");
    }
}

/// Bounds what the kernel keeps for clients that do not read, and for how long: twice what the server
/// waits, so that what a stream has written whole may still be read when that gives up. Every connection
/// has it from its listener.
#[cfg(target_os = "linux")]
fn bound_unread(listener: &SockRef<'_>, http: &Settings) -> io::Result<()> {
    let timeout = http
        .write_timeout
        .saturating_mul(2)
        .min(LONGEST_USER_TIMEOUT);
    listener.set_tcp_user_timeout(Some(timeout))?;
    let max_unsent = u32::try_from(http.max_unsent.as_u64()).unwrap_or(u32::MAX);
    listener.set_tcp_notsent_lowat(max_unsent)
}

#[cfg(not(target_os = "linux"))]
fn bound_unread(_: &SockRef<'_>, _: &Settings) -> io::Result<()> {
    Ok(())
}

/// Accepts a connection.
///
/// # Errors
/// The connection was gone, or the kernel has nothing to keep it with.
pub(super) async fn accept(listener: &TcpListener) -> io::Result<Socket> {
    let (stream, address) = listener.accept().await?;
    Ok(socket(stream, address))
}

/// Accepts a connection that waits already, whether the runtime has heard of it or not.
///
/// # Errors
/// None waits, it was gone, or the kernel has nothing to keep it with.
pub(super) fn accept_waiting(listener: &TcpListener) -> io::Result<Socket> {
    let (stream, address) = SockRef::from(listener).accept()?;
    stream.set_nonblocking(true)?;
    let address = address.as_socket().ok_or(io::ErrorKind::Unsupported)?;
    Ok(socket(TcpStream::from_std(stream.into())?, address))
}

fn socket(stream: TcpStream, address: SocketAddr) -> Socket {
    // Responses are written whole: there is nothing to wait for. Of a connection that is gone already,
    // reading tells.
    let _ = stream.set_nodelay(true);
    Socket::new(Io::Plain(Carrier::Tcp(stream)), address.into())
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
        let http = Settings::default();
        let listeners = listen_on_any(&[ELSEWHERE, HERE], &http).unwrap();
        assert_eq!(listeners[0].local_addr().unwrap().ip(), HERE.ip());
        let (address, _) = listen_on_any(&[ELSEWHERE], &http).unwrap_err();
        assert_eq!(address, ELSEWHERE);
    }

    #[tokio::test]
    async fn two_may_listen_at_one_port_if_both_say_so() {
        let alone = Settings::default();
        let shared = Settings {
            reuse_port: true,
            ..Settings::default()
        };
        let first = listen_on_any(&[HERE], &shared).unwrap();
        let taken = [first[0].local_addr().unwrap()];
        assert!(listen_on_any(&taken, &shared).is_ok());
        assert!(listen_on_any(&taken, &alone).is_err());
    }

    #[tokio::test]
    async fn an_address_of_a_name_that_is_in_use_is_not_passed_over() {
        let http = Settings::default();
        let first = listen_on_any(&[HERE], &http).unwrap();
        let taken = [HERE, first[0].local_addr().unwrap()];
        let (address, _) = listen_on_any(&taken, &http).unwrap_err();
        assert_eq!(address, taken[1]);
    }
}
