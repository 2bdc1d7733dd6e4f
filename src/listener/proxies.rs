//! The proxies that are trusted to name their clients, and whom they name.

use std::net::IpAddr;

use super::settings::Settings;
use crate::network::Network;
use crate::peer::Peer;
use crate::web::forwarded::ForwardedHeader;
use crate::web::{Head, Socket};

/// The entry that stands for whoever connects to a Unix socket.
const UNIX: &str = "unix";

/// Why an entry of `http.trusted_proxies` names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("http.trusted_proxies: {entry:?} {fix}")]
pub struct NotAProxy {
    /// The entry.
    pub entry: String,
    /// What to write instead.
    pub fix: String,
}

/// The proxies that are trusted to name their clients.
#[derive(Debug, Default)]
pub struct Proxies {
    networks: Box<[Network]>,
    trusts_unix: bool,
    header: ForwardedHeader,
    /// They say whose connection it is before all else.
    speak_first: bool,
}

impl Proxies {
    /// Reads which they are.
    ///
    /// # Errors
    /// An entry is neither an address, nor a network, nor `unix`.
    pub fn new(http: &Settings) -> Result<Self, NotAProxy> {
        let (unix, others): (Vec<_>, Vec<_>) = http
            .trusted_proxies
            .iter()
            .partition(|entry| *entry == UNIX);
        let networks = others.into_iter().map(|entry| {
            Network::parse(entry).map_err(|fix| NotAProxy {
                entry: entry.clone(),
                fix: format!("{fix}; or \"unix\" for those that connect to a Unix socket"),
            })
        });
        Ok(Self {
            networks: networks.collect::<Result<_, _>>()?,
            trusts_unix: !unix.is_empty(),
            header: http.forwarded_header,
            speak_first: http.proxy_protocol,
        })
    }

    /// Tells whether who has connected is one of them.
    pub(super) fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Inet(ip, _) => self.has(ip),
            Peer::Unix(_) => self.trusts_unix,
            Peer::Behind(_) => false,
        }
    }

    /// Tells whether their connections begin with a header of the PROXY protocol.
    pub(super) fn speak_first(&self) -> bool {
        self.speak_first
    }

    fn has(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(ip))
    }

    /// Takes notice of whose request has come, if a trusted proxy has connected. However a request came, this
    /// is asked before it is served.
    pub(super) fn identify(&self, head: &Head, socket: &mut Socket) {
        if socket.is_proxied() {
            let client = self.header.client(&head.headers, |ip| self.has(ip));
            socket.set_client(client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(entries: &[&str]) -> Result<Proxies, NotAProxy> {
        let entries = entries.iter().map(|&entry| entry.to_owned());
        Proxies::new(&Settings {
            trusted_proxies: entries.collect(),
            ..Settings::default()
        })
    }

    #[test]
    fn those_are_trusted_that_are_named() {
        let inet = |ip: &str| Peer::Inet(ip.parse().expect("an address"), 80);
        let peers = [
            inet("127.0.0.1"),
            inet("10.1.2.3"),
            inet("::1"),
            Peer::Unix(None),
        ];
        let cases: [(&[&str], [bool; 4]); 5] = [
            (&[], [false; 4]),
            (&["127.0.0.1"], [true, false, false, false]),
            (&["10.0.0.0/8", "::1"], [false, true, true, false]),
            (&["unix"], [false, false, false, true]),
            (&["0.0.0.0/0", "unix"], [true, true, false, true]),
        ];
        for (entries, expected) in cases {
            let proxies = proxies(entries).expect("proxies");
            assert_eq!(
                peers.map(|peer| proxies.trusts(peer)),
                expected,
                "{entries:?}"
            );
        }
    }

    #[test]
    fn what_names_no_proxy_is_refused_with_what_to_write() {
        for entry in ["", "localhost", "10.0.0.1/8", "unix:/run/x.sock", "*"] {
            let error = proxies(&["::1", entry]).expect_err(entry).to_string();
            assert!(error.starts_with("http.trusted_proxies: \""), "{error}");
            assert!(
                error.contains("write") || error.contains("must be"),
                "{error}"
            );
        }
    }
}
