//! Which web pages may talk to the server, and what a browser is told; knows nothing of requests' contents.

use std::fmt;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, HOST, HeaderName, HeaderValue, ORIGIN,
    REFERER,
};
use http::uri::Authority;
use thiserror::Error;

use super::Headers;

/// Where a request comes from, in a browser's own words (Fetch Metadata Request Headers).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What the list says when every origin is allowed.
const ANY: &str = "*";
/// The longest list of header names that a preflight's answer repeats, in bytes.
const MAX_REQUEST_HEADERS: usize = 1024;
/// The headers that clients are known to send.
const KNOWN_HEADERS: &str = "content-type, pragma, x-requested-with, authorization";
/// How much of an origin a refusal repeats.
const ORIGIN_SHOWN: usize = 120;

/// An entry of the list is neither an origin nor `*`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "http.allowed_origins: {0:?} is neither \"*\" nor an origin such as \"https://www.example.com\" or \"https://*.example.com\" (without a path or a slash at the end)"
)]
pub struct NotAnOrigin(pub String);

/// Whether a request may be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It comes from a page of this server.
    SameOrigin,
    /// It does not say where it comes from, as those of programs and of a user who types an address; and
    /// as those of a script element of any page, if its page wants that and the address is not one that
    /// browsers trust: over plain HTTP they send no `Sec-Fetch-Site`.
    Unsaid,
    /// It comes from a page of an allowed origin; an origin given here is to be echoed.
    Allowed(Option<HeaderValue>),
    /// It is to be refused, for this reason of one line.
    Refused(String),
}

impl Verdict {
    /// Returns the origin that the answer has to echo, for its page to read it.
    #[must_use]
    pub fn echoed(self) -> Option<HeaderValue> {
        match self {
            Self::Allowed(origin) => origin,
            Self::SameOrigin | Self::Unsaid | Self::Refused(_) => None,
        }
    }
}

/// The origins whose pages may use the server across origins.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins {
    is_any: bool,
    origins: Vec<Origin>,
    /// The same without the `*.` that they begin with.
    subdomains: Vec<Origin>,
}

impl AllowedOrigins {
    /// Reads the list of the configuration, in which `*` stands for every origin, and `*.` before a host
    /// for one or more labels.
    ///
    /// # Errors
    ///
    /// The first entry that is not an origin.
    pub fn new(list: &[String]) -> Result<Self, NotAnOrigin> {
        let mut allowed = Self::default();
        for entry in list {
            if entry == ANY {
                allowed.is_any = true;
            } else {
                let (list, text) = match entry.split_once("://*.") {
                    Some((scheme, domain)) => {
                        (&mut allowed.subdomains, format!("{scheme}://{domain}"))
                    }
                    None => (&mut allowed.origins, entry.clone()),
                };
                let origin = Origin::parse(&text).filter(|origin| !origin.host.contains('*'));
                list.push(origin.ok_or_else(|| NotAnOrigin(entry.clone()))?);
            }
        }
        Ok(allowed)
    }

    /// Judges a request, preflight or upgrade by its headers.
    ///
    /// A browser's `Sec-Fetch-Site` is believed first, as it knows the scheme, which this server
    /// behind a proxy does not; then `Origin`; then `Referer`, all that a script element sends.
    pub fn check(&self, headers: &Headers) -> Verdict {
        let site = headers.get(&SEC_FETCH_SITE);
        match site {
            Some(b"same-origin") => return Verdict::SameOrigin,
            // By a user, or by a link in another program, such as a mail.
            Some(b"none") => return Verdict::Unsaid,
            _ => {}
        }
        // A browser that says `same-site` or `cross-site` has compared more than the host.
        let host = if site.is_some() {
            None
        } else {
            sole(headers, &HOST)
        };
        if headers.contains(&ORIGIN) {
            return self.check_origin(sole(headers, &ORIGIN), host);
        }
        let referer = headers.get(&REFERER).filter(|value| !value.is_empty());
        match referer {
            Some(referer) => self.check_referer(referer, host),
            None if self.is_any => Verdict::Allowed(None),
            None if site.is_none() => Verdict::Unsaid,
            None => Verdict::Refused(
                "a cross-site request that names no origin is refused: send it from a page of \
                 http.allowed_origins, with a Referer"
                    .to_owned(),
            ),
        }
    }

    fn check_origin(&self, header: Option<&[u8]>, host: Option<&[u8]>) -> Verdict {
        let header = header.and_then(|value| HeaderValue::from_bytes(value).ok());
        let text = header.as_ref().and_then(|value| value.to_str().ok());
        let Some(text) = text else {
            return malformed("Origin");
        };
        if text == "null" {
            if self.is_any {
                return Verdict::Allowed(header);
            }
            return Verdict::Refused(
                "a page without an origin (a sandboxed frame, a local file) is refused: serve it \
                 from one of http.allowed_origins"
                    .to_owned(),
            );
        }
        let Some(origin) = Origin::parse(text) else {
            return malformed("Origin");
        };
        if host.is_some_and(|host| origin.is_at(host)) {
            return Verdict::SameOrigin;
        }
        if self.allows(&origin) {
            return Verdict::Allowed(header);
        }
        refused(&origin)
    }

