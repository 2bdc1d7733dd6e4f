//! Redis is away, is cut, or comes back with less than it had.

use std::sync::Arc;
use std::time::Duration;

use super::super::Redis;
use super::backplane::{Node, outgoing};
use super::redis_server::RedisServer;
use crate::cluster::{Backplane, Feed, Head};
use crate::history::{Failed, Query, Selection, Store, Want};

/// Waits until something works again.
async fn again<T>(mut once: impl AsyncFnMut() -> Result<T, Failed>) -> T {
    let wait = async {
        loop {
            match once().await {
                Ok(done) => return done,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), wait);
    done.await.expect("it works again")
}

async fn publish_again(redis: &Arc<Redis>, channel: &str) -> u64 {
    let batch = || vec![outgoing(channel, "1")];
    let places = again(async || redis.publish(batch()).await).await;
    places[0].clone().expect("no condition").id
}

async fn down_and_up(node: &Node) -> Head {
    assert_eq!(node.next().await, Feed::Down);
    node.up().await
}

/// All that is kept of a channel.
async fn kept(node: &Node, channel: &str) -> Vec<u64> {
    let query = Query {
        wants: vec![Want {
            pattern: super::backplane::pattern(channel),
            after: 0,
        }],
        selection: Selection::All,
        position: 0,
        max_messages: 100,
        max_bytes: 100_000,
    };
    let page = again(async || node.redis.read(query.clone()).await).await;
    page.messages.iter().map(|kept| kept.place.id).collect()
}

#[tokio::test]
async fn redis_comes_back_empty() {
    let mut server = RedisServer::start();
    let (a, first) = Node::join(&server, &["/**"]).await;
    let (b, _) = Node::join(&server, &["/**"]).await;
    let last = a.publish(&["/kept/1", "/a"]).await[1].id;
    for _ in 0..2 {
        a.message().await;
        b.message().await;
    }
    server.kill();
    assert_eq!(a.next().await, Feed::Down);
    assert!(a.redis.publish(vec![outgoing("/a", "1")]).await.is_err());
    assert!(a.redis.mark(1).await.is_err());
    assert!(!a.redis.is_up());
    again(async || a.redis.health().map_or(Ok(()), |()| Err(Failed::Full))).await;
    server.go_on();
    let (head, other) = (a.up().await, down_and_up(&b).await);
    assert_ne!(head.epoch, first.epoch);
    assert_eq!(head.epoch, other.epoch);
    assert_eq!(a.redis.epoch(), head.epoch);
    assert!(head.id >= last && other.id >= last);
    let id = publish_again(&a.redis, "/a").await;
    assert!(id > head.id);
    assert_eq!(a.message().await.place.id, id);
    assert_eq!(b.message().await.place.id, id);
    assert_eq!(kept(&a, "/kept/1").await, [0; 0]);
}

#[tokio::test]
async fn redis_comes_back_with_its_data() {
    let mut server = RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (a, first) = Node::join(&server, &["/**"]).await;
    let ids = a.publish(&["/kept/1", "/kept/1", "/a"]).await;
    for _ in 0..3 {
        a.message().await;
    }
    server.kill();
    assert_eq!(a.next().await, Feed::Down);
    server.go_on();
    let head = a.up().await;
    assert_eq!((head.epoch, head.id), (first.epoch, ids[2].id));
    assert_eq!(kept(&a, "/kept/1").await, [ids[0].id, ids[1].id]);
    let id = publish_again(&a.redis, "/kept/1").await;
    assert_eq!(a.message().await.place.id, id);
}

#[tokio::test]
async fn redis_comes_back_with_older_data() {
    let mut server = RedisServer::start();
    let (a, first) = Node::join(&server, &["/**"]).await;
    let old = a.publish(&["/kept/1"]).await[0];
    let _: String = server.ask(&["SAVE"]);
    let new = a.publish(&["/kept/1"]).await[0];
    for _ in 0..2 {
        a.message().await;
    }
    server.kill();
    assert_eq!(a.next().await, Feed::Down);
    server.go_on();
    let head = a.up().await;
    assert_ne!(head.epoch, first.epoch);
    assert!(head.id >= new.id);
    assert_eq!(kept(&a, "/kept/1").await, [old.id]);
}

#[tokio::test]
async fn what_came_between_is_behind_the_head() {
    let server = RedisServer::start();
    let (a, first) = Node::join(&server, &["/**"]).await;
    let (b, _) = Node::join(&server, &[]).await;
    for _ in 0..5 {
        let place = b.publish(&["/kept/1"]).await[0];
        assert_eq!(a.message().await.place, place);
        let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        let missed = b.publish(&["/kept/1"]).await[0];
        let head = down_and_up(&a).await;
        assert_eq!(head.epoch, first.epoch);
        assert!(head.id >= missed.id);
        assert_eq!(kept(&a, "/kept/1").await.last(), Some(&missed.id));
        // The other is told as well, and goes on publishing.
        down_and_up(&b).await;
    }
}

#[tokio::test]
async fn an_overrun_of_the_output_buffer_is_told() {
    let server = RedisServer::start();
    let limit = [
        "CONFIG",
        "SET",
        "client-output-buffer-limit",
        "pubsub 65536 65536 1",
    ];
    let _: String = server.ask(&limit);
    let (a, first) = Node::join(&server, &["/**"]).await;
    let place = a.publish(&["/a"]).await[0];
    assert_eq!(a.message().await.place, place);
    let mut large = outgoing("/kept/1", "");
    large.entry.body.data = vec![b'1'; 4_000_000].into();
    let places = a.redis.publish(vec![large]).await.expect("published");
    let missed = places[0].clone().expect("no condition");
    let head = down_and_up(&a).await;
    assert_eq!((head.epoch, head.id), (first.epoch, missed.id));
    let place = a.publish(&["/a"]).await[0];
    assert_eq!(a.message().await.place, place);
}

#[tokio::test]
async fn data_that_is_flushed_is_noticed() {
    let server = RedisServer::start();
    let (a, first) = Node::join(&server, &["/**"]).await;
    let last = a.publish(&["/kept/1"]).await[0];
    a.message().await;
    let _: String = server.ask(&["FLUSHALL"]);
    let head = down_and_up(&a).await;
    assert_ne!(head.epoch, first.epoch);
    assert!(head.id >= last.id);
    let id = publish_again(&a.redis, "/kept/1").await;
    assert_eq!(a.message().await.place.id, id);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_away() {
    let server = RedisServer::start();
    let mut settings = server.settings();
    settings.call_timeout = Duration::from_millis(300);
    let (a, first) = Node::join_with(&settings, &["/**"]).await;
    server.signal("-STOP");
    assert_eq!(a.next().await, Feed::Down);
    assert!(a.redis.publish(vec![outgoing("/a", "1")]).await.is_err());
    server.signal("-CONT");
    assert_eq!(a.up().await.epoch, first.epoch);
    let id = publish_again(&a.redis, "/a").await;
    let message = a.message().await;
    // What was not answered may have been published.
    assert!(message.place.id == id || a.message().await.place.id == id);
}
