//! The Redis of a cluster: whether it is there, its settings, and its clock.

use std::time::Duration;

use super::clock;
use super::finding::Finding;
use crate::cluster::{self, Survey, survey};
use crate::run::cluster_secrets;

const REDIS: &str = "redis";
/// Nodes refuse each other's requests if their clocks are further apart than this.
const APART: Duration = Duration::from_secs(60);

/// Looks at it, if there is a cluster; nothing is changed there.
pub(super) async fn check(settings: &cluster::Settings) -> Vec<Finding> {
    if settings.redis.is_none() {
        return Vec::new();
    }
    // That it cannot be read is found where secrets are.
    let Ok((_, password)) = cluster_secrets(settings) else {
        return Vec::new();
    };
    match survey(settings, password.as_deref()).await {
        Ok(seen) => judge(&seen),
        Err(why) => {
            let fix = "start it, or correct cluster.redis and cluster.password";
            vec![Finding::wrong(REDIS, format!("cluster.redis {why}"), fix)]
        }
    }
}

fn judge(seen: &Survey) -> Vec<Finding> {
    let version = &seen.version;
    let there = match seen.is_replica {
        false => Finding::ok(REDIS, format!("Redis {version} answers")),
        true => Finding::wrong(
            REDIS,
            format!("Redis {version} answers, and takes no writes, as it is a replica"),
            "cluster.redis names the master, or Sentinels that know it: redis+sentinel://HOST:26379/MASTER",
        ),
    };
    let policy = format!("maxmemory-policy is {}", seen.eviction);
    let fix = "maxmemory-policy noeviction in redis.conf";
    let evicts = match (&*seen.eviction, seen.max_memory) {
        ("noeviction", _) => Finding::ok(REDIS, policy),
        (_, 0) => Finding::warning(REDIS, format!("{policy}, and maxmemory is not set"), fix),
        _ => Finding::wrong(
            REDIS,
            format!("{policy}: sessions and history get lost"),
            fix,
        ),
    };
    let kept = match seen.is_kept {
        true => Finding::ok(REDIS, "appendonly is on"),
        false => Finding::warning(
            REDIS,
            "appendonly is off: history is gone when Redis starts again",
            "appendonly yes in redis.conf",
        ),
    };
    let (theirs, ours) = seen.clocks;
    vec![
        there,
        evicts,
        kept,
        clock::judge("Redis", theirs, ours, APART),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::cli::doctor::finding::State::{self, Ok, Warning, Wrong};

    #[test]
    fn what_may_lose_something_is_told() {
        let now = SystemTime::now();
        let good = Survey {
            version: "7.0.15".to_owned(),
            is_replica: false,
            eviction: "noeviction".to_owned(),
            max_memory: 1,
            is_kept: true,
            clocks: (now, now),
        };
        let lru = || "allkeys-lru".to_owned();
        let later = now + Duration::from_secs(90);
        // (what was seen, how each part is)
        let cases: [(Survey, [State; 4]); 6] = [
            (good.clone(), [Ok, Ok, Ok, Ok]),
            (
                Survey {
                    is_replica: true,
                    ..good.clone()
                },
                [Wrong, Ok, Ok, Ok],
            ),
            (
                Survey {
                    eviction: lru(),
                    ..good.clone()
                },
                [Ok, Wrong, Ok, Ok],
            ),
            (
                Survey {
                    eviction: lru(),
                    max_memory: 0,
                    ..good.clone()
                },
                [Ok, Warning, Ok, Ok],
            ),
            (
                Survey {
                    is_kept: false,
                    ..good.clone()
                },
                [Ok, Ok, Warning, Ok],
            ),
            (
                Survey {
                    clocks: (later, now),
                    ..good
                },
                [Ok, Ok, Ok, Wrong],
            ),
        ];
        for (seen, expected) in cases {
            let states: Vec<State> = judge(&seen).iter().map(|finding| finding.state).collect();
            assert_eq!(states, expected, "{seen:?}");
        }
    }
}
