//! Where to listen: an address with its port, or a host's name, which is looked up at the start.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name of a host (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;
/// The longest part of a name.
const MAX_LABEL: usize = 63;

/// An address to listen on, such as `127.0.0.1:8080`, `[::1]:8080` or `localhost:8080`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address as it is.
    Socket(SocketAddr),
    /// A host's name, which may have several addresses, and a port.
    Name(String, u16),
}

/// Why a text is not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a host's name, with a port: 127.0.0.1:8080, localhost:8080")]
pub struct NotAnAddress;

impl ListenAddress {
    /// Looks a name up, which may take a while; each address is there once.
    ///
    /// # Errors
    /// The name has no address, or cannot be looked up.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::Socket(address) => Ok(vec![*address]),
            Self::Name(name, port) => {
                let mut addresses = Vec::new();
                for address in (name.as_str(), *port).to_socket_addrs()? {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
                if addresses.is_empty() {
                    return Err(io::Error::other("the name has no address"));
                }
                Ok(addresses)
            }
        }
    }
}

impl<A: Into<SocketAddr>> From<A> for ListenAddress {
    fn from(address: A) -> Self {
        Self::Socket(address.into())
    }
}

impl FromStr for ListenAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Socket(address));
        }
        let (name, port) = text.rsplit_once(':').ok_or(NotAnAddress)?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_number && is_name(name) => Ok(Self::Name(name.to_owned(), port)),
            _ => Err(NotAnAddress),
        }
    }
}

/// Tells whether a host may be called so. What ends in a number is an address misspelt, which
/// resolvers understand in ways that nobody expects.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= MAX_NAME
        && name.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
        && name.parse::<Ipv4Addr>().is_err()
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_have_ports() {
        let good = [
            "127.0.0.1:0",
            "[::1]:8080",
            "[::]:65535",
            "localhost:8080",
            "host-1.example.com.:80",
            "my_host:80",
        ];
        for text in good {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let is_name = matches!(address, ListenAddress::Name(..));
            assert_eq!(is_name, text.contains("host"), "{text}");
        }
        let long = format!("{}:80", "a".repeat(64));
        let bad = [
            "",
            ":",
            ":80",
            "8080",
            "localhost",
            "localhost:",
            "localhost:+80",
            "localhost:65536",
            "localhost:http",
            "127.0.0.1",
            "127.0.0.1.5:80",
            "127.0.0:80",
            "300.0.0.1:80",
            "::1:80x",
            "::1",
            "[::1]",
            "a b:80",
            "a..b:80",
            "*:80",
            "http://a:80",
            "a:80/",
            &long,
        ];
        for text in bad {
            assert_eq!(text.parse::<ListenAddress>(), Err(NotAnAddress), "{text}");
        }
    }

    #[test]
    fn a_name_has_each_of_its_addresses_once() {
        let addresses = ListenAddress::Name("localhost".to_owned(), 1)
            .resolve()
            .unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        for (at, address) in addresses.iter().enumerate() {
            assert!(!addresses[..at].contains(address), "{addresses:?}");
        }
    }
}
