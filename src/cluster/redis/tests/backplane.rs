//! Publishing, and what comes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::timeout;

use super::super::Redis;
use super::connect;
use super::redis_server::RedisServer;
use crate::bayeux::{ChannelName, ChannelPattern, ClientId, Limits, RandomId};
use crate::cluster::{
    Backplane, Feed, Head, Incoming, Interest, NotPublished, Once, Outgoing, Settings,
};
use crate::history::{Body, Entry, Place, Policy, Retention};

/// A node, as far as it is one of the backplane.
pub(super) struct Node {
    pub(super) redis: Arc<Redis>,
    pub(super) interest: Arc<Interest>,
}

/// Channels below `/kept` have history.
fn policy() -> Policy {
    Policy::new(|channel| Retention {
        messages: channel.as_str().starts_with("/kept").then_some(100),
        ..Retention::default()
    })
}

impl Node {
    /// Joins, with interest in some channels and patterns.
    pub(super) async fn join(server: &RedisServer, patterns: &[&str]) -> (Self, Head) {
        Self::join_with(&server.settings(), patterns).await
    }

    pub(super) async fn join_with(settings: &Settings, patterns: &[&str]) -> (Self, Head) {
        let interest = Arc::<Interest>::default();
        for text in patterns {
            interest.add(&pattern(text));
        }
        let joined = connect(settings, policy(), &interest).await;
        let redis = joined.expect("it is there");
        let node = Self { redis, interest };
        let head = node.up().await;
        (node, head)
    }

    pub(super) async fn next(&self) -> Feed {
        let next = timeout(Duration::from_secs(20), self.redis.next());
        next.await.expect("something comes")
    }

