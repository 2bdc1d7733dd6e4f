//! What mends a proxy: for nginx, HAProxy and Apache httpd, in the words of their configurations.

use std::time::Duration;

/// How much later than the server a proxy may give a request up.
const LATER: Duration = Duration::from_secs(30);

/// What is wrong with a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It holds back what is streamed.
    Buffers,
    /// It gives requests up that the server holds for so long.
    CutsIdle(Duration),
    /// It does not pass on that a WebSocket is asked for.
    DropsUpgrade,
    /// It passes on another host.
    ChangesHost,
    /// It does not say whom it speaks for.
    HidesClient,
}

/// A program that is a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Nginx,
    HaProxy,
    Apache,
}

impl Program {
    const ALL: [Self; 3] = [Self::Nginx, Self::HaProxy, Self::Apache];

    /// Recognises it by the `Server` header of a response; HAProxy sets none.
    pub(super) fn of(program: Option<&str>) -> Option<Self> {
        let name = program?.split(['/', ' ']).next()?.to_ascii_lowercase();
        match &*name {
            "nginx" | "openresty" => Some(Self::Nginx),
            "haproxy" => Some(Self::HaProxy),
            "apache" => Some(Self::Apache),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Apache => "Apache",
        }
    }

    fn mends(self, cause: Cause) -> String {
        let text = match (cause, self) {
            (Cause::CutsIdle(hold), _) => {
                let seconds = hold.saturating_add(LATER).as_secs();
                return match self {
                    Self::Nginx => format!("`proxy_read_timeout {seconds}s;`"),
                    Self::HaProxy => {
                        format!("`timeout server {seconds}s` and `timeout client {seconds}s`")
                    }
                    Self::Apache => format!("`timeout={seconds}` in ProxyPass"),
                };
            }
            (Cause::Buffers, Self::Nginx) => {
                "`proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering`"
            }
            (Cause::Buffers, Self::HaProxy) => "`option http-no-delay`",
            (Cause::Buffers, Self::Apache) => {
                "no output filter there that waits for more (`SetOutputFilter`, `AddOutputFilterByType`, \
                 `SecResponseBodyAccess On`)"
            }
            (Cause::DropsUpgrade, Self::Nginx) => {
                "`proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
                 $mirant_connection;`, with the `map` of examples/nginx.conf"
            }
            (Cause::DropsUpgrade, Self::HaProxy) => {
                "`mode http` without `http-request del-header Upgrade` or `option httpclose`"
            }
            (Cause::DropsUpgrade, Self::Apache) => {
                "`upgrade=websocket` in ProxyPass (2.4.47 or newer)"
            }
            (Cause::ChangesHost, Self::Nginx) => "`proxy_set_header Host $http_host;`",
            (Cause::ChangesHost, Self::HaProxy) => "no `http-request set-header Host`",
            (Cause::ChangesHost, Self::Apache) => "`ProxyPreserveHost On`",
            (Cause::HidesClient, Self::Nginx) => {
                "`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`"
            }
            (Cause::HidesClient, Self::HaProxy) => "`option forwardfor`",
            (Cause::HidesClient, Self::Apache) => "`ProxyAddHeaders On`",
        };
        text.to_owned()
    }
}

/// Names what mends it: of the proxy that is there, or of all where that is not known.
pub(super) fn fix(cause: Cause, proxy: Option<Program>) -> String {
    let all = proxy.map_or(Program::ALL.to_vec(), |proxy| vec![proxy]);
    let each = all.into_iter();
    let each = each.map(|proxy| format!("{}: {}", proxy.name(), proxy.mends(cause)));
    each.collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_by_what_it_says() {
        for (program, expected) in [
            (None, None),
            (Some(""), None),
            (Some("nginx"), Some(Program::Nginx)),
            (Some("nginx/1.22.1"), Some(Program::Nginx)),
            (Some("Apache/2.4.62 (Debian)"), Some(Program::Apache)),
            (Some("cloudflare"), None),
        ] {
            assert_eq!(Program::of(program), expected, "{program:?}");
        }
    }

    #[test]
    fn the_fix_is_that_of_the_proxy_or_of_each() {
        let cause = Cause::CutsIdle(Duration::from_secs(30));
        assert_eq!(
            fix(cause, Some(Program::Nginx)),
            "nginx: `proxy_read_timeout 60s;`"
        );
        let all = fix(cause, None);
        for part in [
            "nginx: `proxy_read_timeout 60s;` | ",
            "HAProxy: `timeout server 60s` and `timeout client 60s` | ",
            "Apache: `timeout=60` in ProxyPass",
        ] {
            assert!(all.contains(part), "{all}");
        }
    }
}
