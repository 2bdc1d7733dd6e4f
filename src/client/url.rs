//! The address of a server.

use std::str::FromStr;

/// An address of the form `http://host:port/path`.
#[derive(Debug, Clone)]
pub(crate) struct Url {
    /// Host and port, as the `Host` header wants them.
    pub(crate) authority: String,
    /// The path, which begins with a slash.
    pub(crate) path: String,
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "only http://host:port/path is accepted";
        if text.starts_with("https://") {
            return Err(format!(
                "{FORM}: no TLS is spoken, so name the port behind it"
            ));
        }
        let rest = text.strip_prefix("http://").ok_or(FORM)?;
        let slash = rest.find('/').ok_or(FORM)?;
        let (authority, path) = rest.split_at(slash);
        let (host, port) = authority
            .rsplit_once(':')
            .ok_or_else(|| format!("{FORM}: the port is missing, as in {authority}:80"))?;
        if host.is_empty() || port.parse::<u16>().is_err() || !is_plain(rest) {
            return Err(FORM.to_owned());
        }
        Ok(Self {
            authority: authority.to_owned(),
            path: path.to_owned(),
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
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_plain_http_urls_with_port_and_path() {
        let url: Url = "http://[::1]:8080/cometd".parse().unwrap();
        assert_eq!((&*url.authority, &*url.path), ("[::1]:8080", "/cometd"));
        assert_eq!(url.to_string(), "http://[::1]:8080/cometd");
        for bad in [
            "https://a:1/b",
            "http://a/b",
            "http://a:1",
            "http://:1/b",
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
    fn accepts_only_plain_paths() {
        assert_eq!(parse_path("/events"), Ok("/events".to_owned()));
        for bad in ["", "events", "/a?b", "/a b", "http://a:1/b"] {
            assert!(parse_path(bad).is_err(), "{bad}");
        }
    }
}
