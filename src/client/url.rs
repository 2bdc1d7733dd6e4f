//! The address of a server.

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

/// The path of the endpoint if the address names none.
const PATH: &str = "/cometd";

/// An address of the form `http://host:port/path`, or `https://…`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    /// Whether TLS is spoken.
    pub(crate) is_secure: bool,
    /// Host and port, as the `Host` header wants them.
    pub(crate) authority: String,
    /// The host alone; an IPv6 address without its brackets.
    pub(crate) host: String,
    port: u16,
    /// The path, which begins with a slash; nothing if the address names none.
    path: Option<String>,
}

impl Url {
    /// The path of the endpoint.
    pub(crate) fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(PATH)
    }

    /// The address of something at this one's path, which may have its beginning or all of it already: of an
    /// endpoint of the HTTP API.
    pub(crate) fn below(&self, beginning: &str, rest: &str) -> String {
        let base = self.path.as_deref().unwrap_or_default();
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix(rest).unwrap_or(base);
        let base = base.strip_suffix(beginning).unwrap_or(base);
        format!("{}{}{base}{beginning}{rest}", self.scheme(), self.authority)
    }

    /// The address of the endpoint, whole.
    ///
    /// # Errors
    /// It is none that HTTP/2 takes.
    pub(crate) fn endpoint(&self) -> Result<http::Uri, http::uri::InvalidUri> {
        format!("{}{}{}", self.scheme(), self.authority, self.path()).parse()
    }

    /// Looks the host up.
    ///
    /// # Errors
    /// It is unknown.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let found = tokio::net::lookup_host((&*self.host, self.port)).await?;
        Ok(found.collect())
    }

    fn scheme(&self) -> &'static str {
        match self.is_secure {
            true => "https://",
            false => "http://",
        }
    }
}

impl FromStr for Url {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "expected http://host:port/path, or the same with https";
        let (is_secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(FORM),
        };
        if !is_plain(rest) {
            return Err("only host, port and path may stand in it: no user, query or fragment");
        }
        let (authority, path) = match rest.find('/') {
            Some(slash) => (&rest[..slash], &rest[slash..]),
            None => (rest, ""),
        };
        let is_bare = authority.ends_with(']') || !authority.contains(':');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !is_bare => (host, port.parse().map_err(|_| FORM)?),
            _ => (authority, if is_secure { 443 } else { 80 }),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err(FORM);
        }
        Ok(Self {
            is_secure,
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            path: Some(path.to_owned()).filter(|path| !matches!(&**path, "" | "/")),
        })
    }
}

/// Reads a path of the server's.
pub(crate) fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && is_plain(text) {
        Ok(text.to_owned())
    } else {
        Err("only a path such as /events is accepted".to_owned())
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"@?#".contains(&byte))
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.scheme(), self.authority, self.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_paths_have_defaults() {
        // (URL, host, port, as it is shown)
        let cases = [
            (
                "http://[::1]:8080/cometd",
                "::1",
                8080,
                "http://[::1]:8080/cometd",
            ),
            ("http://a", "a", 80, "http://a/cometd"),
            ("http://[::1]/", "::1", 80, "http://[::1]/cometd"),
            ("https://a/b/c", "a", 443, "https://a/b/c"),
            ("https://a:1/b", "a", 1, "https://a:1/b"),
        ];
        for (text, host, port, shown) in cases {
            let url: Url = text.parse().unwrap();
            assert_eq!((&*url.host, url.port), (host, port), "{text}");
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.is_secure, text.starts_with("https"), "{text}");
        }
    }

    #[test]
    fn accepts_nothing_but_host_port_and_path() {
        for bad in [
            "a",
            "a:1/b",
            "ftp://a/b",
            "http://",
            "http:///b",
            "http://:1/b",
            "http://a:/b",
            "http://a:70000/b",
            "http://u@a:1/b",
            "http://a:1/b?c",
            "http://a:1/b\r\nX: y",
            "http://a:1/b c",
        ] {
            assert!(bad.parse::<Url>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_lies_below_has_no_default_above_it() {
        for (text, expected) in [
            ("http://a:1", "http://a:1/api/x"),
            ("http://a:1/", "http://a:1/api/x"),
            ("http://a:1/api", "http://a:1/api/x"),
            ("http://a:1/api/x/", "http://a:1/api/x"),
            ("https://a/b/", "https://a/b/api/x"),
            ("https://a/b/api", "https://a/b/api/x"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.below("/api", "/x"), expected, "{text}");
        }
    }

    #[test]
    fn accepts_only_plain_paths() {
        assert_eq!(parse_path("/events"), Ok("/events".to_owned()));
        for bad in ["", "events", "/a?b", "/a b", "http://a:1/b"] {
            assert!(parse_path(bad).is_err(), "{bad}");
        }
    }
}
