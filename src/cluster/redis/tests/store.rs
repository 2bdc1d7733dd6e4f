//! Redis passes the suite of all stores, whichever way it reads.

use std::sync::Arc;

use super::super::{Redis, link};
use super::redis_server::RedisServer;
use crate::history::suite::{self, Bounds, Factory, wait};
use crate::history::{Settings, Store};

/// Opens stores in one Redis, each below a prefix of its own, that merge up to so many channels.
struct InRedis {
    server: RedisServer,
    few: usize,
}

impl Factory for InRedis {
    fn open(&self, bounds: Bounds) -> Arc<dyn Store> {
        let mut settings = self.server.settings();
        settings.prefix = link::random_name();
        let history = Settings {
            max_bytes: bounds.max_bytes,
            max_channels: bounds.max_channels,
            ..Settings::default()
        };
        let connecting = Redis::connect(&settings, &history, bounds.policy, Arc::default());
        let mut redis = wait(connecting).expect("it is there");
        let only = Arc::get_mut(&mut redis).expect("nobody else has it");
        only.few = self.few;
        redis
    }

    fn reopen(&self, _bounds: Bounds) -> Arc<dyn Store> {
        unreachable!("it is not durable");
    }

    fn has_sessions(&self) -> bool {
        false
    }
}

#[test]
fn it_does_what_every_store_does() {
    for few in [0, 2, 64] {
        let server = RedisServer::start();
        suite::all(&InRedis { server, few });
    }
}

#[test]
fn it_does_what_plain_lists_do() {
    for few in [0, 2, 64] {
        let server = RedisServer::start();
        suite::model::check(&InRedis { server, few }, 8);
    }
}
