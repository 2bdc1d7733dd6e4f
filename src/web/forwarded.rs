//! Whom proxies say they speak for: `X-Forwarded-For`, and `Forwarded` (RFC 7239).
//!
//! Every proxy adds the address of whoever asked it at the end of the list, so only the end can be trusted:
//! it is read from there, as far as proxies go that are trusted themselves. What stands before may be
//! anything, and must not change how the end is read.

use std::net::IpAddr;

use http::{HeaderName, header};
use serde::{Deserialize, Serialize};

use super::Headers;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// More proxies than any request passes; what stands before is not looked at.
const MAX_HOPS: usize = 32;

/// The header by which trusted proxies name their clients. The other one means nothing: a proxy that does not
/// set it passes on what its client has written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, a list of addresses.
    #[default]
    XForwardedFor,
    /// `Forwarded`, in whose elements `for` names the client.
    Forwarded,
}

impl ForwardedHeader {
    /// Finds the address of the client: the last in the list that is of no trusted proxy. If what stands
    /// there is no address, it is that of the last proxy before which that is so; nothing if that is the
    /// one that has connected. If all are trusted, it is the first.
    #[must_use]
    pub fn client(self, headers: &Headers, is_trusted: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let (name, node): (_, fn(&str) -> Option<IpAddr>) = match self {
            Self::XForwardedFor => (&X_FORWARDED_FOR, address),
            Self::Forwarded => (&header::FORWARDED, forwarded_for),
        };
        let lines = headers.get_all(name).rev();
        let mut found = None;
        for element in lines.flat_map(elements_from_the_end).take(MAX_HOPS) {
            let Some(address) = str::from_utf8(element).ok().and_then(node) else {
                break;
            };
            found = Some(address);
            if !is_trusted(address) {
                break;
            }
        }
        found
    }
}

/// Splits a list at its commas, last element first, and leaves empty elements out. Quotes are read from the
/// end too: one that a client has left open hides nothing that was added behind it.
fn elements_from_the_end(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(list);
    std::iter::from_fn(move || {
        let list = left?;
        let comma = from_the_end(list, b',');
        left = comma.map(|at| &list[..at]);
        Some(list[comma.map_or(0, |at| at + 1)..].trim_ascii())
    })
    .filter(|element| !element.is_empty())
}

/// Finds the last of these separators that is within no quotes.
fn from_the_end(text: &[u8], separator: u8) -> Option<usize> {
    let mut is_quoted = false;
    (0..text.len()).rev().find(|&at| {
        if text[at] == b'"' && !is_escaped(text, at) {
            is_quoted = !is_quoted;
        }
        text[at] == separator && !is_quoted
    })
}

/// Tells whether an odd number of backslashes stands before.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text[..at].iter().rev();
    before.take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// Reads the `for` of an element of `Forwarded`, which it has once.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    let mut left = Some(element);
    while let Some(pairs) = left {
        let at = from_the_end(pairs.as_bytes(), b';');
        left = at.map(|at| &pairs[..at]);
        let pair = pairs[at.map_or(0, |at| at + 1)..].trim();
        if pair.is_empty() {
            continue;
        }
        let (name, value) = pair.split_once('=')?;
        if name.eq_ignore_ascii_case("for") && found.replace(address(value)?).is_some() {
            return None;
        }
    }
    found
}

/// Reads an address as proxies write it: alone, in quotes, in brackets if it is of IPv6, with a port; not
/// what hides one (`unknown`, `_hidden`).
fn address(text: &str) -> Option<IpAddr> {
    let is_quoted = |text: &str| text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
    let node = match text {
        quoted if is_quoted(quoted) => &quoted[1..quoted.len() - 1],
        token => token,
    };
    let address = match node.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) => {
            let is_port = port.strip_prefix(':').is_some_and(is_port);
            let v6 = v6.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6);
            v6.filter(|_| port.is_empty() || is_port)
        }
        None => match node.split_once(':') {
            // More than one colon is an address of IPv6 without brackets.
            Some((v4, port)) if !port.contains(':') => v4.parse().ok().filter(|_| is_port(port)),
            _ => node.parse().ok(),
        },
    };
    address.map(|address| address.to_canonical())
}

/// A port, or what hides one (RFC 7239 section 6).
fn is_port(text: &str) -> bool {
    let is_hidden = |rest: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !rest.is_empty() && rest.bytes().all(is_allowed)
    };
    match text.strip_prefix('_') {
        Some(rest) => is_hidden(rest),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests;
