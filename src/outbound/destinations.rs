//! Where requests may go: anywhere, or not to addresses that only this machine or its network reaches.
//!
//! The addresses that a name has are looked at where they are used: there is no second look-up, which
//! could find others.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower_service::Service;

use crate::network::Network;

/// What is no part of the public Internet (the special-purpose registries of IANA), and what leads there.
const PRIVATE: [&str; 19] = [
    "0.0.0.0/8",       // this machine
    "10.0.0.0/8",      // private
    "100.64.0.0/10",   // behind a carrier's NAT
    "127.0.0.0/8",     // loopback
    "169.254.0.0/16",  // link-local, and what clouds tell their machines
    "172.16.0.0/12",   // private
    "192.0.0.0/24",    // protocols
    "192.168.0.0/16",  // private
    "198.18.0.0/15",   // benchmarks
    "224.0.0.0/3",     // multicast and reserved
    "::/96",           // unspecified, loopback, IPv4 as it was once written
    "::ffff:0:0:0/96", // IPv4 as it is translated
    "64:ff9b:1::/48",  // NAT64 of a network's own
    "2001::/32",       // Teredo
    "2002::/16",       // 6to4
    "fc00::/7",        // unique local
    "fe80::/10",       // link-local
    "fec0::/10",       // site-local
    "ff00::/8",        // multicast
];

static NETWORKS: LazyLock<Vec<Network>> = LazyLock::new(|| {
    let networks = PRIVATE.iter().map(|text| Network::parse(text));
    networks
        .collect::<Result<_, _>>()
        .expect("these are networks")
});

/// Where requests may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destinations {
    /// Anywhere.
    Any,
    /// To public addresses only.
    Public,
}

/// All addresses of a host are private.
#[derive(Debug, thiserror::Error)]
#[error("the address {0} is private")]
pub(super) struct Private(IpAddr);

impl Destinations {
    /// Tells whether requests may go to the host of a URL, as far as it can be told without a look-up.
    #[must_use]
    pub fn allow(self, url: &Uri) -> bool {
        self.check(url).is_ok()
    }

    pub(super) fn check(self, url: &Uri) -> Result<(), Private> {
        let host = url.host().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse();
        let address = if is_local(host) {
            Some(Ipv4Addr::LOCALHOST.into())
        } else {
            literal.ok()
        };
        match (self, address) {
            (Self::Public, Some(address)) if !is_public(address) => Err(Private(address)),
            _ => Ok(()),
        }
    }

    /// Keeps the addresses that requests may go to.
    fn keep(self, addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Private> {
        let (kept, left_out): (Vec<_>, Vec<_>) =
            addresses.partition(|address| self == Self::Any || is_public(address.ip()));
        match left_out.first() {
            Some(address) if kept.is_empty() => Err(Private(address.ip())),
            _ => Ok(kept),
        }
    }
}

/// Tells whether a host is this machine by its name (RFC 6761).
fn is_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Tells whether an address can be reached from everywhere.
fn is_public(address: IpAddr) -> bool {
    let address = within(address);
    !NETWORKS.iter().any(|network| network.contains(address))
}

/// The IPv4 address that stands in one of IPv6: mapped, or behind the NAT64 that all know (RFC 6052).
fn within(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0] => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        other => other,
    }
}

/// Looks names up, and keeps the addresses that requests may go to.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    names: GaiResolver,
    to: Destinations,
}

impl Resolver {
    pub(super) fn new(to: Destinations) -> Self {
        Self {
            names: GaiResolver::new(),
            to,
        }
    }
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.names.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (found, to) = (self.names.call(name), self.to);
        Box::pin(async move {
            let kept = to.keep(found.await?);
            kept.map(Vec::into_iter).map_err(io::Error::other)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_network_reaches_is_private_however_it_is_written() {
        let private = "
            0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255
            127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8
            192.168.0.1 198.18.0.1 198.19.255.255 224.0.0.1 239.1.1.1 240.0.0.1
            255.255.255.255 :: ::1 ::7f00:1 ::10.0.0.1 ::ffff:127.0.0.1
            ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::1
            2001::1 2002:7f00:1:: fc00::1 fdff::1 fe80::1 febf::1
            fec0::1 ff02::1";
        for text in private.split_whitespace() {
            assert!(!is_public(text.parse().expect(text)), "{text}");
        }
        let public = "
            1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.0.0.1
            128.0.0.1 169.253.0.1 172.15.255.255 172.32.0.0 192.0.1.1 192.167.0.1
            192.169.0.1 198.17.0.1 198.20.0.1 203.0.114.1 223.255.255.255 2606:4700::1111
            2001:4860:4860::8888 ::ffff:1.1.1.1 64:ff9b::1.1.1.1 2a00::1 fbff::1";
        for text in public.split_whitespace() {
            assert!(is_public(text.parse().expect(text)), "{text}");
        }
    }

    #[test]
    fn a_url_says_whether_it_may_be_unless_its_host_is_a_name() {
        let cases = [
            ("http://127.0.0.1:9/a", false),
            ("http://[::1]/", false),
            ("https://[::ffff:10.0.0.1]:8443/", false),
            ("http://localhost:80/", false),
            ("http://LocalHost./", false),
            ("http://a.localhost/", false),
            ("https://1.1.1.1/", true),
            ("https://[2606:4700::1111]/", true),
            ("https://app.example.com/", true),
            ("https://localhost.example.com/", true),
        ];
        for (text, is_allowed) in cases {
            let url: Uri = text.parse().expect(text);
            assert_eq!(Destinations::Public.allow(&url), is_allowed, "{text}");
            assert!(Destinations::Any.allow(&url), "{text}");
        }
    }

    #[test]
    fn of_the_addresses_of_a_name_only_public_ones_are_used() {
        let keep = |to: Destinations, addresses: &[&str]| {
            let addresses = addresses.iter().map(|text| (text.parse().expect(text), 0));
            let kept =
                to.keep(addresses.map(<SocketAddr>::from as fn((IpAddr, u16)) -> SocketAddr));
            let ips = kept.map(|kept| kept.iter().map(|a| a.ip().to_string()).collect::<Vec<_>>());
            ips.map_err(|private| private.to_string())
        };
        let private = Err("the address 10.0.0.1 is private".to_owned());
        let one = |text: &str| Ok(vec![text.to_owned()]);
        assert_eq!(
            keep(Destinations::Public, &["10.0.0.1", "1.1.1.1"]),
            one("1.1.1.1")
        );
        assert_eq!(keep(Destinations::Public, &["10.0.0.1", "::1"]), private);
        assert_eq!(keep(Destinations::Any, &["10.0.0.1"]), one("10.0.0.1"));
        assert_eq!(keep(Destinations::Public, &[]), Ok(vec![]));
    }
}
