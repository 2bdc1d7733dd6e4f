//! Who receives what.

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::bayeux::{Draft, EventFields, Limits, Message, RandomId, ReplayId};
use crate::extensions::{Begun, Pipeline};
use crate::history::Retention;
use crate::session::{Browser, Carrier, MaxQueuePolicy, Origin, Shared};

struct Rig {
    router: Router,
    shared: Arc<Shared>,
}

impl Rig {
    fn new(settings: Settings, channels: &[ChannelOptions]) -> Self {
        let shared = Shared::of(crate::session::Settings::default(), Pipeline::default());
        Self {
            router: Router::new(settings, channels),
            shared,
        }
    }

    fn session(&self, number: u8, patterns: &[&str]) -> Arc<Session> {
        let id = RandomId::from_random([number; 16]);
        let session = Session::new(
            ClientId(id),
            Arc::new(Browser::new(id)),
            false,
            Arc::clone(&self.shared),
            Begun::new(Instant::now()),
            None,
            Origin::default(),
        );
        self.router
            .subscribe(&session, &parsed(patterns))
            .expect("room for channels");
        session
    }

    fn publish(&self, channel: &str, publisher: u8) -> Published {
        let text = format!(r#"{{"channel":"{channel}","data":1}}"#);
        let message: Message<'_> = serde_json::from_str(&text).expect("a message");
        let channel = ChannelName::parse(channel, &Limits::default()).expect("a channel");
        let fields = EventFields {
            ext: true,
            custom: true,
        };
        let event = Arc::new(
            Draft::of(&message, &channel, fields)
                .expect("data")
                .encode(),
        );
        let delivery = self.router.delivery(&channel, &self.shared.settings.get());
        let publisher = ClientId(RandomId::from_random([publisher; 16]));
        self.router
            .publish(&channel, &event, Some(publisher), delivery, Instant::now())
    }
}

fn parsed(patterns: &[&str]) -> Vec<ChannelPattern> {
    patterns
        .iter()
        .map(|pattern| ChannelPattern::parse(pattern, &Limits::default()).expect("a pattern"))
        .collect()
}

#[test]
fn a_session_receives_an_event_once_whatever_it_is_subscribed_to() {
    let rig = Rig::new(Settings::default(), &[]);
    let sessions: BTreeMap<&str, Arc<Session>> = [
        ("exact", rig.session(1, &["/a/b"])),
        ("star", rig.session(2, &["/a/*"])),
        ("deep", rig.session(3, &["/a/**"])),
        ("root", rig.session(4, &["/**"])),
        (
            "all",
            rig.session(5, &["/**", "/a/**", "/a/*", "/a/b", "/a/b"]),
        ),
        ("other", rig.session(6, &["/a", "/a/b/c", "/b/*", "/*"])),
    ]
    .into();
    let cases = [
        ("/a/b", vec!["all", "deep", "exact", "root", "star"]),
        ("/a/b/c", vec!["all", "deep", "other", "root"]),
        ("/a", vec!["all", "other", "root"]),
        ("/ab", vec!["all", "other", "root"]),
        ("/z/z", vec!["all", "root"]),
    ];
    for (channel, expected) in cases {
        assert_eq!(
            rig.publish(channel, 99).receivers,
            expected.len(),
            "{channel}"
        );
        let received: Vec<&str> = sessions
            .iter()
            .filter(|(_, session)| {
                let count = session.take_events(Carrier::Connect(0)).events.len();
                assert!(count <= 1, "{channel}");
                count == 1
            })
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(received, expected, "{channel}");
    }
}

#[test]
fn the_last_unsubscribe_removes_the_channel() {
    let rig = Rig::new(Settings::default(), &[]);
    let first = rig.session(1, &["/a"]);
    let second = rig.session(2, &["/a"]);
    let patterns = parsed(&["/a"]);
    rig.router.unsubscribe(&first, &patterns);
    assert!(rig.router.has_subscribers(&patterns[0]));
    rig.router.unsubscribe(&second, &patterns);
    assert!(!rig.router.has_subscribers(&patterns[0]));
    rig.router.subscribe(&first, &patterns).expect("room");
    assert_eq!(rig.publish("/a", 99).receivers, 1);
}

#[test]
fn a_session_that_has_ended_gets_no_subscription() {
    let rig = Rig::new(Settings::default(), &[]);
    let session = rig.session(1, &["/a"]);
    let subscribed = session
        .end(crate::session::EndReason::Expired)
        .expect("alive");
    rig.router.forget(&session, &subscribed);
    assert_eq!(
        rig.router.subscribe(&session, &parsed(&["/a", "/b"])),
        Err(NotSubscribed::SessionEnded)
    );
    assert!(!rig.router.has_subscribers(&parsed(&["/b"])[0]));
    assert_eq!(rig.publish("/a", 99).receivers, 0);
}

#[test]
fn channels_are_bounded_and_a_refused_subscribe_changes_nothing() {
    let settings = Settings {
        max_channels: 2,
        ..Settings::default()
    };
    let rig = Rig::new(settings, &[]);
    let session = rig.session(1, &["/a"]);
    assert_eq!(
        rig.router.subscribe(&session, &parsed(&["/b", "/c"])),
        Err(NotSubscribed::TooManyChannels)
    );
    assert!(!rig.router.has_subscribers(&parsed(&["/b"])[0]));
    rig.router
        .subscribe(&session, &parsed(&["/a", "/b"]))
        .expect("one more");
}

#[test]
fn a_publisher_can_be_left_out_and_options_come_from_the_most_specific_pattern() {
    let option = |pattern: &str, lazy, broadcast_to_publisher| ChannelOptions {
        pattern: pattern.to_owned(),
        lazy,
        broadcast_to_publisher,
        resource: broadcast_to_publisher,
        ..ChannelOptions::default()
    };
    let channels = [
        option("/**", Some(true), None),
        option("/a/**", None, Some(false)),
        option("/a/b", Some(false), Some(true)),
    ];
    let rig = Rig::new(Settings::default(), &channels);
    rig.session(1, &["/**"]);
    assert_eq!(rig.publish("/a/b", 1).receivers, 1);
    assert_eq!(rig.publish("/a/c", 1).receivers, 0);
    assert_eq!(rig.publish("/z", 1).receivers, 1);
    let delivery = |channel: &str| {
        let channel = ChannelName::parse(channel, &Limits::default()).expect("a channel");
        rig.router.delivery(&channel, &rig.shared.settings.get())
    };
    assert_eq!(delivery("/a/b").lazy, None);
    assert_eq!(delivery("/z").lazy, Some(Duration::from_secs(5)));
    assert!(rig.router.has_resources() && delivery("/a/b").is_resource);
    assert!(!delivery("/a/c").is_resource && !delivery("/z").is_resource);
}

#[test]
fn a_channel_s_bound_and_its_policy_are_inherited_each_on_its_own() {
    use MaxQueuePolicy::{Conflate, DropNewest, DropOldest, End};
    let option = |pattern: &str, max_queue, max_queue_policy| ChannelOptions {
        pattern: pattern.to_owned(),
        max_queue,
        max_queue_policy,
        ..ChannelOptions::default()
    };
    let channels = [
        option("/a/**", Some(9), Some(DropOldest)),
        option("/a/b/*", Some(3), None),
        option("/a/b/c", None, Some(DropNewest)),
        option("/d", Some(2), None),
        option("/e/**", None, Some(Conflate)),
        option("/e/f", Some(1), None),
    ];
    let rig = Rig::new(Settings::default(), &channels);
    let cases = [
        ("/a/z", Some((9, DropOldest))),
        ("/a/b/z", Some((3, DropOldest))),
        ("/a/b/c", Some((3, DropNewest))),
        ("/d", Some((2, End))),
        ("/e/f", Some((1, Conflate))),
        ("/e/g", None),
        ("/z", None),
    ];
    for (name, expected) in cases {
        let channel = ChannelName::parse(name, &Limits::default()).expect("a channel");
        let delivery = rig.router.delivery(&channel, &rig.shared.settings.get());
        let bound = delivery.bound.map(|bound| (bound.max_queue, bound.policy));
        assert_eq!(bound, expected, "{name}");
    }
}

#[test]
fn channels_are_listed_by_name_page_by_page() {
    let rig = Rig::new(Settings::default(), &[]);
    rig.session(1, &["/b/2", "/a", "/b/**", "/c"]);
    rig.session(2, &["/b/1", "/b/2"]);
    let everything = parsed(&["/**"]);
    let names = |within: &[ChannelPattern], asked: Option<&str>, after: Option<&str>, limit| {
        let asked = asked.map(|asked| parsed(&[asked]).remove(0));
        let selection = Selection {
            within,
            asked: asked.as_ref(),
            after,
            limit,
        };
        let page = rig.router.list(&selection, Instant::now());
        let listed = page.items.iter();
        let names =
            listed.map(|listed| format!("{} {}", listed.pattern.as_str(), listed.subscribers));
        (names.collect::<Vec<_>>().join(", "), page.is_more)
    };
    let cases = [
        (None, None, 9, "/a 1, /b/** 1, /b/1 1, /b/2 2, /c 1", false),
        (None, None, 2, "/a 1, /b/** 1", true),
        (None, Some("/b/**"), 2, "/b/1 1, /b/2 2", true),
        (None, Some("/b/2"), 2, "/c 1", false),
        (None, Some("/c"), 2, "", false),
        (Some("/b/*"), None, 9, "/b/1 1, /b/2 2", false),
        (Some("/b/**"), None, 9, "/b/** 1, /b/1 1, /b/2 2", false),
        (Some("/a"), None, 9, "/a 1", false),
    ];
    for (asked, after, limit, expected, is_more) in cases {
        let found = names(&everything, asked, after, limit);
        assert_eq!(
            found,
            (expected.to_owned(), is_more),
            "{asked:?} {after:?} {limit}"
        );
    }
    let within = parsed(&["/b/*", "/c"]);
    assert_eq!(names(&within, None, None, 9).0, "/b/1 1, /b/2 2, /c 1");
    assert_eq!(names(&within, Some("/b/**"), None, 9).0, "/b/1 1, /b/2 2");
}

#[test]
fn a_channel_tells_its_rate_and_its_subscribers() {
    let rig = Rig::new(Settings::default(), &[]);
    let session = rig.session(1, &["/a", "/**"]);
    rig.session(2, &["/a"]);
    for _ in 0..5 {
        rig.publish("/a", 99);
    }
    rig.publish("/b", 99);
    let find = |pattern: &str, max| {
        let found = rig
            .router
            .subscribers(&parsed(&[pattern])[0], max, Instant::now());
        found.map(|(listed, sessions)| (listed.subscribers, listed.rate, sessions.len()))
    };
    assert_eq!(find("/a", 9), Some((2, 0.5, 2)));
    assert_eq!(find("/a", 1), Some((2, 0.5, 1)));
    assert_eq!(find("/**", 9), Some((1, 0.6, 1)));
    assert_eq!(find("/b", 9), None);
    rig.router.unsubscribe(&session, &parsed(&["/**"]));
    assert_eq!(find("/**", 9), None);
}

#[test]
fn who_is_subscribed_is_told_as_the_most_specific_pattern_says() {
    let option = |pattern: &str, presence| ChannelOptions {
        pattern: pattern.to_owned(),
        presence,
        ..ChannelOptions::default()
    };
    let channels = [
        option("/a/**", Some(true)),
        option("/a/b/*", Some(false)),
        option("/a/b/c", None),
        option("/a/b/d", Some(true)),
    ];
    let rig = Rig::new(Settings::default(), &channels);
    for (pattern, expected) in [
        ("/a/x", true),
        ("/a/x/*", true),
        ("/a/**", true),
        ("/a/b/*", false),
        ("/a/b/**", true),
        ("/a/b/c", false),
        ("/a/b/d", true),
        ("/a", false),
        ("/**", false),
    ] {
        let found = rig.router.has_presence(&parsed(&[pattern])[0]);
        assert_eq!(found, expected, "{pattern}");
    }
}

#[test]
fn what_is_kept_of_a_channel_and_how_it_is_replayed_say_the_entries_about_it() {
    use ReplayDefault::{All, Last, New};
    use ReplayExpired::{Fail, Tell};
    let option = |pattern: &str, messages: Option<u64>, replay_default, replay_expired| {
        let history = messages.map(|messages| Retention {
            messages: Some(messages),
            ..Retention::default()
        });
        ChannelOptions {
            pattern: pattern.to_owned(),
            history,
            replay_default,
            replay_expired,
            ..ChannelOptions::default()
        }
    };
    let channels = [
        ChannelOptions {
            replay_id: Some(ReplayId::Data),
            ..option("/a/**", Some(9), Some(Last), Some(Fail))
        },
        option("/a/b/*", Some(3), Some(All), None),
        option("/a/b/c", None, None, Some(Tell)),
        option("/p/x/*", Some(1), Some(Last), None),
        option("/p/y", Some(1), Some(Last), Some(Fail)),
        option("/q/*", None, Some(All), None),
    ];
    let rig = Rig::new(Settings::default(), &channels);
    let policy = history_policy(&channels);
    for (name, messages, replay_id) in [
        ("/a/z", Some(9), Some(ReplayId::Data)),
        ("/a/b/z", Some(3), Some(ReplayId::Data)),
        ("/a/b/c", Some(3), Some(ReplayId::Data)),
        ("/p/y", Some(1), Some(ReplayId::Ext)),
        ("/p/z", None, None),
        ("/q/a", None, None),
    ] {
        let channel = ChannelName::parse(name, &Limits::default()).expect("a channel");
        assert_eq!(policy.of(&channel).messages, messages, "{name}");
        let delivery = rig.router.delivery(&channel, &rig.shared.settings.get());
        let found = delivery.history.map(|history| history.replay_id);
        assert_eq!(found, replay_id, "{name}");
    }
    for (pattern, expected) in [
        ("/a/z", Some((Last, Fail))),
        ("/a/z/**", Some((Last, Fail))),
        ("/a/b/z", Some((All, Fail))),
        ("/a/b/c", Some((All, Tell))),
        ("/p/y", Some((Last, Fail))),
        // What the entries below agree on.
        ("/p/x/**", Some((Last, Tell))),
        ("/p/x/*", Some((Last, Tell))),
        ("/p/**", Some((Last, Tell))),
        ("/**", Some((New, Tell))),
        ("/p/*", Some((Last, Fail))),
        ("/p/z", None),
        ("/q/*", None),
        ("/q/a", None),
        ("/*", None),
    ] {
        let found = rig.router.replay(&parsed(&[pattern])[0]);
        let found = found.map(|options| (options.default, options.expired));
        assert_eq!(found, expected, "{pattern}");
    }
}
