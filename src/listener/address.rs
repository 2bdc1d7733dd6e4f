//! Where to listen: an address with its port, a host's name, which is looked up at the start, or the path
//! of a Unix socket; and whether TLS is spoken there.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name of a host (RFC 1035 2.3.4).
const MAX_NAME: usize = 253;
/// The longest part of a name.
const MAX_LABEL: usize = 63;
/// What stands before the path of a Unix socket.
const UNIX: &str = "unix:";
/// What stands before the name of a socket that is passed to the process.
const PASSED: &str = "fd:";
/// What stands before an address where TLS is spoken.
const TLS: &str = "tls:";
/// The longest path of a Unix socket, in bytes: `sun_path` without its end.
const MAX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// An address to listen on, such as `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`,
/// `unix:/run/mirant.sock` or `tls:0.0.0.0:8443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address as it is.
    Ip(SocketAddr),
    /// A host's name, which may have several addresses, and a port.
    Name(String, u16),
    /// The path of a Unix socket, from the root.
    Unix(PathBuf),
    /// The sockets of this name that the process is passed, or the one of this number.
    Passed(String),
    /// One of these, where TLS is spoken.
    Tls(Box<Self>),
}

/// Where a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundAddress {
    /// At an address.
    Ip(SocketAddr),
    /// At a path.
    Unix(PathBuf),
    /// At one of these, and speaks TLS.
    Tls(Box<Self>),
}

/// Why a text is not an address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// It is none at all.
    #[error(
        "expected an address or a host's name, with a port: 127.0.0.1:8080, localhost:8080; \
         or the path of a Unix socket: unix:/run/mirant.sock; or what systemd passes: fd:http; \
         for TLS with tls: before it"
    )]
    Unknown,
    /// What follows `unix:` depends on where the server is started, or is nothing.
    #[error("the path of a Unix socket begins with one slash, as in unix:/run/mirant.sock")]
    NotFromRoot,
    /// The name is one that Linux keeps apart from files.
    #[error(
        "a Unix socket without a file is not supported, since nothing says who may connect to it; \
         give it a path, as in unix:/run/mirant.sock"
    )]
    Abstract,
    /// The kernel takes no such path.
    #[error("the path of a Unix socket has at most {MAX_PATH} bytes")]
    TooLong,
    /// What follows `fd:` cannot be the name of a socket.
    #[error(
        "fd: is followed by the name of a socket that systemd passes (FileDescriptorName=), as in fd:http"
    )]
    NoName,
    /// It is a folder's, or no path.
    #[error("the path of a Unix socket names a file, as in unix:/run/mirant.sock")]
    NoFile,
}

/// Looks a name up, which may take a while; each address is there once.
///
/// # Errors
/// The name has no address, or cannot be looked up.
pub(super) fn resolve(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for address in (name, port).to_socket_addrs()? {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(io::Error::other("the name has no address"));
    }
    Ok(addresses)
}

/// Reads what follows `unix:`.
fn unix_path(path: &str) -> Result<PathBuf, NotAnAddress> {
    if path.starts_with('@') {
        return Err(NotAnAddress::Abstract);
    }
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(NotAnAddress::NotFromRoot);
    }
    if path.ends_with('/') || path.contains('\0') {
        return Err(NotAnAddress::NoFile);
    }
    if path.len() > MAX_PATH {
        return Err(NotAnAddress::TooLong);
    }
    Ok(path.into())
}

impl BoundAddress {
    /// Returns the URL of a path there; that of a Unix socket is written as nginx reads it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let (scheme, at) = match self {
            Self::Tls(at) => ("https", &**at),
            at => ("http", at),
        };
        match at {
            Self::Unix(file) => format!("{scheme}://{UNIX}{}:{path}", file.display()),
            at => format!("{scheme}://{at}{path}"),
        }
    }

    /// Returns its address, if it has one.
    #[must_use]
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
            Self::Tls(at) => at.ip(),
        }
    }
}

impl ListenAddress {
    /// Returns the host's name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Name(name, _) => Some(name),
            Self::Ip(_) | Self::Unix(_) | Self::Passed(_) => None,
            Self::Tls(address) => address.name(),
        }
    }

    /// Tells whether TLS is spoken there.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl<A: Into<SocketAddr>> From<A> for ListenAddress {
    fn from(address: A) -> Self {
        Self::Ip(address.into())
    }
}

