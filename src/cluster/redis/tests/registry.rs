//! Who owns which session, and who lives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::Redis;
use super::connect;
use super::redis_server::RedisServer;
use crate::bayeux::{ChannelPattern, ClientId, Limits, RandomId};
use crate::cluster::{Beat, Claim, NodeId, NodeInfo, NodeState, Orphan, Owner, Registry, Written};
use crate::history::{Policy, Retention};

const LONG: Duration = Duration::from_secs(60);
const A: NodeId = NodeId(0xa);
const B: NodeId = NodeId(0xb);
const C: NodeId = NodeId(0xc);

async fn registry(server: &RedisServer) -> Arc<Redis> {
    let policy = Policy::new(|_| Retention::default());
    let redis = connect(&server.settings(), policy, &Arc::default()).await;
    redis.expect("it is there")
}

fn info(id: NodeId) -> NodeInfo {
    NodeInfo {
        id,
        address: format!("10.0.0.{}:7070", id.0),
        state: NodeState::Ready,
        version: "1".to_owned(),
    }
}

async fn beat(redis: &Redis, id: NodeId, lives: Duration) -> Beat {
    redis.beat(info(id), lives).await.expect("it is there")
}

/// Has a node die: its lease is over at once.
async fn die(server: &RedisServer, redis: &Redis, id: NodeId) {
    beat(redis, id, LONG).await;
    let _: u64 = server.ask(&["ZADD", "mirant:{n}:nodes", "1", &id.to_string()]);
}

fn session(number: u8) -> ClientId {
    ClientId(RandomId::from_random([number; 16]))
}

fn written(number: u8, generation: u64, state: &'static str) -> Written {
    Written {
        id: session(number),
        generation,
        state: Bytes::from_static(state.as_bytes()),
        outlives: Duration::from_secs(30),
    }
}

async fn write(redis: &Redis, node: NodeId, batch: Vec<Written>) -> Vec<ClientId> {
    redis.write(node, batch).await.expect("it is there")
}

fn owner(node: NodeId, generation: u64) -> Owner {
    Owner { node, generation }
}

async fn claim(redis: &Redis, number: u8, from: Owner, to: NodeId, is_given: bool) -> Claim {
    let claimed = redis.claim(session(number), from, to, is_given).await;
    claimed.expect("it is there")
}

fn taken(generation: u64, state: &'static str) -> Claim {
    let state = Bytes::from_static(state.as_bytes());
    Claim::Taken { generation, state }
}

async fn find(redis: &Redis, number: u8) -> Option<Owner> {
    redis.find(session(number)).await.expect("it is there")
}

#[tokio::test]
async fn nodes_live_as_long_as_they_say() {
    let server = RedisServer::start();
    let (a, b) = (registry(&server).await, registry(&server).await);
    let first = beat(&a, A, LONG).await;
    let expected = Beat {
        was_dead: false,
        alive: vec![info(A)],
        dead: vec![],
    };
    assert_eq!(first, expected);
    let mut second = beat(&b, B, LONG).await;
    second.alive.sort_by_key(|info| info.id);
    assert_eq!(second.alive, [info(A), info(B)]);
    die(&server, &a, A).await;
    let after = beat(&b, B, LONG).await;
    assert_eq!((after.alive, after.dead), (vec![info(B)], vec![A]));
    // It was only frozen.
    let back = beat(&a, A, LONG).await;
    assert!(back.was_dead && back.dead.is_empty() && back.alive.len() == 2);
    assert!(!beat(&a, A, LONG).await.was_dead);
    // It is off for good, and comes back nevertheless.
    die(&server, &a, A).await;
    b.bury(A, 0).await.expect("it is there");
    assert_eq!(beat(&b, B, LONG).await.dead, []);
    assert!(beat(&a, A, LONG).await.was_dead);
    a.leave(A).await.expect("it is there");
    assert_eq!(beat(&b, B, LONG).await.alive, [info(B)]);
    // A lease ends by itself.
    beat(&a, C, Duration::from_millis(1)).await;
    while beat(&b, B, LONG).await.dead != [C] {}
}

