//! The checks of the cluster.

use std::net::SocketAddr;
use std::time::Duration;

use super::Checks;
use crate::cluster::Settings;
use crate::config::Config;

/// Heartbeats come about once a second.
const LEAST: Duration = Duration::from_secs(1);
/// After a node counts as dead, others know of it within this time.
const KNOWN: Duration = Duration::from_secs(2);

impl Checks {
    pub(super) fn cluster(&mut self, config: &Config) {
        let cluster = &config.cluster;
        for (key, count) in [
            ("cluster.max_passed", cluster.max_passed),
            ("cluster.max_channels", cluster.max_channels),
        ] {
            self.require(count >= 1, key, "must be 1 or more");
        }
        let Some(redis) = &cluster.redis else {
            let alone = [
                ("cluster.listen", cluster.listen.is_some()),
                ("cluster.advertise", cluster.advertise.is_some()),
                ("cluster.secret", cluster.secret.is_some()),
                ("cluster.password", cluster.password.is_some()),
            ];
            for (key, is_set) in alone {
                let fix = "does nothing without cluster.redis, such as \"redis://10.0.0.5\"";
                self.require(!is_set, key, fix);
            }
            return;
        };
        self.redis(redis);
        self.require(
            cluster.listen.is_some(),
            "cluster.listen",
            "say where other nodes reach this one, such as \"10.0.0.1:7070\"",
        );
        self.node_addresses(cluster);
        self.require(
            cluster.secret.is_some(),
            "cluster.secret",
            "name a secret that all nodes have, such as { env = \"MIRANT_CLUSTER_SECRET\" }",
        );
        self.require(
            !cluster.prefix.is_empty()
                && cluster.prefix.len() <= 64
                && cluster
                    .prefix
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
            "cluster.prefix",
            "must be 1 to 64 letters, digits, '-', '_' and '.', such as \"mirant\"",
        );
        self.require(
            cluster.node_timeout >= LEAST,
            "cluster.node_timeout",
            "must be 1s or more, as heartbeats come about that often",
        );
        self.require(
            config.bayeux.session.max_interval >= cluster.node_timeout.saturating_add(KNOWN),
            "bayeux.max_interval",
            "must be at least 2s above cluster.node_timeout, \
             or sessions expire before it is known that a node is gone",
        );
        self.require(
            config.history.directory.is_none(),
            "history.directory",
            "must not be set in a cluster, which keeps history in Redis (cluster.redis)",
        );
    }

    fn redis(&mut self, redis: &str) {
        let schemes = ["redis://", "rediss://", "redis+sentinel://"];
        if !schemes.iter().any(|scheme| redis.starts_with(scheme)) {
            // It may hold a password.
            let fix = "must begin with redis://, rediss:// or redis+sentinel://, \
                       such as \"redis://10.0.0.5\"";
            self.refuse("cluster.redis", "\"…\"".to_owned(), fix);
        }
        let authority = redis.split_once("://").map_or("", |(_, rest)| rest);
        let user = authority
            .split('/')
            .next()
            .and_then(|host| host.rsplit_once('@'));
        if user.is_some_and(|(user, _)| user.contains(':')) {
            let fix = "must not hold a password; name it by cluster.password, \
                       such as { env = \"REDIS_PASSWORD\" }";
            self.refuse("cluster.redis", "\"…\"".to_owned(), fix);
        }
    }

    fn node_addresses(&mut self, cluster: &Settings) {
        let told = cluster.advertise.as_ref().or(cluster.listen.as_ref());
        let told = told.and_then(|told| told.parse::<SocketAddr>().ok());
        self.require(
            !told.is_some_and(|told| told.ip().is_unspecified()),
            "cluster.advertise",
            "say by which address other nodes reach this one, such as \"10.0.0.1:7070\"",
        );
        for (key, address) in [
            ("cluster.listen", &cluster.listen),
            ("cluster.advertise", &cluster.advertise),
        ] {
            let has_port = |address: &String| {
                let port = address.rsplit_once(':').map(|(_, port)| port);
                port.is_some_and(|port| port.parse::<u16>().is_ok())
            };
            self.require(
                address.as_ref().is_none_or(has_port),
                key,
                "must be an address with a port, such as \"10.0.0.1:7070\"",
            );
        }
    }
}