    fn check_referer(&self, header: &[u8], host: Option<&[u8]>) -> Verdict {
        let origin = str::from_utf8(header).ok().and_then(Origin::of_url);
        match origin {
            Some(origin) if host.is_some_and(|host| origin.is_at(host)) => Verdict::SameOrigin,
            Some(origin) if !self.allows(&origin) => refused(&origin),
            Some(_) => Verdict::Allowed(None),
            None => malformed("Referer"),
        }
    }

    fn allows(&self, origin: &Origin) -> bool {
        self.is_any
            || self.origins.contains(origin)
            || self.subdomains.iter().any(|domain| origin.is_below(domain))
    }
}

/// Returns the headers that answer a preflight from an allowed origin, beside those of every response
/// to it.
///
/// `methods` are those of the path, `request_headers` is the preflight's
/// `Access-Control-Request-Headers`.
pub fn preflight_headers(
    methods: &'static str,
    request_headers: Option<&[u8]>,
) -> [(HeaderName, HeaderValue); 3] {
    let allowed_headers = request_headers
        .filter(|names| is_token_list(names))
        .and_then(|names| HeaderValue::from_bytes(names).ok())
        .unwrap_or(HeaderValue::from_static(KNOWN_HEADERS));
    [
        (
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        ),
        (ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600")),
    ]
}

/// Returns the headers of a response to an allowed origin; `Vary` is left to the caller.
pub fn response_headers(origin: &HeaderValue) -> [(HeaderName, HeaderValue); 2] {
    [
        (ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()),
        (
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        ),
    ]
}

/// A scheme, a host and a port, in lower case and without a default port.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme_byte = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            || !scheme.bytes().all(is_scheme_byte)
        {
            return None;
        }
        let (host, port) = match (scheme.as_str(), authority) {
            // Web views of phone applications send `file://`.
            ("file", "") => (String::new(), None),
            _ => host_and_port(authority, &scheme)?,
        };
        Some(Self { scheme, host, port })
    }

    fn of_url(url: &str) -> Option<Self> {
        let start = url.find("://")? + "://".len();
        let length = url[start..].find(['/', '?', '#']);
        Self::parse(length.map_or(url, |length| &url[..start + length]))
    }

    /// Whether it is of a subdomain, of one or more labels.
    fn is_below(&self, domain: &Self) -> bool {
        let labels = self.host.strip_suffix(&domain.host);
        let labels = labels.and_then(|labels| labels.strip_suffix('.'));
        (&self.scheme, self.port) == (&domain.scheme, domain.port)
            && labels.is_some_and(|labels| !labels.is_empty())
    }

    /// Whether a request with this `Host` header went to where the page came from.
    fn is_at(&self, host: &[u8]) -> bool {
        let authority = str::from_utf8(host).ok();
        let Some((host, port)) = authority.and_then(|text| host_and_port(text, &self.scheme))
        else {
            return false;
        };
        self.host == host && self.port == port
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

fn host_and_port(authority: &str, scheme: &str) -> Option<(String, Option<u16>)> {
    if !authority.is_ascii() || authority.contains('@') {
        return None;
    }
    let parsed: Authority = authority.parse().ok()?;
    let host = parsed.host();
    let port = match authority.strip_prefix(host)? {
        "" | ":" => None,
        port => Some(port.strip_prefix(':')?.parse().ok()?),
    };
    let default_port = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    let port = port.filter(|port| Some(*port) != default_port);
    (!host.is_empty()).then(|| (host.to_ascii_lowercase(), port))
}

/// The header, if the request has it once.
fn sole<'a>(headers: &'a Headers, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name);
    values.next().filter(|_| values.next().is_none())
}

fn refused(origin: &Origin) -> Verdict {
    let shown: String = origin.to_string().chars().take(ORIGIN_SHOWN).collect();
    Verdict::Refused(format!(
        "pages of {shown} are refused: add that origin to http.allowed_origins"
    ))
}

fn malformed(header: &str) -> Verdict {
    Verdict::Refused(format!(
        "the {header} header is malformed, so http.allowed_origins cannot be checked"
    ))
}

fn is_token_list(names: &[u8]) -> bool {
    names.len() <= MAX_REQUEST_HEADERS
        && names
            .split(|byte| *byte == b',')
            .all(|name| HeaderName::from_bytes(name.trim_ascii()).is_ok())
}

#[cfg(test)]
mod tests;
