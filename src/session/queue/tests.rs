//! Tables of what a queue does, at every bound and by every policy.

use super::*;
use crate::bayeux::{ChannelBound, ChannelName, Draft, EventFields, Limits, Message};
use crate::session::state::tests::event;

mod model;

/// Makes an event whose channel has a bound of its own.
fn event_of(channel: &str, data: &str, bound: Option<ChannelBound>) -> Arc<Event> {
    let text = format!(r#"{{"channel":"{channel}","data":"{data}"}}"#);
    let message: Message<'_> = serde_json::from_str(&text).expect("a message");
    let channel = ChannelName::parse(channel, &Limits::default()).expect("a channel");
    let fields = EventFields {
        ext: true,
        custom: true,
    };
    let event = Draft::of(&message, &channel, fields)
        .expect("data")
        .encode();
    Arc::new(event.bounded(bound))
}

fn names(events: &[Arc<Event>]) -> String {
    events
        .iter()
        .map(|event| {
            String::from_utf8_lossy(event.json())
                .chars()
                .nth(24)
                .unwrap_or('?')
        })
        .collect()
}

#[test]
fn order_survives_taking_in_parts_and_putting_back() {
    let mut queue = Queue::default();
    for name in ["a", "b", "c", "d"] {
        queue.push(&event(name), None, &Settings::default());
    }
    let size = event("a").json().len() as u64;
    let first = queue.take(2 * size, 9);
    assert_eq!(names(&first), "ab");
    queue.put_back(first);
    assert_eq!(names(&queue.take(1, 9)), "a", "at least one");
    let second = queue.take(u64::MAX, 1);
    assert_eq!(names(&second), "b");
    queue.put_back(second);
    assert_eq!(names(&queue.take(u64::MAX, 9)), "bcd");
    assert!(queue.events.is_empty() && queue.events.bytes() == 0);
}

#[test]
fn bounds_are_of_events_and_of_bytes() {
    let size = event("a").json().len() as u64;
    let cases = [
        (1, 2 * size, true),
        (2, 2 * size, false),
        (2, 2 * size - 1, true),
    ];
    for (max_queue, max_bytes, is_refused) in cases {
        let settings = Settings {
            max_queue,
            max_queue_bytes: bytesize::ByteSize(max_bytes),
            ..Settings::default()
        };
        let mut queue = Queue::default();
        let first = queue.push(&event("a"), None, &settings);
        assert_eq!(first, Pushed::default());
        let second = queue.push(&event("b"), None, &settings);
        assert_eq!(second.is_refused, is_refused, "{max_queue} {max_bytes}");
    }
}

#[test]
fn an_empty_queue_takes_any_event() {
    let settings = Settings {
        max_queue_bytes: bytesize::ByteSize(1),
        ..Settings::default()
    };
    let pushed = Queue::default().push(&event("a"), None, &settings);
    assert_eq!(pushed, Pushed::default());
}

/// A push of events named by channel and number, and what is said to that of the last.
struct Case {
    /// The policy at the session's bound of 4 events.
    policy: MaxQueuePolicy,
    /// The bound of channels `a` and `b`, if they have one.
    bound: Option<(usize, MaxQueuePolicy)>,
    pushed: &'static str,
    queued: &'static str,
    at_channel_bound: usize,
    at_bound: usize,
    is_refused: bool,
}

impl Case {
    fn of(policy: MaxQueuePolicy, pushed: &'static str, queued: &'static str) -> Self {
        Self {
            policy,
            bound: None,
            pushed,
            queued,
            at_channel_bound: 0,
            at_bound: 0,
            is_refused: false,
        }
    }

    fn bound(self, max_queue: usize, policy: MaxQueuePolicy) -> Self {
        Self {
            bound: Some((max_queue, policy)),
            ..self
        }
    }

    /// So many events were dropped at the last push, at the channel's bound and the session's.
    fn drops(self, at_channel_bound: usize, at_bound: usize) -> Self {
        Self {
            at_channel_bound,
            at_bound,
            ..self
        }
    }

    fn refused(self) -> Self {
        Self {
            is_refused: true,
            ..self
        }
    }

    /// In a queue that is scanned, or one that has an index.
    fn check(&self, is_indexed: bool) {
        let settings = Settings {
            max_queue: 4 + if is_indexed { 20 } else { 0 },
            max_queue_policy: self.policy,
            ..Settings::default()
        };
        let mut queue = Queue::default();
        let mut others = String::new();
        if is_indexed {
            // They are of channels of their own, and behind the queue's front.
            for name in ('A'..='T').map(String::from) {
                others += &name;
                queue
                    .events
                    .push_back(&event_of(&format!("/{name}"), "1", None));
            }
        }
        let mut last = Pushed::default();
        for name in self.pushed.split_terminator(' ') {
            let (channel, number) = name.split_at(1);
            let bound = self
                .bound
                .filter(|_| matches!(channel, "a" | "b"))
                .map(|(max_queue, policy)| ChannelBound { max_queue, policy });
            last = queue.push(
                &event_of(&format!("/{channel}"), number, bound),
                None,
                &settings,
            );
        }
        let queued: Vec<String> = queue
            .events
            .checked()
            .into_iter()
            .map(|event| {
                let data: serde_json::Value = serde_json::from_slice(event.json()).expect("JSON");
                format!(
                    "{}{}",
                    &event.channel()[1..],
                    data["data"].as_str().expect("text")
                )
            })
            .filter(|name| !others.contains(&name[..1]))
            .collect();
        let what = format!("{:?} {:?} {}", self.policy, self.bound, self.pushed);
        if !self.is_refused {
            assert_eq!(queued.join(" "), self.queued, "{what}");
        }
        let dropped = |at_bound: &Option<AtBound>| at_bound.as_ref().map_or(0, |at| at.dropped);
        assert_eq!(
            (dropped(&last.at_channel_bound), dropped(&last.at_bound)),
            (self.at_channel_bound, self.at_bound),
            "{what}"
        );
        assert_eq!(last.is_refused, self.is_refused, "{what}");
    }
}

#[test]
fn each_policy_at_each_bound() {
    use MaxQueuePolicy::{Conflate, DropNewest, DropOldest, End};
    let of_session = [
        Case::of(End, "a1 b1 a2 c1", "a1 b1 a2 c1"),
        Case::of(End, "a1 b1 a2 c1 a3", "").refused(),
        Case::of(DropNewest, "a1 b1 a2 c1 a3", "a1 b1 a2 c1").drops(0, 1),
        Case::of(Conflate, "a1 b1 a2 c1", "a1 b1 a2 c1"),
        Case::of(Conflate, "a1 b1 a2 c1 a3", "b1 c1 a3").drops(0, 2),
        Case::of(Conflate, "a1 b1 a2 c1 d1", "b1 a2 c1 d1").drops(0, 1),
        Case::of(Conflate, "a1 b1 c1 d1 a2", "b1 c1 d1 a2").drops(0, 1),
        Case::of(Conflate, "a1 b1 c1 d1 e1", "").refused(),
    ];
    for case in &of_session {
        case.check(false);
        case.check(true);
    }
    Case::of(DropOldest, "a1 b1 a2 c1 a3", "b1 a2 c1 a3")
        .drops(0, 1)
        .check(false);
    let of_channel = [
        Case::of(End, "a1 b1 a2 c1", "a1 b1 a2 c1").bound(2, DropOldest),
        Case::of(End, "a1 b1 a2 a3", "b1 a2 a3")
            .bound(2, DropOldest)
            .drops(1, 0),
        Case::of(End, "a1 b1 a2 a3", "a1 b1 a2")
            .bound(2, DropNewest)
            .drops(1, 0),
        Case::of(End, "a1 b1 a2 a3", "b1 a3")
            .bound(2, Conflate)
            .drops(2, 0),
        Case::of(End, "a1 b1 a2 a3", "").bound(2, End).refused(),
        Case::of(End, "c1 c2 c3", "c1 c2 c3").bound(1, End),
        Case::of(End, "a1 a2 b1 a3 b2 a4", "b2 a4")
            .bound(1, DropOldest)
            .drops(1, 0),
        Case::of(End, "a1 b1 c1 c2 a2", "b1 c1 c2 a2")
            .bound(1, DropOldest)
            .drops(1, 0),
        Case::of(End, "c1 c2 c3 a1 b1", "")
            .bound(1, DropOldest)
            .refused(),
    ];
    for case in &of_channel {
        case.check(false);
        case.check(true);
    }
    let of_both = [
        Case::of(DropNewest, "c1 c2 c3 a1 b1", "c1 c2 c3 a1")
            .bound(1, DropOldest)
            .drops(0, 1),
        Case::of(Conflate, "c1 a1 c2 a2 a3 b1", "c2 a3 b1")
            .bound(2, DropOldest)
            .drops(0, 2),
    ];
    for case in &of_both {
        case.check(false);
    }
}

fn at_most(max_queue: usize, policy: MaxQueuePolicy) -> Option<ChannelBound> {
    Some(ChannelBound { max_queue, policy })
}

#[test]
fn each_policy_at_the_bound_of_bytes() {
    use MaxQueuePolicy::{Conflate, DropNewest, DropOldest, End};
    let size = event_of("/a", "1", None).json().len();
    // Channels, and which of their events are left; the last is of twice the size.
    let cases = [
        (End, "a b b", None),
        (DropOldest, "a b b", Some("b b")),
        (DropNewest, "a b b", Some("a b")),
        (Conflate, "a c b", None),
        (Conflate, "a b b", Some("a b")),
        (Conflate, "a a b", Some("a b")),
        (Conflate, "b b b", Some("b")),
    ];
    for (policy, pushed, expected) in cases {
        let settings = Settings {
            max_queue_bytes: bytesize::ByteSize((3 * size + size / 2) as u64),
            max_queue_policy: policy,
            ..Settings::default()
        };
        let mut queue = Queue::default();
        let mut last = Pushed::default();
        let long = "x".repeat(size + 1);
        for (place, channel) in pushed.split(' ').enumerate() {
            let data = if place == 2 { &long } else { "1" };
            last = queue.push(
                &event_of(&format!("/{channel}"), data, None),
                None,
                &settings,
            );
        }
        assert_eq!(last.is_refused, expected.is_none(), "{policy:?} {pushed}");
        if let Some(expected) = expected {
            let events = queue.events.checked();
            let left: Vec<&str> = events.iter().map(|event| &event.channel()[1..]).collect();
            assert_eq!(left.join(" "), expected, "{policy:?} {pushed}");
        }
    }
}

#[test]
fn an_event_that_is_dropped_takes_no_other_of_its_channel_with_it() {
    let settings = Settings {
        max_queue_bytes: bytesize::ByteSize(100),
        max_queue_policy: MaxQueuePolicy::DropNewest,
        ..Settings::default()
    };
    let bound = at_most(1, MaxQueuePolicy::DropOldest);
    let mut queue = Queue::default();
    queue.push(&event_of("/a", "1", bound), None, &settings);
    queue.push(&event_of("/b", "1", bound), None, &settings);
    let large = event_of("/a", &"x".repeat(60), bound);
    let pushed = queue.push(&large, None, &settings);
    assert!(pushed.is_dropped && pushed.at_channel_bound.is_none());
    assert_eq!(queue.events.len(), 2);
}

#[test]
fn what_was_put_back_counts_for_its_channel() {
    let bound = at_most(2, MaxQueuePolicy::DropOldest);
    let settings = Settings::default();
    let mut queue = Queue::default();
    for data in ["1", "2"] {
        queue.push(&event_of("/a", data, bound), None, &settings);
    }
    let taken = queue.take(u64::MAX, 9);
    for data in ["3", "4"] {
        queue.push(&event_of("/a", data, bound), None, &settings);
    }
    queue.put_back(taken);
    let pushed = queue.push(&event_of("/a", "5", bound), None, &settings);
    assert_eq!(pushed.at_channel_bound.map(|at| at.dropped), Some(3));
    assert_eq!(names(&queue.take(u64::MAX, 9)), "45");
}

#[test]
fn a_lazy_event_that_replaces_another_waits_no_longer_than_that_would_have() {
    let bound = at_most(1, MaxQueuePolicy::DropOldest);
    let (settings, now) = (Settings::default(), Instant::now());
    let mut queue = Queue::default();
    for seconds in [5, 6, 7] {
        let due = now + std::time::Duration::from_secs(seconds);
        queue.push(&event_of("/a", "1", bound), Some(due), &settings);
        assert_eq!(
            queue.lazy_deadline(),
            Some(now + std::time::Duration::from_secs(5))
        );
    }
    assert!(!queue.is_urgent() && queue.events.len() == 1);
}

#[test]
fn at_the_session_s_bound_lazy_events_wait_no_longer() {
    use MaxQueuePolicy::{Conflate, DropNewest, DropOldest};
    let due = Instant::now() + std::time::Duration::from_secs(9);
    for policy in [DropOldest, DropNewest, Conflate] {
        let settings = Settings {
            max_queue: 2,
            max_queue_policy: policy,
            ..Settings::default()
        };
        let mut queue = Queue::default();
        for (channel, is_urgent) in [("/a", false), ("/b", false), ("/a", true)] {
            queue.push(&event_of(channel, "1", None), Some(due), &settings);
            assert_eq!(queue.is_urgent(), is_urgent, "{policy:?}");
        }
    }
}

#[test]
fn a_session_s_bound_is_said_again_once_the_queue_was_empty_and_a_channel_s_is_not() {
    let settings = Settings {
        max_queue: 2,
        max_queue_policy: MaxQueuePolicy::DropOldest,
        ..Settings::default()
    };
    let bound = at_most(1, MaxQueuePolicy::DropOldest);
    let mut queue = Queue::default();
    let said = |queue: &mut Queue| {
        [
            ("/a", bound),
            ("/a", bound),
            ("/a", bound),
            ("/b", None),
            ("/c", None),
            ("/d", None),
        ]
        .map(|(channel, bound)| {
            let pushed = queue.push(&event_of(channel, "1", bound), None, &settings);
            let at_bound = pushed.at_bound.or(pushed.at_channel_bound);
            at_bound.is_some_and(|at_bound| at_bound.is_first)
        })
    };
    let first = said(&mut queue);
    assert_eq!(first, [false, true, false, false, true, false]);
    queue.take(u64::MAX, 9);
    let second = said(&mut queue);
    assert_eq!(second, [false, false, false, false, true, false]);
}

#[test]
fn an_index_goes_with_the_last_event() {
    let bound = at_most(1, MaxQueuePolicy::DropOldest);
    let settings = Settings::default();
    let mut queue = Queue::default();
    for number in 0..40 {
        queue.push(
            &event_of(&format!("/{number}"), "1", bound),
            None,
            &settings,
        );
    }
    assert!(queue.events.is_indexed());
    queue.take(u64::MAX, 39);
    assert!(queue.events.is_indexed());
    queue.take(u64::MAX, 1);
    assert!(!queue.events.is_indexed());
}