/// Time passes in which nobody can tell that it lives, and one takes longer than another to come back.
#[tokio::test]
async fn nobody_dies_of_an_outage_of_redis() {
    const LIVES: Duration = Duration::from_millis(200);
    let server = RedisServer::start();
    let (a, b) = (registry(&server).await, registry(&server).await);
    beat(&b, B, LIVES).await;
    beat(&a, A, LIVES).await;
    write(&b, B, vec![written(1, 1, "one")]).await;
    tokio::time::sleep(2 * LIVES).await;
    let after = beat(&a, A, LIVES).await;
    assert_eq!(
        (after.was_dead, after.dead, after.alive.len()),
        (false, vec![], 2)
    );
    tokio::time::sleep(2 * LIVES).await;
    assert_eq!(claim(&a, 1, owner(B, 1), A, false).await, Claim::Alive);
    assert!(!beat(&b, B, LIVES).await.was_dead);
}

#[tokio::test]
async fn a_session_has_one_owner() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    assert_eq!(find(&redis, 1).await, None);
    assert_eq!(claim(&redis, 1, owner(A, 1), B, true).await, Claim::Gone);
    beat(&redis, A, LONG).await;
    let batch = vec![written(1, 1, "one"), written(2, 1, "two")];
    assert_eq!(write(&redis, A, batch).await, []);
    assert_eq!(find(&redis, 1).await, Some(owner(A, 1)));
    assert_eq!(claim(&redis, 1, owner(A, 1), B, false).await, Claim::Alive);
    // Another owner, or another generation, was named.
    for wrong in [owner(B, 1), owner(A, 2)] {
        let claimed = claim(&redis, 1, wrong, C, true).await;
        assert_eq!(claimed, Claim::Owned(owner(A, 1)));
    }
    assert_eq!(
        claim(&redis, 1, owner(A, 1), B, true).await,
        taken(2, "one")
    );
    assert_eq!(find(&redis, 1).await, Some(owner(B, 2)));
    // The old owner writes nothing any more.
    let batch = vec![written(1, 1, "late"), written(2, 1, "two again")];
    assert_eq!(write(&redis, A, batch).await, [session(1)]);
    assert_eq!(write(&redis, B, vec![written(1, 2, "new")]).await, []);
    // Its owner is dead.
    die(&server, &redis, A).await;
    let claimed = claim(&redis, 2, owner(A, 1), C, false).await;
    assert_eq!(claimed, taken(2, "two again"));
    // One that never told that it lives is dead too.
    let claimed = claim(&redis, 1, owner(B, 2), C, false).await;
    assert_eq!(claimed, taken(3, "new"));
    // Who has given a session away can take it back.
    assert_eq!(
        claim(&redis, 1, owner(C, 3), C, true).await,
        taken(4, "new")
    );
}

#[tokio::test]
async fn of_two_claimers_one_has_it() {
    let server = RedisServer::start();
    let (b, c) = (registry(&server).await, registry(&server).await);
    die(&server, &b, A).await;
    for number in 0..200 {
        write(&b, A, vec![written(number, 1, "s")]).await;
        let (from, is_given) = (owner(A, 1), number % 2 == 0);
        let claims = tokio::join!(
            claim(&b, number, from, B, is_given),
            claim(&c, number, from, C, is_given),
        );
        let is_right = matches!(
            &claims,
            (
                Claim::Taken { generation: 2, .. },
                Claim::Owned(Owner {
                    node: B,
                    generation: 2
                })
            ) | (
                Claim::Owned(Owner {
                    node: C,
                    generation: 2
                }),
                Claim::Taken { generation: 2, .. }
            )
        );
        assert!(is_right, "{claims:?}");
    }
}

