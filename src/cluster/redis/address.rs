//! Where Redis is, as `cluster.redis` says: a server, or Sentinels that know which server it is now.

use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisResult,
    TlsMode,
};
use tokio::sync::Mutex;

const SENTINEL_PORT: u16 = 26379;
/// After how long without a sign of life the system asks whether the other end is there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Where Redis is.
#[derive(Clone)]
pub(super) enum Address {
    Server(Box<ConnectionInfo>),
    Sentinel(Arc<Mutex<SentinelClient>>),
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence that goes on after the key; it does not show the URL, which may hold a
    /// password.
    pub(super) fn parse(url: &str) -> Result<Self, String> {
        let wrong = |error: redis::RedisError| {
            let what = error.detail().unwrap_or(error.category()).to_owned();
            format!("is no URL of a Redis: {what}")
        };
        for (scheme, is_secure) in [("redis+sentinel://", false), ("rediss+sentinel://", true)] {
            if let Some(rest) = url.strip_prefix(scheme) {
                let client = Sentinels::parse(rest)?.client(is_secure).map_err(wrong)?;
                return Ok(Self::Sentinel(Arc::new(Mutex::new(client))));
            }
        }
        let info = url.into_connection_info().map_err(wrong)?;
        let redis = info
            .redis_settings()
            .clone()
            .set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(redis).set_tcp_settings(tcp());
        // Whether it is one that this program can connect to at all.
        Client::open(info.clone()).map_err(wrong)?;
        Ok(Self::Server(Box::new(info)))
    }

    /// Returns what connects to it, as it is now.
    pub(super) async fn client(&self) -> RedisResult<Client> {
        match self {
            Self::Server(info) => Client::open(ConnectionInfo::clone(info)),
            Self::Sentinel(sentinel) => sentinel.lock().await.async_get_client().await,
        }
    }
}

/// Adds a password to a URL, which may name a user.
pub(super) fn with_password(url: &str, password: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let password = utf8_percent_encode(password, NON_ALPHANUMERIC);
    format!("{scheme}://{user}:{password}@{host}/{path}")
}

fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
}

/// `[USER:PASSWORD@]HOST[:PORT],HOST[:PORT]…/MASTER[/DATABASE]`
#[derive(Debug, PartialEq, Eq)]
struct Sentinels {
    user: Option<String>,
    password: Option<String>,
    hosts: Vec<(String, u16)>,
    master: String,
    database: i64,
}

impl Sentinels {
    fn parse(text: &str) -> Result<Self, String> {
        let decode = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8();
            let text = text.map_err(|_| "has a name or a password that is no UTF-8")?;
            Ok::<_, String>(Some(text.into_owned()).filter(|text| !text.is_empty()))
        };
        let (hosts, path) = text
            .rsplit_once('@')
            .map_or(text, |(_, rest)| rest)
            .split_once('/')
            .ok_or("names no master behind its Sentinels: redis+sentinel://HOST:26379/MASTER")?;
        let (user, password) = match text.rsplit_once('@') {
            Some((who, _)) => who.split_once(':').unwrap_or((who, "")),
            None => ("", ""),
        };
        let (master, database) = path.split_once('/').unwrap_or((path, "0"));
        let hosts = hosts.split(',').map(|host| {
            let (host, port) = match host.rsplit_once(':') {
                Some((name, port)) if !port.ends_with(']') => {
                    let port = port.parse();
                    (name, port.map_err(|_| "has a port that is no number")?)
                }
                _ => (host, SENTINEL_PORT),
            };
            let host = host.trim_start_matches('[').trim_end_matches(']');
            if host.is_empty() {
                return Err("has a Sentinel without a name".to_owned());
            }
            Ok((host.to_owned(), port))
        });
        let hosts = hosts.collect::<Result<_, String>>()?;
        if master.is_empty() {
            return Err("names no master behind its Sentinels".to_owned());
        }
        let database = database
            .parse()
            .map_err(|_| "has a database that is no number")?;
        Ok(Self {
            user: decode(user)?,
            password: decode(password)?,
            hosts,
            master: master.to_owned(),
            database,
        })
    }

    fn client(self, is_secure: bool) -> RedisResult<SentinelClient> {
        let hosts = self.hosts.into_iter();
        let hosts = hosts.map(|(host, port)| {
            if is_secure {
                ConnectionAddr::TcpTls {
                    host,
                    port,
                    insecure: false,
                    tls_params: None,
                }
            } else {
                ConnectionAddr::Tcp(host, port)
            }
        });
        let mut builder =
            SentinelClientBuilder::new(hosts, &self.master, SentinelServerType::Master)?
                .set_client_to_redis_db(self.database)
                .set_client_to_redis_protocol(ProtocolVersion::RESP3)
                .set_client_to_redis_tcp_settings(tcp())
                .set_client_to_sentinel_tcp_settings(tcp());
        if let Some(user) = self.user {
            builder = builder.set_client_to_redis_username(user);
        }
        if let Some(password) = self.password {
            builder = builder.set_client_to_redis_password(password);
        }
        if is_secure {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_added_to_the_url() {
        for (url, expected) in [
            ("redis://h", "redis://:p%40%2F@h/"),
            ("redis://me@h:1/2", "redis://me:p%40%2F@h:1/2"),
            (
                "redis+sentinel://a:1,b:2/m",
                "redis+sentinel://:p%40%2F@a:1,b:2/m",
            ),
        ] {
            assert_eq!(with_password(url, "p@/"), expected);
            assert!(Address::parse(&with_password(url, "p@/")).is_ok());
        }
    }

    #[test]
    fn urls_are_read() {
        for url in [
            "redis://10.0.0.5",
            "redis://:secret@host:6380/2",
            "rediss://user:secret@host",
            "redis+unix:///run/redis.sock",
            "redis+sentinel://a:1,b/main",
            "rediss+sentinel://user:p%40ss@a,b/main/3",
        ] {
            let address = Address::parse(url);
            assert!(address.is_ok(), "{url}: {:?}", address.err());
        }
        for url in [
            "",
            "10.0.0.5",
            "http://host",
            "redis://",
            "redis://host/x",
            "redis+sentinel://a:1",
            "redis+sentinel://a:x/main",
            "redis+sentinel:///main",
            "redis+sentinel://a/",
            "redis+sentinel://u:hunter2@a/main/x",
        ] {
            let error = Address::parse(url).err().unwrap_or_else(|| panic!("{url}"));
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn sentinels_are_read() {
        let read = Sentinels::parse("u:p%2Fq@a:1,[::1]:2,[::1],b/main/3");
        let host = |host: &str, port| (host.to_owned(), port);
        let expected = Sentinels {
            user: Some("u".to_owned()),
            password: Some("p/q".to_owned()),
            hosts: vec![
                host("a", 1),
                host("::1", 2),
                host("::1", SENTINEL_PORT),
                host("b", SENTINEL_PORT),
            ],
            master: "main".to_owned(),
            database: 3,
        };
        assert_eq!(read, Ok(expected));
    }
}
