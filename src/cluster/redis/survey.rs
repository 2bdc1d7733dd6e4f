//! What an operator is to know of a Redis before a node relies on it; nothing is changed there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::RedisResult;
use tokio::time::timeout;

use super::address::{Address, with_password};
use super::keys::Keys;
use super::link::Link;
use super::trouble::{Trouble, field};
use crate::cluster::Settings;

/// What was seen of a Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its version.
    pub version: String,
    /// Whether it takes no writes, as it only follows another.
    pub is_replica: bool,
    /// What it does when its memory is full: `noeviction`, or what it evicts.
    pub eviction: String,
    /// When that is, in bytes; 0: never.
    pub max_memory: u64,
    /// Whether it has everything again after a restart (`appendonly`).
    pub is_kept: bool,
    /// Its time of day, and ours when that was asked.
    pub clocks: (SystemTime, SystemTime),
}

/// Looks at the Redis of a cluster, which takes at most a few times `cluster.call_timeout`.
///
/// # Errors
/// Why it cannot be used, as a sentence that goes on after its name.
pub async fn survey(settings: &Settings, password: Option<&str>) -> Result<Survey, String> {
    let url = settings.redis.as_deref().unwrap_or_default();
    let url = match password {
        Some(password) => with_password(url, password),
        None => url.to_owned(),
    };
    let link = Link::new(
        Address::parse(&url)?,
        settings.call_timeout,
        Keys::new(&settings.prefix),
    );
    let connected = link.connect(link.config(), link.timeout()).await;
    let (mut connection, _) = connected.map_err(|trouble| match trouble {
        Trouble::Refused(why) | Trouble::Away(why) => format!("cannot be used: {why}"),
    })?;
    let asking = async {
        let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
        let before = SystemTime::now();
        let time: (u64, u64) = redis::cmd("TIME").query_async(&mut connection).await?;
        RedisResult::Ok((info, time, before))
    };
    let asked = timeout(link.timeout(), asking).await;
    let asked = asked.map_err(|_| "does not answer".to_owned())?;
    let (info, (seconds, micros), before) = asked.map_err(|error| format!("refuses: {error}"))?;
    let took = before.elapsed().unwrap_or_default();
    let theirs = UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros);
    let text = |name| field(&info, name).unwrap_or("unknown").to_owned();
    Ok(Survey {
        version: text("redis_version"),
        is_replica: field(&info, "role") == Some("slave"),
        eviction: text("maxmemory_policy"),
        max_memory: text("maxmemory").parse().unwrap_or_default(),
        is_kept: field(&info, "aof_enabled") == Some("1"),
        clocks: (theirs, before + took / 2),
    })
}