#[tokio::test]
async fn who_was_dead_hears_what_it_has_lost() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    let batch = (1..=5).map(|number| written(number, 1, "s")).collect();
    write(&redis, A, batch).await;
    die(&server, &redis, A).await;
    claim(&redis, 1, owner(A, 1), B, false).await;
    claim(&redis, 2, owner(A, 1), B, false).await;
    claim(&redis, 3, owner(A, 1), B, false).await;
    claim(&redis, 3, owner(B, 2), A, true).await;
    // One that has ended elsewhere is lost, too.
    let ended = redis.remove(B, vec![(session(2), 2)]).await;
    ended.expect("it is there");
    assert_eq!(find(&redis, 2).await, None);
    assert_eq!(claim(&redis, 2, owner(B, 2), C, true).await, Claim::Gone);
    redis.bury(A, 0).await.expect("it is there");
    let all = (1..=6).map(|number| (session(number), if number == 3 { 3 } else { 1 }));
    let lost = redis.lost(A, all.collect()).await;
    assert_eq!(lost, Ok(vec![session(1), session(2)]));
    // The others are its own as before, and do not expire.
    for number in 3..=5 {
        let key = redis.link.keys.session(session(number));
        assert_eq!(server.ask::<i64>(&["TTL", &key]), -1);
    }
    // In an older generation it has lost that, too.
    let lost = redis.lost(A, vec![(session(3), 1)]).await;
    assert_eq!(lost, Ok(vec![session(3)]));
    assert_eq!(
        write(&redis, A, vec![written(2, 1, "late")]).await,
        [session(2)]
    );
}

#[tokio::test]
async fn sessions_end_once() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    write(&redis, A, vec![written(1, 1, "s"), written(2, 1, "s")]).await;
    claim(&redis, 2, owner(A, 1), B, true).await;
    // Not another's, nor of another generation.
    let ended = vec![(session(1), 2), (session(2), 1)];
    redis.remove(A, ended).await.expect("it is there");
    assert_eq!(find(&redis, 1).await, Some(owner(A, 1)));
    assert_eq!(find(&redis, 2).await, Some(owner(B, 2)));
    redis
        .remove(A, vec![(session(1), 1)])
        .await
        .expect("it is there");
    redis
        .remove(B, vec![(session(2), 2)])
        .await
        .expect("it is there");
    let keys: Vec<String> = server.ask(&["KEYS", "*:{s*"]);
    assert_eq!(keys, [redis.link.keys.session(session(2))]);
    assert!(server.ask::<i64>(&["TTL", &keys[0]]) > 0);
}

#[tokio::test]
async fn sessions_of_the_dead_expire() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    let many = |count: u16| {
        (0..count).map(|number| {
            let mut random = [0; 16];
            random[..2].copy_from_slice(&number.to_le_bytes());
            ClientId(RandomId::from_random(random))
        })
    };
    let batch = many(1000).map(|id| Written {
        id,
        ..written(0, 1, "s")
    });
    write(&redis, A, batch.collect()).await;
    write(&redis, B, vec![written(9, 1, "s")]).await;
    beat(&redis, A, LONG).await;
    let ttl = |id| server.ask::<i64>(&["TTL", &redis.link.keys.session(id)]);
    // Not while it lives.
    redis.bury(A, 0).await.expect("it is there");
    assert!(many(1000).all(|id| ttl(id) == -1));
    die(&server, &redis, A).await;
    redis.bury(A, 0).await.expect("it is there");
    assert!(many(1000).all(|id| (1..=30).contains(&ttl(id))));
    assert_eq!(ttl(session(9)), -1);
    let sets: Vec<String> = server.ask(&["KEYS", "*:of:0000000a"]);
    assert_eq!(sets, [""; 0]);
    // Who asks in time has it, for good.
    let id = many(1).next().expect("one");
    let claimed = redis.claim(id, owner(A, 1), B, false).await;
    assert_eq!(claimed, Ok(taken(2, "s")));
    assert_eq!(ttl(id), -1);
}

#[tokio::test]
async fn older_data_does_not_win() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    write(&redis, A, vec![written(1, 1, "old")]).await;
    // B has had it in generation 2, which Redis has lost.
    assert_eq!(write(&redis, B, vec![written(1, 2, "new")]).await, []);
    assert_eq!(find(&redis, 1).await, Some(owner(B, 2)));
    assert_eq!(
        write(&redis, A, vec![written(1, 1, "old")]).await,
        [session(1)]
    );
    let sets: Vec<String> = server.ask(&["KEYS", "*:of:*"]);
    assert!(sets.len() == 1 && sets[0].ends_with("0000000b"), "{sets:?}");
}