impl FromStr for ListenAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if let Some(address) = text.strip_prefix(TLS) {
            return match address.parse()? {
                Self::Tls(_) => Err(NotAnAddress::Unknown),
                address => Ok(Self::Tls(Box::new(address))),
            };
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            return unix_path(path).map(Self::Unix);
        }
        if let Some(name) = text.strip_prefix(PASSED) {
            return match is_name_of_passed(name) {
                true => Ok(Self::Passed(name.to_owned())),
                false => Err(NotAnAddress::NoName),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        let (name, port) = text.rsplit_once(':').ok_or(NotAnAddress::Unknown)?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_number && is_name(name) => Ok(Self::Name(name.to_owned(), port)),
            _ => Err(NotAnAddress::Unknown),
        }
    }
}

/// Tells whether a socket that is passed may be called so, or has that number.
fn is_name_of_passed(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_graphic() && byte != b':';
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(is_letter)
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
            Self::Ip(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Passed(name) => write!(f, "{PASSED}{name}"),
            Self::Tls(address) => write!(f, "{TLS}{address}"),
        }
    }
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
            Self::Tls(address) => write!(f, "{TLS}{address}"),
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
            "unix:/run/mirant.sock",
            "unix:/a b:c@d",
            "tls:127.0.0.1:0",
            "tls:localhost:8443",
            "tls:unix:/run/mirant.sock",
            "fd:http",
            "fd:3",
            "tls:fd:mirant.socket",
        ];
        for text in good {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let is_name = matches!(address, ListenAddress::Name(..));
            let is_tls = text.starts_with("tls:");
            assert_eq!(is_name, text.contains("host") && !is_tls, "{text}");
            let is_unix = matches!(address, ListenAddress::Unix(..));
            assert_eq!(is_unix, text.starts_with("unix:"), "{text}");
            assert_eq!(address.is_tls(), is_tls, "{text}");
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
            "tls:",
            "tls:8443",
            "tls:tls:localhost:1",
            &long,
        ];
        for text in bad {
            let refused = Err(NotAnAddress::Unknown);
            assert_eq!(text.parse::<ListenAddress>(), refused, "{text}");
        }
    }

    #[test]
    fn a_path_of_a_unix_socket_is_one_from_the_root_that_the_kernel_takes() {
        use NotAnAddress::{Abstract, NoFile, NotFromRoot, TooLong};
        let path = |length: usize| format!("unix:/{}", "a".repeat(length - 1));
        assert!(path(MAX_PATH).parse::<ListenAddress>().is_ok());
        let bad = [
            ("unix:", NotFromRoot),
            ("unix:8080", NotFromRoot),
            ("unix:mirant.sock", NotFromRoot),
            ("unix:./mirant.sock", NotFromRoot),
            ("unix:///run/mirant.sock", NotFromRoot),
            ("unix:@mirant", Abstract),
            ("unix:/run/", NoFile),
            ("unix:/", NoFile),
            ("unix:/run/a\0b", NoFile),
            (&path(MAX_PATH + 1), TooLong),
        ];
        for (text, expected) in bad {
            assert_eq!(text.parse::<ListenAddress>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_socket_that_is_passed_has_a_name() {
        for text in ["fd:", "fd:a b", "fd:a:b", "fd:\u{e4}", "tls:fd:"] {
            let refused = Err(NotAnAddress::NoName);
            assert_eq!(text.parse::<ListenAddress>(), refused, "{text}");
        }
    }

    #[test]
    fn the_url_of_a_bound_address_is_one_that_tools_read() {
        let ip = BoundAddress::Ip(([127, 0, 0, 1], 80).into());
        assert_eq!(ip.url("/a"), "http://127.0.0.1:80/a");
        let unix = BoundAddress::Unix("/run/mirant.sock".into());
        assert_eq!(unix.url("/a"), "http://unix:/run/mirant.sock:/a");
        assert_eq!(unix.to_string(), "unix:/run/mirant.sock");
        let tls = [ip, unix].map(|at| BoundAddress::Tls(Box::new(at)));
        assert_eq!(tls[0].url("/a"), "https://127.0.0.1:80/a");
        assert_eq!(tls[1].url("/a"), "https://unix:/run/mirant.sock:/a");
        assert_eq!(tls[0].to_string(), "tls:127.0.0.1:80");
        assert_eq!(tls[0].ip(), Some(([127, 0, 0, 1], 80).into()));
    }

    #[test]
    fn a_name_has_each_of_its_addresses_once() {
        let addresses = resolve("localhost", 1).unwrap();
        assert!(addresses.iter().all(|address| address.ip().is_loopback()));
        for (at, address) in addresses.iter().enumerate() {
            assert!(!addresses[..at].contains(address), "{addresses:?}");
        }
    }
}
