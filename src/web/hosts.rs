//! The hosts that a listener answers for. A page that has given its own name the address of this server
//! (DNS rebinding) counts as a page of it, but cannot hide by which name it asks.

use std::net::{IpAddr, Ipv6Addr};

use http::header::HOST;
use http::uri::Authority;

use super::Head;

/// What the list says when every host is served.
const ANY: &str = "*";
/// How much of a host a refusal repeats.
const HOST_SHOWN: usize = 120;

/// The hosts of a listener.
#[derive(Debug)]
pub struct Hosts {
    /// The key that names them.
    key: &'static str,
    is_any: bool,
    /// Whether `localhost` and all addresses are served, which nobody can give to his own pages.
    has_own: bool,
    names: Vec<String>,
}

impl Hosts {
    /// The hosts of a list, or any if that is empty.
    #[must_use]
    pub fn listed(key: &'static str, list: &[String]) -> Self {
        Self {
            is_any: list.is_empty() || list.iter().any(|name| name == ANY),
            has_own: false,
            names: list.iter().map(|name| canonical(name)).collect(),
            key,
        }
    }

    /// Addresses, `localhost`, and the hosts of a list.
    #[must_use]
    pub fn own_and(key: &'static str, list: &[String]) -> Self {
        Self {
            is_any: list.iter().any(|name| name == ANY),
            has_own: true,
            ..Self::listed(key, list)
        }
    }

    /// Tells whether the host of a request is one of them; returns the reason if not. A request that
    /// names none is of no page.
    ///
    /// # Errors
    /// It is another one.
    pub fn check(&self, head: &Head) -> Result<(), String> {
        if self.is_any {
            return Ok(());
        }
        // Of a target that is a whole URL it is the host that counts; proxies may pass on either.
        let field = head.headers.get(&HOST);
        let field = field.and_then(|value| Authority::try_from(value).ok());
        let named = [field.as_ref().map(Authority::host), head.uri.host()];
        match named.into_iter().flatten().find(|host| !self.has(host)) {
            Some(host) => {
                let shown: String = host.chars().take(HOST_SHOWN).collect();
                Err(format!(
                    "the host {shown} is not served here: add it to {}",
                    self.key
                ))
            }
            None => Ok(()),
        }
    }

    fn has(&self, host: &str) -> bool {
        let host = canonical(host);
        let is_own = || host == "localhost" || host.ends_with(".localhost") || is_address(&host);
        (self.has_own && is_own()) || self.names.iter().any(|name| is_named(name, &host))
    }
}

/// Tells whether a host is the one of this name, or one of those below it.
fn is_named(name: &str, host: &str) -> bool {
    match name.strip_prefix('*') {
        Some(above) => host.len() > above.len() && host.ends_with(above),
        None => name == host,
    }
}

/// Writes a host in one way of several.
fn canonical(host: &str) -> String {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match inner.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
        Some(address) => address.to_string(),
        None => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

fn is_address(canonical: &str) -> bool {
    canonical.parse::<IpAddr>().is_ok()
}

/// Returns what to write instead, if an entry of a list is none.
#[must_use]
pub fn fix(entry: &str) -> Option<&'static str> {
    let name = entry.strip_prefix("*.").unwrap_or(entry);
    let is_host = Authority::try_from(name).is_ok_and(|authority| authority.host() == name);
    if entry == ANY || (is_host && !name.is_empty() && !name.contains('*')) {
        None
    } else {
        Some(
            "write a host without scheme and port, such as \"push.example.com\", \"*.example.com\" or \"[::1]\"",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_hosts() {
        let cases = [
            ("push.example.com", true),
            ("*.example.com", true),
            ("*", true),
            ("[::1]", true),
            ("127.0.0.1", true),
            ("my_service", true),
            ("https://example.com", false),
            ("example.com:80", false),
            ("a.*.example.com", false),
            ("*example.com", false),
            ("", false),
            ("*.", false),
            ("a b", false),
            ("::1", false),
        ];
        for (entry, is_host) in cases {
            assert_eq!(fix(entry).is_none(), is_host, "{entry}");
        }
    }
}