fn pattern(name: &str) -> ChannelPattern {
    ChannelPattern::parse(name, &Limits::default()).expect(name)
}

#[tokio::test]
async fn a_channel_is_occupied_by_the_first_node_and_vacated_by_the_last() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    let occupy = |node, name, has_any| redis.occupy(node, vec![(pattern(name), has_any)]);
    assert!(occupy(A, "/a", true).await.is_err(), "it does not live yet");
    beat(&redis, A, LONG).await;
    beat(&redis, B, LONG).await;
    for (node, has_any, is_told) in [
        (A, true, true),
        (A, true, false),
        (B, true, false),
        (A, false, false),
        (A, false, false),
        (B, false, true),
        (B, false, false),
        (B, true, true),
    ] {
        let told = occupy(node, "/a", has_any).await;
        assert_eq!(told, Ok(vec![is_told]), "{node} {has_any}");
    }
    let both = vec![(pattern("/a"), true), (pattern("/b/*"), true)];
    assert_eq!(redis.occupy(A, both).await, Ok(vec![false, true]));
    assert_eq!(redis.vacate(A).await, Ok(None), "it lives");
    die(&server, &redis, A).await;
    assert!(occupy(A, "/c", true).await.is_err(), "it is dead");
    assert_eq!(redis.vacate(A).await, Ok(Some(vec![pattern("/b/*")])));
    assert_eq!(redis.vacate(A).await, Ok(None));
    // Whoever leaves with something left is looked after like a dead one.
    beat(&redis, C, LONG).await;
    assert_eq!(occupy(C, "/c", true).await, Ok(vec![true]));
    redis.leave(C).await.expect("it is there");
    redis.leave(B).await.expect("it is there");
    let dead = beat(&redis, A, LONG).await.dead;
    assert_eq!(dead, [B, C]);
    for (node, name) in [(B, "/a"), (C, "/c")] {
        assert_eq!(redis.vacate(node).await, Ok(Some(vec![pattern(name)])));
    }
    let keys: Vec<String> = server.ask(&["KEYS", "*:{o}:*"]);
    assert!(keys.is_empty(), "{keys:?}");
}

#[tokio::test]
async fn sessions_that_a_dead_node_leaves_are_told_of() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    write(&redis, A, vec![written(1, 1, "s"), written(2, 1, "t")]).await;
    die(&server, &redis, A).await;
    claim(&redis, 2, owner(A, 1), B, false).await;
    let left = Orphan {
        id: session(1),
        state: Bytes::from_static(b"s"),
        outlives: Duration::from_secs(30),
    };
    assert_eq!(redis.bury(A, 5).await, Ok(vec![left]));
    assert_eq!(redis.bury(A, 5).await, Ok(Vec::new()));
    assert_eq!(redis.is_known(session(1)).await, Ok(true));
    let _: u64 = server.ask(&["DEL", &redis.link.keys.session(session(1))]);
    assert_eq!(redis.is_known(session(1)).await, Ok(false));
}

#[tokio::test]
async fn what_nodes_have_of_a_user_is_added_up() {
    let server = RedisServer::start();
    let redis = registry(&server).await;
    let share = |node, count| redis.share(node, vec![("u1".to_owned(), count)]);
    beat(&redis, A, LONG).await;
    assert!(share(B, 1).await.is_err(), "it does not live yet");
    beat(&redis, B, LONG).await;
    for (node, count, total) in [
        (A, 2, 2),
        (B, 3, 5),
        (A, 2, 5),
        (A, 1, 4),
        (A, 0, 3),
        (A, 4, 7),
    ] {
        assert_eq!(share(node, count).await, Ok(vec![total]), "{node} {count}");
    }
    redis.unshare(B).await.expect("it is there");
    assert_eq!(share(A, 4).await, Ok(vec![7]), "the other lives");
    die(&server, &redis, B).await;
    redis.unshare(B).await.expect("it is there");
    assert_eq!(share(A, 4).await, Ok(vec![4]));
    assert_eq!(share(A, 0).await, Ok(vec![0]));
    let keys: Vec<String> = server.ask(&["KEYS", "*:{o}:*"]);
    assert!(keys.is_empty(), "{keys:?}");
}