    pub(super) async fn up(&self) -> Head {
        match self.next().await {
            Feed::Up(head) => head,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn message(&self) -> Incoming {
        match self.next().await {
            Feed::Message(message) => *message,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn publish(&self, channels: &[&str]) -> Vec<Place> {
        let batch = channels.iter().map(|channel| outgoing(channel, "1"));
        let places = self.redis.publish(batch.collect()).await;
        let places = places.expect("published").into_iter();
        places.map(|place| place.expect("published")).collect()
    }

    pub(super) async fn add(&self, text: &str) {
        self.interest.add(&pattern(text));
        if let Some(settled) = self.interest.settled() {
            settled.await;
        }
    }

    pub(super) async fn remove(&self, text: &str) {
        self.interest.remove(&pattern(text));
        if let Some(settled) = self.interest.settled() {
            settled.await;
        }
    }
}

pub(super) fn pattern(text: &str) -> ChannelPattern {
    ChannelPattern::parse(text, &Limits::default()).expect(text)
}

pub(super) fn channel(text: &str) -> ChannelName {
    ChannelName::parse(text, &Limits::default()).expect(text)
}

pub(super) fn outgoing(channel_text: &str, data: &'static str) -> Outgoing {
    Outgoing {
        entry: Entry {
            channel: channel(channel_text),
            at: SystemTime::UNIX_EPOCH,
            body: Body {
                data: data.into(),
                ext: None,
                custom: None,
            },
        },
        publisher: None,
        expected: None,
        once: None,
    }
}

#[tokio::test]
async fn messages_reach_all_who_are_interested_in_one_order() {
    let server = RedisServer::start();
    let (a, head) = Node::join(&server, &["/a/**"]).await;
    let (b, _) = Node::join(&server, &["/a/x", "/kept/*", "/b"]).await;
    let places = a
        .publish(&["/a/x", "/b", "/kept/1", "/a/y", "/a/x", "/kept/1"])
        .await;
    let ids: Vec<_> = places.iter().map(|place| place.id).collect();
    assert!(head.id < ids[0] && ids.is_sorted_by(|a, b| a < b));
    let before: Vec<_> = places.iter().map(|place| place.before).collect();
    assert_eq!(before, [0, 0, 0, 0, ids[0], ids[2]]);
    for (node, expected) in [(&a, [0, 3, 4].as_slice()), (&b, &[0, 1, 2, 4, 5])] {
        for index in expected {
            let message = node.message().await;
            assert_eq!(message.place, places[*index]);
            let micros = message.entry.at.duration_since(SystemTime::UNIX_EPOCH);
            assert_eq!(micros.expect("a time").as_micros(), u128::from(ids[*index]));
        }
    }
    let channels = ["/a/x", "/kept/1", "/c"].map(channel).to_vec();
    let last = a.redis.last_of(channels).await;
    assert_eq!(last, Ok(vec![ids[4], ids[5], head.id]));
    assert!(a.redis.is_up() && b.redis.is_up());
}

#[tokio::test]
async fn a_message_comes_as_it_went() {
    let server = RedisServer::start();
    let (a, _) = Node::join(&server, &["/**"]).await;
    for channel in ["/a b/(c)", "/kept/{x}"] {
        let mut sent = outgoing(channel, "{\"x\": [1e400,\t\"\\u0000\"]}");
        sent.entry.body.ext = Some("{ }".into());
        sent.entry.body.custom = Some("\"a\":1,\"\u{e9}\": 2".into());
        sent.publisher = Some(ClientId(RandomId::from_random([9; 16])));
        let published = a
            .redis
            .publish(vec![sent.clone()])
            .await
            .expect("published");
        let message = a.message().await;
        assert_eq!(published, [Ok(message.place)]);
        assert_eq!(message.entry.body, sent.entry.body);
        assert_eq!(message.entry.channel, sent.entry.channel);
        assert_eq!(message.publisher, sent.publisher);
    }
}

#[tokio::test]
async fn conditions_are_kept() {
    let server = RedisServer::start();
    let (a, _) = Node::join(&server, &[]).await;
    for channel in ["/a", "/kept/a"] {
        let publish = |expected, once: Option<&str>| {
            let mut sent = outgoing(channel, "1");
            sent.expected = expected;
            sent.once = once.map(|body| Once {
                key: format!("{channel}k"),
                index: body.len() - 1,
                body: body[..1].to_owned(),
                within: Duration::from_secs(60),
            });
            let redis = Arc::clone(&a.redis);
            async move {
                redis
                    .publish(vec![sent])
                    .await
                    .expect("published")
                    .remove(0)
            }
        };
        let first = publish(Some(0), Some("a")).await.expect("published");
        let again = Err(NotPublished::Unexpected(first.id));
        assert_eq!(publish(Some(0), None).await, again);
        assert_eq!(publish(Some(7), None).await, again);
        let second = publish(Some(first.id), None).await.expect("published");
        assert_eq!(second.before, first.id);
        // What was published once is not again, whatever is expected.
        assert_eq!(publish(Some(0), Some("a")).await, Ok(first));
        // Nor is anything else, of whatever length.
        for body in ["b", "bb"] {
            assert_eq!(publish(None, Some(body)).await, Err(NotPublished::Reused));
        }
        let third = publish(None, Some("aa")).await.expect("published");
        assert_eq!(third.before, second.id);
        assert_eq!(publish(None, Some("aa")).await, Ok(third));
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_message_is_not_with_others() {
    let server = RedisServer::start();
    let (a, _) = Node::join(&server, &["/**"]).await;
    let _: u64 = server.ask(&["RPUSH", "mirant:{m}:stream:/kept/bad", "no stream"]);
    let batch = ["/kept/a", "/kept/bad", "/b"].map(|name| outgoing(name, "1"));
    let places = a.redis.publish(batch.to_vec()).await.expect("published");
    let [Ok(first), Err(NotPublished::Failed(failed)), Ok(last)] = &places[..] else {
        panic!("{places:?}");
    };
    assert!(failed.to_string().contains("WRONGTYPE"), "{failed}");
    assert_eq!(a.message().await.place, *first);
    assert_eq!(a.message().await.place, *last);
    assert!(a.redis.is_up());
}

#[tokio::test]
async fn last_numbers_of_some_channels_are_remembered() {
    let server = RedisServer::start();
    let mut settings = server.settings();
    settings.max_channels = 3;
    let redis = connect(&settings, policy(), &Arc::default()).await;
    let redis = redis.expect("it is there");
    let publish = async |name: &str, expected| {
        let mut sent = outgoing(name, "1");
        sent.expected = expected;
        let mut places = redis.publish(vec![sent]).await.expect("published");
        places.remove(0)
    };
    let mut ids = Vec::new();
    for number in 0..10 {
        let place = publish(&format!("/n/{number}"), None).await;
        ids.push(place.expect("published").id);
    }
    publish("/kept/a", None).await.expect("published");
    let count: u64 = server.ask(&["ZCARD", "mirant:{m}:lasts"]);
    assert_eq!(count, 3);
    // Of others it is known that they had nothing later.
    let channels = ["/n/0", "/n/9", "/n/x"].map(channel).to_vec();
    assert_eq!(
        redis.last_of(channels).await,
        Ok(vec![ids[6], ids[9], ids[6]])
    );
    // What is not remembered stands in nobody's way.
    let place = publish("/n/0", Some(ids[0])).await.expect("published");
    assert_eq!(place.before, 0);
    let again = publish("/n/0", Some(ids[0])).await;
    assert_eq!(again, Err(NotPublished::Unexpected(place.id)));
}

#[tokio::test]
async fn marks_come_behind_what_was_published() {
    let server = RedisServer::start();
    let (a, _) = Node::join(&server, &["/a"]).await;
    let (b, _) = Node::join(&server, &["/a"]).await;
    let places = b.publish(&["/a", "/a"]).await;
    a.redis.mark(7).await.expect("sent");
    b.publish(&["/a"]).await;
    assert_eq!(a.message().await.place, places[0]);
    assert_eq!(a.message().await.place, places[1]);
    assert_eq!(a.next().await, Feed::Mark(7));
    a.message().await;
    // Not of others.
    for _ in 0..3 {
        b.message().await;
    }
    b.redis.mark(8).await.expect("sent");
    assert_eq!(b.next().await, Feed::Mark(8));
}

#[tokio::test]
async fn interest_is_followed_by_the_least_set() {
    let server = RedisServer::start();
    let (a, _) = Node::join(&server, &["/a/b", "/a/c", "/x"]).await;
    let forms = || {
        let mut forms: Vec<String> = server.ask(&["PUBSUB", "CHANNELS", "mirant:c:*"]);
        forms.sort();
        forms
    };
    let is = |expected: &[&str]| {
        let expected: Vec<_> = expected
            .iter()
            .map(|form| format!("mirant:c:{form}"))
            .collect();
        assert_eq!(forms(), expected);
    };
    is(&["/a/b", "/a/c", "/x"]);
    a.add("/a/*").await;
    is(&["/a/*", "/x"]);
    a.add("/**").await;
    is(&["/**"]);
    a.remove("/a/*").await;
    is(&["/**"]);
    a.remove("/**").await;
    is(&["/a/b", "/a/c", "/x"]);
    for number in 0..1500 {
        a.interest.add(&pattern(&format!("/n/{number}")));
    }
    a.add("/n/1500").await;
    assert_eq!(forms().len(), 1504);
}

#[tokio::test]
async fn scripts_are_loaded_again() {
    let server = RedisServer::start();
    let (a, _) = Node::join(&server, &["/a"]).await;
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    let places = a.publish(&["/a", "/a"]).await;
    for place in places {
        assert_eq!(a.message().await.place, place);
    }
}

#[tokio::test]
async fn a_wrong_setting_is_told_at_start() {
    let mut server = RedisServer::with(&["--requirepass", "x"]);
    let connect = async |settings| {
        let connected = super::connect(&settings, policy(), &Arc::default()).await;
        connected.map_err(|error| error.to_string())
    };
    let error = connect(server.settings()).await.expect_err("no password");
    assert!(
        error.starts_with("cluster.redis cannot be used: "),
        "{error}"
    );
    let mut wrong = server.settings();
    wrong.redis = Some("http://user:hunter2@host".to_owned());
    let error = connect(wrong).await.expect_err("no URL");
    assert!(error.starts_with("cluster.redis is no URL"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    // One that is away is none.
    server.kill();
    let redis = connect(server.settings()).await.expect("it is away");
    assert!(!redis.is_up());
    assert!(redis.publish(vec![outgoing("/a", "1")]).await.is_err());
}

#[tokio::test]
async fn it_connects_once_redis_is_there() {
    let mut server = RedisServer::start();
    server.kill();
    let interest = Arc::<Interest>::default();
    interest.add(&pattern("/a"));
    assert!(interest.settled().is_none());
    let redis = connect(&server.settings(), policy(), &interest).await;
    let node = Node {
        redis: redis.expect("it is away"),
        interest,
    };
    server.go_on();
    let head = node.up().await;
    assert!(head.id > 1_500_000_000_000_000 && node.redis.is_up());
    let place = node.publish(&["/a"]).await[0];
    assert_eq!(node.message().await.place, place);
}
