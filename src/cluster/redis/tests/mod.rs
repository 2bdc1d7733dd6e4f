//! The parts that need a Redis, with one that each test starts itself.

mod backplane;
mod faults;
mod redis_server;
mod registry;
mod store;

use std::sync::Arc;

use super::{ConnectError, Redis};
use crate::cluster::{Interest, Settings};
use crate::history::{self, Policy};

async fn connect(
    settings: &Settings,
    policy: Policy,
    interest: &Arc<Interest>,
) -> Result<Arc<Redis>, ConnectError> {
    let history = history::Settings::default();
    Redis::connect(settings, &history, policy, Arc::clone(interest)).await
}
