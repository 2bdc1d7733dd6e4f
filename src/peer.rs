//! Who is at the other end of a connection: as the kernel told when it was accepted, or as a proxy tells that
//! is trusted to.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The other end of a connection: a client, or the proxy in front of it. It is small, since every
/// connection keeps one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// It has an address; an IPv4 address that came by an IPv6 socket is an IPv4 address again.
    Inet(IpAddr, u16),
    /// It is a process of this machine, which has connected to a Unix socket.
    Unix(Option<Credentials>),
    /// It is behind a proxy, which has named its address for the request that is being served.
    Behind(IpAddr),
}

/// As whom a process has connected (`SO_PEERCRED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Its user's id.
    pub uid: u32,
    /// Its own id; 0 where the kernel does not tell, or the process is of another namespace.
    pub pid: i32,
}

impl Peer {
    /// Returns its address, if it has one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Inet(ip, _) | Self::Behind(ip) => Some(*ip),
            Self::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address.ip().to_canonical(), address.port())
    }
}

/// For logs: `192.0.2.1:40312`, `[2001:db8::1]:40312`, `unix:uid=33,pid=1211`, `unix`; `192.0.2.1` behind a
/// proxy.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(ip, port) => SocketAddr::new(*ip, *port).fmt(f),
            Self::Behind(ip) => ip.fmt(f),
            Self::Unix(None) => f.write_str("unix"),
            Self::Unix(Some(Credentials { uid, pid: 0 })) => write!(f, "unix:uid={uid}"),
            Self::Unix(Some(Credentials { uid, pid })) => write!(f, "unix:uid={uid},pid={pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(uid: u32, pid: i32) -> Peer {
        Peer::Unix(Some(Credentials { uid, pid }))
    }

    #[test]
    fn a_peer_is_shown_as_an_operator_would_look_for_it() {
        let inet = |text: &str| Peer::from(text.parse::<SocketAddr>().expect("an address"));
        let cases = [
            (inet("192.0.2.1:80"), "192.0.2.1:80", Some("192.0.2.1")),
            (
                inet("[::ffff:192.0.2.1]:80"),
                "192.0.2.1:80",
                Some("192.0.2.1"),
            ),
            (
                inet("[2001:db8::1]:80"),
                "[2001:db8::1]:80",
                Some("2001:db8::1"),
            ),
            (
                Peer::Behind([192, 0, 2, 1].into()),
                "192.0.2.1",
                Some("192.0.2.1"),
            ),
            (unix(33, 1211), "unix:uid=33,pid=1211", None),
            (unix(0, 0), "unix:uid=0", None),
            (Peer::Unix(None), "unix", None),
        ];
        for (peer, shown, ip) in cases {
            assert_eq!(peer.to_string(), shown);
            assert_eq!(peer.ip().map(|ip| ip.to_string()).as_deref(), ip);
        }
    }
}
